"""Documents where there is no build: a release, or any folder of our tars. They can be read, and nothing else.

Opening reads the index of each tar, or the footer of each Parquet file; a document is one range read when it is shown.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import PurePosixPath
from typing import Any

from interlink.errors import UserError
from interlink.shards import index, tar
from interlink.shards.names import MANIFEST
from interlink.shards.released import DOCUMENT, whole
from interlink.shards.resolve import resolve
from interlink.storage import Storage

_DEPTH = 3  # folders of a release below each other
_MOST_FILES = 20_000
_PICTURES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}


@dataclass(frozen=True)
class Tar:
    """The samples of a tar."""

    storage: Storage
    name: str
    entries: tuple[index.Entry, ...]

    def __len__(self) -> int:
        return len(self.entries)

    def record(self, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """(the sample's JSON, its members by suffix). Raises ValueError where it has none."""
        members: dict[str, Any] = dict(index.read_sample(self.storage, self.name, self.entries[number]))
        if "json" not in members:
            raise ValueError(f"{self.entries[number].key} holds no json")
        about = json.loads(members["json"])
        if not isinstance(about, dict):
            raise ValueError(f"{self.entries[number].key}: its json is no object")
        return about, members


@dataclass(frozen=True)
class Parquet:
    """The rows of a Parquet file with whole documents in it. ends: numbers of rows up to the end of each group."""

    storage: Storage
    name: str
    ends: tuple[int, ...]

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def record(self, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        import pyarrow.parquet as pq

        group = bisect.bisect_right(self.ends, number)
        first = self.ends[group - 1] if group else 0
        with self.storage.local(self.name) as path:
            table = pq.ParquetFile(path).read_row_group(group)
        found: dict[str, Any] = table.slice(number - first, 1).to_pylist()[0]
        return found, {}


@dataclass(frozen=True)
class Opened:
    """A document with its pictures by name."""

    document: Mapping[str, Any]
    pictures: Mapping[str, bytes]


class Shelf:
    """The documents in a folder, by their number. name: in addresses."""

    def __init__(self, name: str, url: str, files: list[Tar | Parquet]) -> None:
        self.name, self.url, self.files = name, url, files
        self._ends = list(accumulate(len(file) for file in files))
        self.open = lru_cache(128)(self._open)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _open(self, number: int) -> Opened:
        """One document. IndexError where there is none of this number, ValueError where it is no document of ours."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        place = bisect.bisect_right(self._ends, number)
        about, members = self.files[place].record(number - (self._ends[place - 1] if place else 0))
        if (found := whole(about, members)) is not None:
            return Opened(*found)
        if not isinstance(about.get("segments"), list):
            raise ValueError("this sample is no document of interlink")
        pictures = {name: bytes(data) for name, data in members.items() if picture_type(name)}
        return Opened(about, pictures)


def picture_type(name: str) -> str:
    """The media type of a picture by its name; empty for others."""
    return _PICTURES.get(PurePosixPath(name).suffix.lower(), "")


def is_build(storage: Storage) -> bool:
    """Whether a folder is a build's root. Shards and releases have a copy of its lock, but not its source rows."""
    return bool(storage.names("generations"))


def open_shelf(name: str, path: str) -> Shelf:
    """The documents behind a path. Raises UserError where there are none."""
    files: list[Tar | Parquet] = []
    for storage, file in _files(path):
        if file.endswith(".tar"):
            files.append(Tar(storage, file, index.read(storage, file).entries))
        else:
            files += _parquet(storage, file)
    if not sum(map(len, files)):
        raise UserError(
            f"there is nothing to view at {path}: no build, no shards, no release with whole documents",
            "name a build's root, a folder of tars, or a release (datasets and obelics hold documents)",
            2,
        )
    return Shelf(name, Storage(path).url, files)


def _files(path: str) -> list[tuple[Storage, str]]:
    """The tars and Parquet files behind a path."""
    storage = Storage(path)
    if path.endswith(".tar") or storage.exists(MANIFEST) or any(mark in path for mark in "*?{"):
        return [index.split(shard) for shard in resolve(path)]
    found: list[tuple[Storage, str]] = []
    folders = [("", 0)]
    while folders and len(found) < _MOST_FILES:
        folder, depth = folders.pop(0)
        try:
            names = storage.names(folder)
        except NotADirectoryError:
            continue  # a file without an ending
        for name in names:
            inside = f"{folder}/{name}" if folder else name
            if name.startswith("."):
                continue
            if name.endswith(".tar") or (name.endswith(".parquet") and not name.endswith(".index.parquet")):
                found.append((storage, inside))
            elif "." not in name and depth < _DEPTH:
                folders.append((inside, depth + 1))
    return found


def _parquet(storage: Storage, name: str) -> list[Parquet]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with storage.local(name) as path:
            file = pq.ParquetFile(path)
            if DOCUMENT not in file.schema_arrow.names:
                return []
            counts = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    except (OSError, pa.ArrowException):
        return []  # not ours
    return [Parquet(storage, name, tuple(accumulate(counts)))]


UNREADABLE = (ValueError, KeyError, TypeError, OSError, EOFError, tar.ShardError)
