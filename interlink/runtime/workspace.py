"""Where a build lives: generations of ids cut into partitions, the tables of each stage, the lock.

ROOT/recipe.lock.json               the frozen recipe, fingerprints, versions, where the shards are
ROOT/generations/000.parquet, .json source rows, one row group a partition; never rewritten
ROOT/tables/<stage>/<fingerprint>/  see interlink.runtime.partition
ROOT/media/                         what was downloaded
ROOT/shards/<fingerprint>/          tars, indexes, MANIFEST.json
ROOT/lease/                         who holds the root
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from interlink.fetch.counts import SourceCounts
from interlink.ids import keyed_hash
from interlink.runtime.lock import NAME, Lock, decode, encode
from interlink.runtime.partition import Partition
from interlink.stage import Row
from interlink.storage import SCRATCH, Storage, arrow_file
from interlink.tables import SCHEMAS

LARGEST_PARTITION = 32  # source videos
SMALL_BUILD_PARTITIONS = 16  # a build smaller than 16 × 32 is cut into about this many
# What is smaller than a video comes in larger partitions: at least what a start of img2dataset is worth, and at most.
SMALL_ITEMS = {"pair": (500, 4000), "page": (64, 500)}


def partition_size(ids: int, kind: str = "") -> int:
    """How many ids a partition of a generation of `ids` holds: a function of the ids alone, never of the machine.

    kind: that of the items (tables.COLLECT).
    """
    least, most = SMALL_ITEMS.get(kind, (1, LARGEST_PARTITION))
    return min(most, max(least, ids // SMALL_BUILD_PARTITIONS))


@dataclass(frozen=True)
class Generation:
    """One append of `collect`. partitions: (name, number of rows) in order; source: its counts, if they are kept."""

    number: int
    partitions: tuple[tuple[str, int], ...]
    duplicates: int
    source: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.number:03d}"


class Workspace:
    """A build's root. Cheap to make; holds no open connection and pickles to its URL."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

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
        found = []
        for name in self.storage.names("generations"):
            if name.endswith(".json"):
                data = json.loads(self.storage.read(f"generations/{name}"))
                partitions = tuple((p, int(n)) for p, n in data["partitions"])
                number, repeats = int(name.removesuffix(".json")), int(data["duplicates"])
                found.append(Generation(number, partitions, repeats, data.get("source") or {}))
        return found

    def known_ids(self) -> set[str]:
        """Every id of every generation."""
        ids: set[str] = set()
        for generation in self.generations:
            data = self.storage.read(f"generations/{generation.name}.parquet")
            ids.update(pq.read_table(arrow_file(data), columns=["id"])["id"].to_pylist())
        return ids

    def append(self, rows: Iterable[Row], seed: int, counts: SourceCounts | None = None) -> tuple[int, int]:
        """Appends what is new in `rows` as a generation. Returns (new ids, rows with a known id).

        counts: of the source, which reading `rows` fills; kept with the generation.
        """
        known = self.known_ids()
        new: dict[str, Row] = {}
        repeats = 0
        for row in rows:
            if row.id in known or row.id in new:
                repeats += 1
            else:
                new[row.id] = row
        if not new:
            return 0, repeats
        number = len(self.generations)
        ordered = sorted(new.values(), key=lambda row: (keyed_hash(seed, row.id), row.id))
        size = partition_size(len(ordered), next((row.fields["kind"] for row in ordered if row.fields), ""))
        buffer = io.BytesIO()
        schema = SCHEMAS["collect"]
        partitions = []
        with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:
            for start in range(0, len(ordered), size):
                chunk = ordered[start : start + size]
                writer.write_table(
                    pa.Table.from_pylist([{**row.columns(), **row.fields} for row in chunk], schema=schema)
                )
                partitions.append((f"{number:03d}-{start // size:05d}", len(chunk)))
        description: dict[str, Any] = {"partitions": partitions, "duplicates": repeats, "seed": seed}
        if counts is not None:
            description["source"] = counts.json()
        with self.storage.committing():
            # The only place with full URLs, which may hold tokens.
            self.storage.write(f"generations/{number:03d}.parquet", buffer.getvalue(), private=True)
            self.storage.write(f"generations/{number:03d}.json", json.dumps(description, sort_keys=True).encode())
        self.__dict__.pop("generations", None)
        return len(new), repeats

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

    def source_rows(self, partition: str) -> dict[str, dict[str, Any]]:
        """The rows of `collect` for one partition, by id, in the generation's order; one range read of a row group."""
        generation, number = partition.split("-")
        with self.storage.local(f"generations/{generation}.parquet") as path:
            table = pq.ParquetFile(path).read_row_group(int(number))
        return {row["id"]: row for row in table.to_pylist()}

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
