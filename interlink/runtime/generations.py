"""The source rows of a root: generations of ids, cut into partitions. `collect` appends them; nothing rewrites them.

ROOT/generations/000.json          description: the partitions and what the source held; written last
ROOT/generations/000.parquet       rows of the first partitions
ROOT/generations/000-00064.parquet rows from partition 64 on, and so on: `per_file` partitions in each file

Reading a partition costs one small file, however many ids there are. Appending holds ids and keys in memory; the rows
wait in a temporary file until their order is known. Roots up to version 2 have one file per generation, and in it one
row group per partition.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from interlink.fetch.counts import SourceCounts
from interlink.ids import keyed_digest
from interlink.stage import Row
from interlink.storage import Storage, arrow_file
from interlink.tables import SCHEMAS

FOLDER = "generations"
LARGEST_PARTITION = 32  # source videos
SMALL_BUILD_PARTITIONS = 16  # a build smaller than 16 × 32 is cut into about this many
# What is smaller than a video comes in larger partitions: at least what a start of img2dataset is worth, and at most.
SMALL_ITEMS = {"pair": (500, 4000), "page": (64, 500)}
ROWS_PER_FILE = 2048  # about 300 kB of videos
_BATCH = 8192  # rows that are Python objects at a time
_PLACE = "place"  # column of the temporary file: the order of the rows


def partition_size(ids: int, kind: str = "") -> int:
    """How many ids a partition of a generation of `ids` holds: a function of the ids alone, never of the machine.

    kind: that of the items (tables.COLLECT).
    """
    least, most = SMALL_ITEMS.get(kind, (1, LARGEST_PARTITION))
    return min(most, max(least, ids // SMALL_BUILD_PARTITIONS))


@dataclass(frozen=True)
class Generation:
    """One append of `collect`. partitions: (name, number of rows) in order; source: its counts, if they are kept.

    per_file: partitions in one file; 0: all of them, a row group each.
    """

    number: int
    partitions: tuple[tuple[str, int], ...]
    duplicates: int
    source: Mapping[str, Any]
    per_file: int = 0

    @property
    def name(self) -> str:
        return f"{self.number:03d}"

    @property
    def files(self) -> list[str]:
        per_file = self.per_file or len(self.partitions)
        return [_file(self.number, first) for first in range(0, len(self.partitions), per_file)]


class SourceRows:
    """Reads partitions of generations. Keeps the file that it read last: partitions are read in order."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._name = ""
        self._rows: Any = None

    def read(self, generation: Generation, partition: int) -> pa.Table:
        per_file = generation.per_file or len(generation.partitions)
        first = partition // per_file * per_file
        name = _file(generation.number, first)
        if name != self._name:
            file = pq.ParquetFile(arrow_file(self._storage.read(name)))
            self._name, self._rows = name, file.read() if generation.per_file else file
        start = sum(count for _, count in generation.partitions[first:partition])
        count = generation.partitions[partition][1]
        return self._rows.slice(start, count) if generation.per_file else self._rows.read_row_group(partition)


def _file(number: int, first: int) -> str:
    """first: number of its first partition."""
    return f"{FOLDER}/{number:03d}{f'-{first:05d}' if first else ''}.parquet"


def read_generations(storage: Storage) -> list[Generation]:
    found = []
    for name in storage.names(FOLDER):
        if name.endswith(".json"):
            data = json.loads(storage.read(f"{FOLDER}/{name}"))
            partitions = tuple((p, int(n)) for p, n in data["partitions"])
            number, repeats = int(name.removesuffix(".json")), int(data["duplicates"])
            source = data.get("source") or {}
            found.append(Generation(number, partitions, repeats, source, int(data.get("per_file", 0))))
    return found


def read_columns(storage: Storage, generation: Generation, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Some columns of every row of a generation, in order."""
    for file in generation.files:
        yield from pq.read_table(arrow_file(storage.read(file)), columns=list(columns)).to_pylist()


def append_generation(
    storage: Storage, number: int, known: set[str], rows: Iterable[Row], seed: int, counts: SourceCounts | None
) -> tuple[int, int]:
    """Appends what is new in `rows`. Returns (new ids, rows with a known id); writes nothing without new ids.

    known: ids of earlier generations; those of `rows` are added. counts: of the source, which reading `rows` fills.
    """
    with tempfile.TemporaryDirectory(prefix="interlink-") as folder:
        path = Path(folder) / "rows.arrow"
        before, repeats = len(known), _spill(rows, known, seed, path)
        if len(known) == before:
            return 0, repeats
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
            partitions, per_file = _write(storage, number, table)
            del table
    description: dict[str, Any] = {
        "partitions": partitions, "per_file": per_file, "duplicates": repeats, "seed": seed
    }  # fmt: skip
    if counts is not None:
        description["source"] = counts.json()
    with storage.committing():
        storage.write(f"{FOLDER}/{number:03d}.json", json.dumps(description, sort_keys=True).encode())
    return len(known) - before, repeats


def _spill(rows: Iterable[Row], known: set[str], seed: int, path: Path) -> int:
    """Writes new rows to a file as they come, each with its place in the order. Returns how many were known."""
    schema = SCHEMAS["collect"].append(pa.field(_PLACE, pa.binary(32)))
    repeats = 0
    waiting: list[dict[str, Any]] = []
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:

        def flush() -> None:
            writer.write_batch(pa.RecordBatch.from_pylist(waiting, schema=schema))
            waiting.clear()

        for row in rows:
            if row.id in known:
                repeats += 1
                continue
            known.add(row.id)
            waiting.append({**row.columns(), **row.fields, _PLACE: keyed_digest(seed, row.id)})
            if len(waiting) == _BATCH:
                flush()
        flush()
    return repeats


def _write(storage: Storage, number: int, table: pa.Table) -> tuple[list[tuple[str, int]], int]:
    """Writes the files of a generation. Returns its partitions, and how many of them are in a file."""
    order = pc.sort_indices(table, sort_keys=[(_PLACE, "ascending"), ("id", "ascending")])
    table = table.drop_columns([_PLACE])
    kind = next((kind.as_py() for kind in table["kind"].take(order) if kind.is_valid), "")
    size = partition_size(len(table), kind)
    per_file = max(1, ROWS_PER_FILE // size)
    starts = range(0, len(table), size)
    partitions = [(f"{number:03d}-{place:05d}", min(size, len(table) - start)) for place, start in enumerate(starts)]
    for first in range(0, len(partitions), per_file):
        buffer = io.BytesIO()
        rows = table.take(order[first * size : (first + per_file) * size])
        pq.write_table(rows, buffer, compression="zstd", row_group_size=len(rows))
        with storage.committing():
            # The only place with full URLs, which may hold tokens.
            storage.write(_file(number, first), buffer.getvalue(), private=True)
    return partitions, per_file
