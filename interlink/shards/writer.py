"""Writes shards: deterministic tars near a target size, each with its index.

A shard is finished as a local file and then committed whole: the index first, so that a tar that is there has one.
Costs one copy of the bytes, one sha256 over them (1.6 GB/s) and two commits per shard: about 80 µs of a core for three
18 kB images. Memory is one sample, a buffer and the index; the kernel's is given back as the file grows.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from interlink.shards import tar
from interlink.shards.index import Entry, Index, dump_index
from interlink.shards.names import index_name
from interlink.storage import Storage

BUFFER = 2**20  # bytes that go to the kernel at once
STRETCH = 8 * 2**20  # bytes after which they go on to the disk


class ShardWriter:
    """Puts samples into `<folder>/<name(0)>`, `<name(1)>`, …, in the order they are added.

    target_bytes: a shard is cut before the sample that would take it beyond; a larger sample gets a shard of its own.
    Use as a context manager: leaving it commits the open shard, an exception throws it away (finished ones stay).
    """

    def __init__(self, storage: Storage, folder: str, name: Callable[[int], str], target_bytes: int) -> None:
        self._storage = storage
        self._folder = folder
        self._name = name
        self._target = target_bytes
        self._temporary: Path | None = None
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        self._size = 0
        self._settled = 0  # bytes of the open shard that are on the disk
        self._entries: list[Entry] = []
        self.names: list[str] = []  # of the shards so far, the open one included

    def add(
        self, key: str, members: Sequence[tuple[str, tar.Data]], images: int = 0, clips: int = 0, text_tokens: int = 0
    ) -> str:
        """Appends one sample of `(suffix, data)` members and returns the name of the shard it went into.

        A sample's first member should be its JSON. Raises ShardError on a key or suffix that webdataset would not keep.
        """
        if not key or "." in key or "/" in key:
            raise tar.ShardError(f"{key!r} is no key of a sample: dots and slashes would split it")
        pieces = tar.pieces(key, members)
        size = sum(map(len, pieces))
        if self._file is not None and self._size + size + len(tar.END) > self._target:
            self._finish()
        if self._file is None:
            self._begin()
        assert self._file is not None
        self._entries.append(Entry(key, self._size, size, images, clips, text_tokens))
        self._append(self._file, pieces)
        if self._size - self._settled >= STRETCH:
            self._storage.settle(self._file, self._settled, self._size)
            self._settled = self._size
        return self.names[-1]

    def close(self) -> None:
        """Commits the open shard, if there is one."""
        if self._file is not None:
            self._finish()

    def abort(self) -> None:
        """Throws the open shard away."""
        if self._file is not None and self._temporary is not None:
            self._file.close()
            self._temporary.unlink(missing_ok=True)
            self._file = None

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _begin(self) -> None:
        self._temporary, descriptor = self._storage.scratch_file(".tar")
        self._file = os.fdopen(descriptor, "wb", buffering=BUFFER)
        self._hash = hashlib.sha256()
        self._size = self._settled = 0
        self._entries = []
        self.names.append(self._name(len(self.names)))

    def _append(self, file: BinaryIO, pieces: Sequence[tar.Data]) -> None:
        file.writelines(pieces)
        for piece in pieces:
            self._hash.update(piece)
        self._size += sum(map(len, pieces))

    def _finish(self) -> None:
        assert self._file is not None and self._temporary is not None
        try:
            self._append(self._file, [tar.END])
            self._file.close()
            self._temporary.chmod(0o644)
            index = dump_index(Index(tuple(self._entries), self._size, self._hash.hexdigest()))
            path = f"{self._folder}/{self.names[-1]}" if self._folder else self.names[-1]
            self._storage.write(index_name(path), index)
            self._storage.put(path, self._temporary)
        finally:
            self._temporary.unlink(missing_ok=True)
            self._file = None
