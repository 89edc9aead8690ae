"""A folder with a benchmark: finds annotation files and media by name, anywhere below it.

Costs one walk through the folder's names. Users unpack the same archives in many ways, but file names stay the same.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from cosmos_train.errors import UserError

IMAGES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp"))
VIDEOS = frozenset((".mp4", ".avi", ".mkv", ".webm", ".mov", ".flv", ".m4v", ".gif"))

CIFAR_BYTES = 3 * 32 * 32  # of a picture


@dataclass(frozen=True)
class Media:
    """A picture, a video or a folder of frames. start, end: its span in seconds; None: all of it.

    frames_per_second: of a folder of numbered frames. row: number of the picture in a file that holds many (Parquet's,
    in `column`; CIFAR's).
    """

    name: str
    start: float | None = None
    end: float | None = None
    frames_per_second: float = 3.0
    row: int | None = None
    column: str = ""


@dataclass(frozen=True)
class Example:
    """One example of a task. Fields that a task does not use are empty.

    references: captions of the media; answers: of each annotator (several forms if they count alike); text: words in
    the media (a meme's), or text for a judge; label: the right one of the task's labels, or the letter of the right one
    of `choices`. group: the kind of question. exact: how to compare numbers, "integer", "list" or a number of decimals;
    empty: as words.
    """

    id: str
    media: Media
    references: tuple[str, ...] = ()
    question: str = ""
    answers: tuple[tuple[str, ...], ...] = ()
    text: str = ""
    label: str = ""
    choices: tuple[str, ...] = ()
    group: str = ""
    exact: str = ""


class DataFolder:
    def __init__(self, root: Path) -> None:
        """Raises UserError if there is no such folder."""
        if not root.is_dir():
            raise UserError(f"there is no folder {root}", "give the folder that holds the benchmark: --data DIR", 2)
        self.root = root
        self.files: list[str] = []
        self.pictures: list[str] = []
        self._media: dict[str, list[str]] = {}
        self._folders: dict[str, str] = {}
        for parent, folders, names in os.walk(root, followlinks=True):
            folders.sort()
            inside = PurePosixPath(Path(parent).relative_to(root).as_posix())
            for folder in folders:
                self._folders.setdefault(folder, str(inside / folder))
            for name in sorted(names):
                path = str(inside / name)
                suffix = PurePosixPath(name).suffix.lower()
                if suffix in IMAGES | VIDEOS:
                    self._media.setdefault(PurePosixPath(name).stem, []).append(path)
                    if suffix in IMAGES:
                        self.pictures.append(path)
                else:
                    self.files.append(path)
        self._paths = {*self.files, *(path for paths in self._media.values() for path in paths)}

    def has(self, *patterns: str) -> bool:
        return self._match(patterns) is not None

    def annotation(self, *patterns: str) -> Path:
        """The first annotation file that fits a pattern. Raises UserError naming the patterns."""
        found = self._match(patterns)
        if found is None:
            raise UserError(
                f"there is no {' or '.join(patterns)} in {self.root}", "put the benchmark's annotation files there"
            )
        return self.root / found

    def media(self, name: str) -> Path | None:
        """The path of the picture or video `name` (its folder and suffix are hints), or of a folder of that name.

        A full path below the root is that file, whatever its type.
        """
        if name in self._paths:
            return self.root / name
        hint = PurePosixPath(name)
        known = hint.suffix.lower() in IMAGES | VIDEOS
        found = self._media.get(hint.stem if known else hint.name, ())
        if found:
            best = max(found, key=lambda path: _agreement(PurePosixPath(path), hint))
            return self.root / best
        folder = self._folders.get(hint.name)
        return self.root / folder if folder else None

    def annotations(self, pattern: str) -> list[Path]:
        """All files that fit a pattern, in order."""
        return [self.root / path for path in self.files if fnmatch(path, pattern) or fnmatch(path, f"*/{pattern}")]

    def _match(self, patterns: tuple[str, ...]) -> str | None:
        for pattern in patterns:
            for path in self.files:
                if fnmatch(path, pattern) or fnmatch(path, f"*/{pattern}"):
                    return path
        return None


def _agreement(path: PurePosixPath, hint: PurePosixPath) -> tuple[bool, int]:
    """How well a path fits a hint: the same suffix, then the number of equal last folders."""
    same = 0
    for ours, theirs in zip(reversed(path.parts[:-1]), reversed(hint.parts[:-1]), strict=False):
        if ours != theirs:
            break
        same += 1
    return path.suffix.lower() == hint.suffix.lower(), same


def cifar_labels(path: Path) -> int:
    """The number of label bytes before each picture: CIFAR-100 has a coarse and a fine label.

    Raises ValueError if the file is not a CIFAR.
    """
    size = path.stat().st_size
    for labels in (1, 2):
        if size and size % (CIFAR_BYTES + labels) == 0:
            return labels
    raise ValueError("it is not one of CIFAR's binary files")


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not JSON: {error}", "download the file again") from error


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON list, of JSON lines, or of a table with a header (.csv, .tsv)."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix in (".csv", ".tsv"):
            head = text.partition("\n")[0]
            return list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in head else ","))
        if text.lstrip().startswith("["):
            return list(json.loads(text))
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}", "download the file again") from error


def read_parquet(path: Path, columns: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The rows of a Parquet file, with those of these columns that it has (all columns if none are given)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            there = file.schema_arrow.names
            return list(file.read([one for one in columns if one in there] or there).to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read: {error}", "download the file again") from error


def read_lines(path: Path) -> list[str]:
    """The non-empty lines, stripped."""
    try:
        # Not splitlines: captions contain U+0085 and U+2028, which do not end a line.
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}", "download the file again") from error


Found = TypeVar("Found", bound=Sized)
Reader = Callable[[DataFolder, str], list[Example]]


def read(reader: Callable[[DataFolder, str], Found], data: DataFolder, split: str, name: str) -> Found:
    """The examples of a split. Raises UserError if files are missing, in another layout, or without examples of it."""
    try:
        found = reader(data, split)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(
            f"the annotations in {data.root} are not laid out as those of {name}: {type(error).__name__}: {error}",
            "see docs/how-to/evaluate.md for the expected files",
        ) from error
    if not len(found):
        raise UserError(
            f"the annotations in {data.root} hold no example of {name}'s split {split!r}", "give another split"
        )
    return found
