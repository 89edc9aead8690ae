"""Samples by number over a list of tar shards: one range read each, about 10 µs from a warm local disk.

For remote storage, all samples of a batch are requested together. The only module that reads shards in training.
"""

from __future__ import annotations

import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from cosmos_train.stream.find import find
from cosmos_train.stream.index import Columns, Lengths, join, read_columns, read_lengths
from cosmos_train.stream.rows import SUFFIXES, Rows
from cosmos_train.stream.tar import Members, parse
from interlink.shards import hub
from interlink.shards.index import split
from interlink.shards.runs import bare

_OPEN_FILES = 64
_ATTEMPTS = 3  # a failed read is retried: bad samples must be the same in every run
_PAUSE = 0.2  # seconds before the second attempt; doubles

log = logging.getLogger(__name__)

OnRead = Callable[[int], None]  # called with the shard before each read


def unwatched(shard: int) -> None: ...


class Reader:
    """The samples of all shards below `paths`, numbered from 0 in the order of the shards.

    Raises UserError if a shard is missing, or its index cannot be read.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.shards = find(paths)
        self._places = [split(shard) for shard in self.shards]
        self._rows: dict[int, Rows] = {}
        self.columns = [self._opened(number) for number in range(len(self.shards))]
        for shard, columns in zip(self.shards, self.columns, strict=True):
            for note in columns.notes:
                log.warning("%s: %s", shard, note)
        self._ends = np.cumsum([len(columns) for columns in self.columns])
        self._files: OrderedDict[int, int] = OrderedDict()

    def _opened(self, shard: int) -> Columns:
        with hub.explained(self.shards[shard]):
            if not self.shards[shard].endswith(SUFFIXES):
                return read_columns(*self._places[shard])
            self._rows[shard] = Rows(*self._places[shard])
            return self._rows[shard].columns

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_files": OrderedDict()}

    def key(self, number: int) -> str:
        shard, inside = self.locate(number)
        return str(self.columns[shard].keys[inside].as_py())

    def clips(self) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        """Number of clips of every sample, 0 if only the sample itself says."""
        return np.concatenate([np.zeros(0, np.int32), *(columns.clips for columns in self.columns)])

    def lengths(self, counted_with: str) -> Lengths | None:
        """The sidecars' lengths, if every shard has one."""
        parts = []
        for (storage, name), columns in zip(self._places, self.columns, strict=True):
            found = read_lengths(storage, name, len(columns), counted_with)
            if found is None:
                return None
            parts.append(found)
        return join(parts)

    def read(self, number: int) -> Members:
        """The members of one sample. Raises OSError, EOFError or ValueError (ShardError) when it cannot be read."""
        found = self.read_many([number])[0]
        if isinstance(found, Exception):
            raise found
        return found

    def read_many(self, numbers: Sequence[int], on_read: OnRead = unwatched) -> list[Members | Exception]:
        """The members of each sample, or the error of reading it."""
        return [parsed(found) for found in self.ranges(numbers, on_read)]

    def ranges(self, numbers: Sequence[int], on_read: OnRead = unwatched) -> list[bytes | Exception]:
        """The bytes of each sample, headers included, or the error of reading it."""
        found: dict[int, bytes | Exception] = {}
        shards = {number: self.locate(number)[0] for number in numbers}
        remote = [
            number
            for number, shard in shards.items()
            if not self._places[shard][0].is_local and shard not in self._rows
        ]
        if len(remote) > 1:
            found = self._together(remote, on_read)
        for number in numbers:  # local shards, a single sample, and retries of the joint request
            if isinstance(found.get(number, OSError()), OSError):
                found[number] = self._attempt(*self.locate(number), on_read)
        return [found[number] for number in numbers]

    def locate(self, number: int) -> tuple[int, int]:
        """(shard, number in it) of a sample."""
        shard = int(np.searchsorted(self._ends, number, side="right"))
        return shard, number - (int(self._ends[shard - 1]) if shard else 0)

    def _attempt(self, shard: int, inside: int, on_read: OnRead) -> bytes | Exception:
        columns: Columns = self.columns[shard]
        offset, size = int(columns.offset[inside]), int(columns.size[inside])
        for attempt in range(_ATTEMPTS):
            on_read(shard)
            try:
                return self._range(shard, offset, size)
            except FileNotFoundError as error:
                return error
            except OSError as error:
                if attempt == _ATTEMPTS - 1:
                    return error
                time.sleep(_PAUSE * 2**attempt)
            except (EOFError, ValueError) as error:  # ValueError: a row that is no record
                return error
        raise AssertionError("unreachable")

    def _range(self, shard: int, offset: int, size: int) -> bytes:
        storage, name = self._places[shard]
        if shard in self._rows:
            with hub.connection_errors(storage.url):
                return self._rows[shard].sample(offset)
        if not storage.is_local:
            with hub.connection_errors(storage.url):
                return storage.read_range(name, offset, size)
        data = os.pread(self._file(shard), size, offset)
        if len(data) != size:
            raise EOFError(f"{self.shards[shard]}: {size} bytes wanted at {offset}, {len(data)} there")
        return data

    def _file(self, shard: int) -> int:
        if shard in self._files:
            self._files.move_to_end(shard)
            return self._files[shard]
        if len(self._files) >= _OPEN_FILES:
            os.close(self._files.popitem(last=False)[1])
        storage, name = self._places[shard]
        self._files[shard] = os.open(storage.full(name), os.O_RDONLY)
        return self._files[shard]

    def _together(self, numbers: Sequence[int], on_read: OnRead) -> dict[int, bytes | Exception]:
        """Reads several ranges of remote shards in one request (fsspec does it in parallel where it can)."""
        by_storage: dict[str, list[int]] = {}
        for number in numbers:
            by_storage.setdefault(self._places[self.locate(number)[0]][0].url, []).append(number)
        found: dict[int, bytes | Exception] = {}
        for group in by_storage.values():
            places = [self.locate(number) for number in group]
            storage = self._places[places[0][0]][0]
            on_read(places[0][0])
            starts = [int(self.columns[shard].offset[inside]) for shard, inside in places]
            sizes = [int(self.columns[shard].size[inside]) for shard, inside in places]
            names = [storage.full(self._places[shard][1]) for shard, _ in places]
            ends = [start + size for start, size in zip(starts, sizes, strict=True)]
            answers = storage.file_system().cat_ranges(names, starts, ends, on_error="return")
            for number, answer, size in zip(group, answers, sizes, strict=True):
                if isinstance(answer, Exception):
                    found[number] = hub.as_os_error(storage.url, answer)
                else:
                    whole = len(answer) == size
                    found[number] = answer if whole else EOFError(f"{size} bytes wanted, {len(answer)} there")
        return found

    def __del__(self) -> None:
        for file in self.__dict__.get("_files", {}).values():  # absent if __init__ failed
            os.close(file)


def parsed(found: bytes | Exception) -> Members | Exception:
    """The members in the bytes of a sample, or the error of parsing it."""
    if isinstance(found, Exception):
        return found
    try:
        return bare(parse(found)[1])
    except ValueError as error:
        return error
