"""Where a build lives: generations of ids cut into partitions, the tables of each stage, the lock.

ROOT/recipe.lock.json               the frozen recipe, fingerprints, versions, where the shards are
ROOT/generations/                   source rows: see interlink.runtime.generations
ROOT/tables/<stage>/<fingerprint>/  see interlink.runtime.partition
ROOT/media/                         what was downloaded
ROOT/shards/<fingerprint>/          tars, indexes, MANIFEST.json
ROOT/lease/                         who holds the root
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa

from interlink.fetch.counts import SourceCounts
from interlink.runtime.generations import Generation, SourceRows, append_generation, read_columns, read_generations
from interlink.runtime.lock import NAME, Lock, decode, encode
from interlink.runtime.partition import Partition
from interlink.stage import Row
from interlink.storage import SCRATCH, Storage
from interlink.tables import SCHEMAS


class Workspace:
    """A build's root. Cheap to make; holds no open connection and pickles to its URL."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._source = SourceRows(storage)

    def __reduce__(self) -> tuple[Any, ...]:
        return Workspace, (self.storage,)

    # -- the lock -----------------------------------------------------------------------------------------------

    def lock(self) -> Lock | None:
        """The lock of the last build, or None where nothing was built. UserError where it is damaged or newer."""
        try:
            return decode(self.storage.read(NAME), self.storage.full(NAME))
        except FileNotFoundError:
            return None

    def write_lock(self, lock: Lock) -> None:
        data = encode(lock.stored())
        try:
            if self.storage.read(NAME) == data:
                return
        except FileNotFoundError:
            pass
        with self.storage.committing():
            self.storage.write(NAME, data)

    def remove_leftovers(self) -> None:
        """Removes what killed processes were writing, but for partitions, which their next worker clears.

        Call it with the lease: nobody else writes then.
        """
        shards = [f"shards/{name}" for name in self.storage.names("shards")]
        for folder in ("", "lease", "generations", SCRATCH, *shards):
            self.storage.remove_leftovers(folder)

    # -- generations --------------------------------------------------------------------------------------------

    @cached_property
    def generations(self) -> list[Generation]:
        return read_generations(self.storage)

    def known_ids(self) -> set[str]:
        """Every id of every generation."""
        return {row["id"] for row in self.source_columns(["id"])}

    def source_columns(self, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Some columns of the rows of `collect`, in order, all partitions of it."""
        for generation in self.generations:
            yield from read_columns(self.storage, generation, columns)

    def append(self, rows: Iterable[Row], seed: int, counts: SourceCounts | None = None) -> tuple[int, int]:
        """Appends what is new in `rows` as a generation. Returns (new ids, rows with a known id).

        counts: of the source, which reading `rows` fills; kept with the generation.
        """
        found = append_generation(self.storage, len(self.generations), self.known_ids(), rows, seed, counts)
        self.__dict__.pop("generations", None)
        self._source = SourceRows(self.storage)
        return found

    def partitions(self, limit: int | None = None) -> list[tuple[str, int]]:
        """(partition, how many of its ids are let in), in order; `limit` is a prefix of that order."""
        out = []
        left = limit
        for generation in self.generations:
            for name, count in generation.partitions:
                admitted = count if left is None else min(count, left)
                if left is not None:
                    left -= admitted
                if admitted:
                    out.append((name, admitted))
        return out

    def source_table(self, partition: str) -> pa.Table:
        """The rows of `collect` for one partition, in the generation's order.

        Costs a read of one small file, which is kept for the partitions after it.
        """
        generation, number = map(int, partition.split("-"))
        return self._source.read(self.generations[generation], number)

    def source_rows(self, partition: str) -> dict[str, dict[str, Any]]:
        """The same by id."""
        return {row["id"]: row for row in self.source_table(partition).to_pylist()}

    # -- tables -------------------------------------------------------------------------------------------------

    def partition(self, stage: str, fingerprint: str, partition: str, schema: pa.Schema | None = None) -> Partition:
        folder = f"tables/{stage}/{fingerprint}/{partition}"
        return Partition(self.storage, folder, schema if schema is not None else SCHEMAS[stage])

    def documents(self, fingerprint: str) -> Iterator[dict[str, Any]]:
        """Every document of an interleave table, in order."""
        for name, _ in self.partitions():
            for row in self.partition("interleave", fingerprint, name).rows().values():
                for document in row["documents"] or ():
                    yield json.loads(document["document"])
