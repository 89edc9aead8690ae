"""Numbered files of one split, Parquet in row groups or plain tars: the shared writers of the formats.

Memory: one row group, at most 64 MB plus one document.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from interlink.release.target import Target
from interlink.shards import tar

ROW_GROUP = 64 * 2**20  # bytes, before compression
COUNTS = (
    "num_samples.json",
    "sizes.json",
)  # tar -> its number of samples: the file names that CosMo and open_clip read


class ParquetParts:
    """`<folder>/<split>-00000.parquet`, …: a file is closed before a document that would exceed `limit` bytes."""

    def __init__(self, target: Target, folder: str, split: str, schema: pa.Schema, limit: int) -> None:
        self._target, self._prefix, self._schema, self._limit = target, f"{folder}/{split}-", schema, limit
        self._number = 0
        self._writer: Any = None
        self._path = ""
        self._rows: list[dict[str, Any]] = []
        self._waiting = self._written = 0
        self.paths: list[str] = []

    def add(self, rows: Sequence[dict[str, Any]], size: int) -> None:
        """Adds the rows of one document. size: approximately, in bytes."""
        if self._written + self._waiting and self._written + self._waiting + size > self._limit:
            self._finish()
        if self._writer is None:
            self._path = f"{self._prefix}{self._number:05d}.parquet"
            self._number += 1
            self._writer = pq.ParquetWriter(self._target.begin(self._path), self._schema, compression="zstd")
        self._rows += rows
        self._waiting += size
        if self._waiting >= ROW_GROUP:
            self._flush()

    def close(self) -> None:
        if self._writer is not None:
            self._finish()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._written += self._waiting
        self._rows, self._waiting = [], 0

    def _finish(self) -> None:
        self._flush()
        self._writer.close()
        self._target.finish(self._path)
        self.paths.append(self._path)
        self._writer, self._written = None, 0


class TarParts:
    """Tars named by `name(number)`: closed before a sample that would exceed `limit` bytes or `most` samples."""

    def __init__(self, target: Target, name: Callable[[int], str], limit: int, most: int = 0) -> None:
        self._target, self._name, self._limit, self._most = target, name, limit, most
        self._file: BinaryIO | None = None
        self._size = 0
        self.counts: dict[str, int] = {}  # path of a tar -> its number of samples

    @property
    def number(self) -> int:
        """Number of the open tar."""
        return len(self.counts) - 1

    @property
    def count(self) -> int:
        """Number of samples in the open tar."""
        return self.counts[self._name(self.number)]

    def make_room(self, size: int) -> None:
        """Opens a new tar unless the open one has room for a sample of `size` bytes."""
        if self._file is not None and (
            self._size + size + len(tar.END) > self._limit or (self._most and self.count >= self._most)
        ):
            self.close()
        if self._file is None:
            path = self._name(len(self.counts))
            self._file = self._target.begin(path).open("wb")
            self.counts[path] = self._size = 0

    def add(self, key: str, members: Sequence[tuple[str, bytes]]) -> None:
        """Adds one sample of `(suffix, data)` members."""
        data = tar.sample(key, members)
        self.make_room(len(data))
        assert self._file is not None
        self._file.write(data)
        self._size += len(data)
        self.counts[self._name(self.number)] += 1

    def close(self) -> None:
        if self._file is not None:
            self._file.write(tar.END)
            self._file.close()
            self._file = None
            self._target.finish(self._name(self.number))
