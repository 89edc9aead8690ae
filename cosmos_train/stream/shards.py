"""Documents by number over a list of tar shards: one range read each. The only module that touches the shard format."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate

from interlink.shards import Entry, read_index, read_sample, resolve
from interlink.shards.index import split


class Reader:
    """The samples of all shards below `paths`, numbered from 0 in the order of the shards.

    Raises UserError where a shard is missing, or damaged beyond reading its index.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.shards = resolve(list(paths))
        self._places = [split(shard) for shard in self.shards]
        self._entries = [read_index(shard) for shard in self.shards]
        self._ends = list(accumulate(len(entries) for entries in self._entries))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def entry(self, number: int) -> Entry:
        shard, inside = self._locate(number)
        return self._entries[shard][inside]

    def entries(self) -> Iterator[Entry]:
        for entries in self._entries:
            yield from entries

    def read(self, number: int) -> dict[str, bytes]:
        """Member suffix -> bytes. Raises OSError, EOFError or ValueError (ShardError) when it cannot be read."""
        shard, inside = self._locate(number)
        storage, name = self._places[shard]
        return read_sample(storage, name, self._entries[shard][inside])

    def _locate(self, number: int) -> tuple[int, int]:
        shard = bisect.bisect_right(self._ends, number)
        return shard, number - (self._ends[shard - 1] if shard else 0)
