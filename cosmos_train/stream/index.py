"""The positions and lengths of the samples of a shard, as columns: a million samples cost 60 MB and a second.

Two sidecars next to `<stem>.tar`: `<stem>.index.parquet` (interlink's; a tar without one is scanned, headers only) and
`<stem>.lengths.parquet` (of `cosmos_train index`): tokens and frames of every clip, counted with one tokenizer.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cosmos_train.errors import UserError
from cosmos_train.stream.formats import IMAGES, TEXTS, VIDEOS
from cosmos_train.stream.tokenizer import Tokenizer
from interlink.shards.names import index_name
from interlink.shards.runs import runs
from interlink.shards.tar import Notes, ShardError
from interlink.storage import Storage, arrow_file

LENGTHS_SUFFIX = ".lengths.parquet"


@dataclass(frozen=True)
class Columns:
    """The samples of one tar, in its order: keys, and bytes [offset, offset + size) of each; clips: 0 if unknown.

    notes: what a scan of the tar has passed over, one line per cause.
    """

    keys: Any  # pyarrow string array: no Python object per sample
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    clips: NDArray[np.int32]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.offset)

    def digest(self) -> bytes:
        found = hashlib.sha256("\0".join(self.keys.to_pylist()).encode("utf-8", "surrogateescape"))
        found.update(self.size.tobytes())
        found.update(self.clips.tobytes())
        return found.digest()


@dataclass(frozen=True)
class Lengths:
    """Tokens (markers included) and frames of every clip: those of sample i are at first[i], ..., first[i + 1] - 1."""

    first: NDArray[np.int64]
    tokens: NDArray[np.int32]
    frames: NDArray[np.int32]


def read_columns(storage: Storage, name: str) -> Columns:
    """The samples of a shard: from its sidecar, else by a scan. Raises UserError naming the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sidecar = index_name(name)
    try:
        if not storage.exists(sidecar):
            with _open(storage, name) as file:
                return scan(file)
        table = pq.read_table(arrow_file(storage.read(sidecar)))
        columns = Columns(
            table["key"].combine_chunks(),
            table["offset"].to_numpy().astype(np.int64, copy=False),
            table["size"].to_numpy().astype(np.int64, copy=False),
            table["clips"].to_numpy().astype(np.int32, copy=False),
        )
        stated, size = int(table.schema.metadata[b"size"]), storage.size(name)
    except FileNotFoundError:
        raise UserError(f"there is no shard {storage.full(name)}", "check the path of the shards") from None
    except ShardError as error:
        raise UserError(f"{storage.full(name)} {error}", "copy or build this shard again") from error
    except OSError as error:
        raise UserError(
            f"{storage.full(name)} cannot be read: {error}", "check the file and its permissions"
        ) from error
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{storage.full(sidecar)} is not an index: {error}", "delete it, or copy it again") from error
    if stated != size:
        raise UserError(
            f"{storage.full(sidecar)} is the index of a tar of {stated} bytes; {name} has {size}",
            "copy tar and index together again, or delete the index to have the tar scanned",
        )
    return columns


def scan(file: BinaryIO) -> Columns:
    """The samples of any webdataset tar, from its headers. A sample with one text or one image is one clip."""
    import pyarrow as pa

    notes = Notes()
    found = list(runs(file, notes))
    return Columns(
        pa.array([run.key for run in found], pa.string()),
        np.array([run.start for run in found], np.int64),
        np.array([run.end - run.start for run in found], np.int64),
        np.array([_clips({suffix.rpartition(".")[2] for suffix in run.suffixes}) for run in found], np.int32),
        tuple(notes.lines()),
    )


def _clips(suffixes: set[str]) -> int:
    """The number of clips of a sample with these members; 0: only its json says."""
    if suffixes & set(TEXTS) and suffixes & {*IMAGES, *VIDEOS}:
        return 1
    return int("json" not in suffixes)


def lengths_of(documents: Sequence[Sequence[tuple[int, int]]]) -> Lengths:
    """From (tokens, frames) of every clip of every document."""
    flat = np.array([pair for clips in documents for pair in clips], np.int32).reshape(-1, 2)
    return Lengths(np.concatenate([[0], np.cumsum([len(clips) for clips in documents])]).astype(np.int64), *flat.T)


def join(parts: Sequence[Lengths]) -> Lengths:
    """The lengths of several shards, concatenated."""
    starts = np.cumsum([0, *(part.first[-1] for part in parts)])
    return Lengths(
        np.concatenate([[0], *(part.first[1:] + start for part, start in zip(parts, starts[:-1], strict=True))]),
        np.concatenate([np.zeros(0, np.int32), *(part.tokens for part in parts)]),
        np.concatenate([np.zeros(0, np.int32), *(part.frames for part in parts)]),
    )


def lengths_name(shard: str) -> str:
    return shard.removesuffix(".tar") + LENGTHS_SUFFIX


def identity(tokenizer: Tokenizer, text: Sequence[str]) -> str:
    """A hash of what lengths depend on besides the shard: the tokenizer, and the choice of a clip's text."""
    return hashlib.sha256(f"{tokenizer.backend.to_str()} {list(text)}".encode()).hexdigest()


def write_lengths(storage: Storage, shard: str, lengths: Lengths, counted_with: str) -> None:
    """Commits the sidecar of `shard`: the same bytes for the same lengths."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    offsets = pa.array(lengths.first, pa.int32())
    lists = [
        pa.ListArray.from_arrays(offsets, pa.array(values, pa.int32())) for values in (lengths.tokens, lengths.frames)
    ]
    table = pa.table({"clip_tokens": lists[0], "clip_frames": lists[1]})
    table = table.replace_schema_metadata({"size": str(storage.size(shard)), "counted_with": counted_with})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    storage.write(lengths_name(shard), buffer.getvalue())


def read_lengths(storage: Storage, shard: str, samples: int, counted_with: str) -> Lengths | None:
    """The lengths of a shard; None if there is no sidecar. Raises UserError if it does not fit."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = lengths_name(shard)
    if not storage.exists(name):
        return None
    again = "run `cosmos_train index` with this recipe again"
    try:
        table = pq.read_table(arrow_file(storage.read(name)))
        tokens, frames = (table[column].combine_chunks() for column in ("clip_tokens", "clip_frames"))
        found = Lengths(tokens.offsets.to_numpy().astype(np.int64), tokens.values.to_numpy(), frames.values.to_numpy())
        metadata = table.schema.metadata
        fits = int(metadata[b"size"]) == storage.size(shard) and len(table) == samples
        same = metadata[b"counted_with"].decode() == counted_with
    except (pa.ArrowException, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{storage.full(name)} is not a table of lengths: {error}", again) from error
    if not fits:
        raise UserError(f"{storage.full(name)} does not belong to the tar next to it", again)
    if not same:
        raise UserError(f"{storage.full(name)} was counted with another tokenizer or other texts", again)
    return found


def _open(storage: Storage, name: str) -> BinaryIO:
    if storage.is_local:
        return Path(storage.full(name)).open("rb")
    opened: BinaryIO = storage.file_system().open(storage.full(name), "rb")
    return opened
