"""The index of a shard: where each sample lies, so that one sample is one range read.

A sidecar `<stem>.index.parquet` next to the tar; its Parquet metadata holds the tar's size and sha256, so that a
manifest is made without reading tars again. A tar without sidecar is scanned: headers only, about 10 µs per member on
a local disk.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from interlink.errors import UserError
from interlink.shards import tar
from interlink.shards.names import index_name
from interlink.shards.runs import runs
from interlink.storage import Storage, arrow_file

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class Entry:
    """One sample: bytes [offset, offset + size) of the tar hold all its members, headers included.

    clips and text_tokens are 0 where the index comes from a scan.
    """

    key: str
    offset: int
    size: int
    images: int
    clips: int = 0
    text_tokens: int = 0


@dataclass(frozen=True)
class Index:
    """The samples of one tar, in its order; size (bytes) and sha256 of the whole tar (empty after a scan)."""

    entries: tuple[Entry, ...]
    size: int
    sha256: str = ""


def split(path: str) -> tuple[Storage, str]:
    """The storage of a file's folder, and the file's name in it. `path` is local or any fsspec URL."""
    if "://" in path:
        folder, _, name = path.rpartition("/")
        return Storage(folder), name
    local = Path(path).expanduser().absolute()
    return Storage(str(local.parent)), local.name


def dump_index(index: Index) -> bytes:
    """The sidecar's bytes; the same for the same index."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    entries = index.entries
    table = pa.table(
        {
            "key": pa.array([e.key for e in entries], pa.string()),
            "offset": pa.array([e.offset for e in entries], pa.int64()),
            "size": pa.array([e.size for e in entries], pa.int64()),
            "images": pa.array([e.images for e in entries], pa.int32()),
            "clips": pa.array([e.clips for e in entries], pa.int32()),
            "text_tokens": pa.array([e.text_tokens for e in entries], pa.int32()),
        }
    ).replace_schema_metadata({"size": str(index.size), "sha256": index.sha256})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def load_index(data: bytes) -> Index:
    """The index in a sidecar's bytes. Raises ShardError when they are none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(arrow_file(data))
        columns = table.select(["key", "offset", "size", "images", "clips", "text_tokens"]).to_pydict()
        metadata = table.schema.metadata
        size, sha256 = int(metadata[b"size"]), metadata[b"sha256"].decode()
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise tar.ShardError(f"is no index of a shard: {error}") from error
    return Index(tuple(Entry(*row) for row in zip(*columns.values(), strict=True)), size, sha256)


def scan(file: BinaryIO, notes: tar.Notes | None = None) -> Index:
    """The index of any webdataset tar, from its headers. notes: takes what is passed over. Raises ShardError."""
    entries = [
        Entry(run.key, run.start, run.end - run.start, sum(f".{one}".endswith(IMAGE_SUFFIXES) for one in run.suffixes))
        for run in runs(file, notes)
    ]
    return Index(tuple(entries), file.seek(0, 2))


def read(storage: Storage, name: str) -> Index:
    """The index of the shard `name`: its sidecar, else a scan. Raises UserError naming the file."""
    sidecar = index_name(name)
    try:
        if storage.exists(sidecar):
            index = load_index(storage.read(sidecar))
            size = storage.size(name)
            if index.size != size:
                raise UserError(
                    f"{storage.full(sidecar)} is the index of a tar of {index.size} bytes; {name} has {size}",
                    "copy tar and index together again, or delete the index to have the tar scanned",
                )
            return index
        with _open(storage, name) as file:
            return scan(file)
    except FileNotFoundError:
        raise UserError(f"there is no shard {storage.full(name)}", "check the path of the shards") from None
    except tar.ShardError as error:
        raise UserError(f"{storage.full(name)} {error}", "copy or build this shard again") from error
    except OSError as error:
        raise UserError(
            f"{storage.full(name)} cannot be read: {error}", "check the file and its permissions"
        ) from error


def _open(storage: Storage, name: str) -> BinaryIO:
    if storage.is_local:
        return Path(storage.full(name)).open("rb")
    opened: BinaryIO = storage.file_system().open(storage.full(name), "rb")
    return opened


def read_index(path: str) -> list[Entry]:
    """The samples of the tar at `path` (local or fsspec URL), in its order."""
    return list(read(*split(path)).entries)


def read_sample(storage: Storage, name: str, entry: Entry) -> dict[str, bytes]:
    """One sample by one range read: suffix -> bytes."""
    return tar.parse(storage.read_range(name, entry.offset, entry.size))


def totals(entries: Sequence[Entry]) -> dict[str, int]:
    """Sums that a manifest tells of a shard."""
    return {
        "samples": len(entries),
        "images": sum(e.images for e in entries),
        "clips": sum(e.clips for e in entries),
        "text_tokens": sum(e.text_tokens for e in entries),
    }
