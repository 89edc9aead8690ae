"""The rows of one stage for one partition: parts while it is open, one compacted table and a summary when it is done.

    tables/<stage>/<fingerprint>/<partition>/
        part-<epoch>-<sequence>.parquet (+ .tar)    rows as they came, flushed every few seconds
        rows-<sha>.parquet, blobs-<sha>.tar         compacted: named by content, so equal work gives equal files
        summary.json                                the commit: which of those count, and the counts
        ledger.json                                 attempts and seconds, which differ from run to run

For an id the row of the highest (epoch, sequence) wins, never the clock. A part exists when its Parquet file does (its
tar is put before); a partition is done when its summary exists, no part is left, and its inputs are what they were.
"""

from __future__ import annotations

import gc
import hashlib
import io
import json
import os
import tarfile
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from interlink.fetch.exclusions import EXCLUDED
from interlink.stage import Blob, Row
from interlink.storage import Storage, arrow_file
from interlink.tables import BLOB

OPEN = "open"  # status of a row that `retry` has opened again; never in a compacted table
BLOCK = 512  # bytes; tar's unit
LEDGER = [("attempts", pa.int32()), ("seconds", pa.float64())]


@dataclass(frozen=True)
class Summary:
    """What a done partition holds; two builds that did the same work have equal summaries."""

    rows: str
    blobs: str
    size: int  # bytes of both
    # needed table -> its rows file; "collect" -> how many ids were let in; "excluded" -> ids passed over, if any
    inputs: Mapping[str, Any]
    counts: Mapping[str, int]  # ok, dropped, failed, partial
    reasons: Mapping[str, int]
    errors: Mapping[str, int]
    totals: Mapping[str, int]  # clips, frames, documents, text_tokens …: what the stage's rows hold

    def encode(self) -> bytes:
        return json.dumps(self.__dict__, sort_keys=True, indent=1).encode()


@dataclass
class Entry:
    """A row as the store keeps it: the fields of its schema, and its ledger."""

    row: dict[str, Any]
    attempts: int = 1
    seconds: float = 0.0
    final: bool = True


@dataclass
class State:
    """What is known of a partition before work on it begins."""

    summary: Summary | None = None
    entries: dict[str, Entry] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)  # file stems
    claims: list[str] = field(default_factory=list)


class Partition:
    """One partition's folder of one table."""

    def __init__(self, storage: Storage, folder: str, schema: pa.Schema) -> None:
        self.storage = storage
        self.folder = folder
        self.schema = schema

    @cached_property
    def holds_blobs(self) -> bool:
        """Whether its rows refer to bytes in a tar next to them."""
        return any(_refers(column.type) for column in self.schema)

    # -- reading ------------------------------------------------------------------------------------------------

    def summary(self) -> Summary | None:
        try:
            return Summary(**json.loads(self.storage.read(f"{self.folder}/summary.json")))
        except FileNotFoundError:
            return None

    def is_done(self, inputs: Mapping[str, Any], excluded: Container[str] = ()) -> bool:
        """Whether nothing is left to do for these inputs: one listing and one small read.

        excluded: ids that are excluded now; one that was when the table was made, and is no more, has to be done.
        """
        names = self.storage.names(self.folder)
        if "summary.json" not in names or any(name.startswith("part-") for name in names):
            return False
        summary = self.summary()
        if summary is None:
            return False
        given = dict(summary.inputs)
        return all(key in excluded for key in given.pop(EXCLUDED, ())) and given == dict(inputs)

    def rows(self, columns: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
        """The compacted rows by id, in partition order; empty where there is no summary.

        columns: only these, and the id; `a.b` is of the structs in column a (or in its lists) the field b alone.
        """
        summary = self.summary()
        return {} if summary is None else self._read(f"{self.folder}/{summary.rows}", columns)

    def load(self, is_final: Any = None) -> State:
        """Everything there is, newest row of each id. `is_final(row, attempts)` judges rows of parts."""
        names = self.storage.names(self.folder)
        state = State(
            parts=sorted(n.removesuffix(".parquet") for n in names if n.startswith("part-") and n.endswith(".parquet")),
            claims=[n for n in names if n.startswith("claim-")],
        )
        if "summary.json" in names:
            state.summary = self.summary()
            state.entries = {key: Entry(row) for key, row in self.rows().items()}
            ledger = self.ledger() if "ledger.json" in names else {}
            for key, (attempts, seconds) in ledger.items():
                if key in state.entries:
                    state.entries[key].attempts, state.entries[key].seconds = int(attempts), seconds
        for stem in state.parts:  # names sort by (epoch, sequence)
            for key, row in self._read(f"{self.folder}/{stem}.parquet").items():
                attempts, seconds = row.pop("attempts"), row.pop("seconds")
                final = row["status"] != OPEN and (is_final is None or is_final(row, attempts))
                state.entries[key] = Entry(row, attempts, seconds, final)
        return state

    def _read(self, path: str, columns: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
        wanted = None if columns is None else ["id", *(_stored(self.schema, column) for column in columns)]
        # A partition is small: threads, and the finding of files, would cost more than they save.
        table = pq.ParquetFile(arrow_file(self.storage.read(path))).read(columns=wanted, use_threads=False)
        with _uncollected():
            return {row["id"]: row for row in table.to_pylist()}

    def ledger(self) -> dict[str, list[float]]:
        """Attempts and seconds of every row of the compacted table, by id."""
        found: dict[str, list[float]] = json.loads(self.storage.read(f"{self.folder}/ledger.json"))
        return found

    # -- writing ------------------------------------------------------------------------------------------------

    def write_part(self, epoch: int, entries: Sequence[tuple[Row, int, float]]) -> None:
        """Commits rows, each with its attempts and seconds, as one new part."""
        sequence = 0
        prefix = f"part-{epoch:06d}-"
        for name in self.storage.names(self.folder):
            if name.startswith(prefix):
                sequence = max(sequence, int(name[len(prefix) :].split(".")[0]) + 1)
        stem = f"{prefix}{sequence:06d}"
        tar = _Tar(self.storage, f"{stem}.tar")
        try:
            rows = []
            for row, attempts, seconds in entries:
                fields = row.fields
                if self.holds_blobs:
                    fields = {name: tar.keep(row.id, value) for name, value in fields.items()}
                rows.append({**row.columns(), **fields, "attempts": attempts, "seconds": seconds})
            schema = pa.schema([*self.schema, *(pa.field(n, t) for n, t in LEDGER)])
            data = _parquet(_table(rows, schema))
            tar.commit(self.folder)
        finally:
            tar.discard()
        self.storage.write(f"{self.folder}/{stem}.parquet", data)

    def remove_leftovers(self) -> None:
        """Removes what a worker that was killed in the middle of a commit left here; only its next worker may."""
        self.storage.remove_leftovers(self.folder)

    def reopen(self, epoch: int, ids: Iterable[str]) -> None:
        """Opens rows again, so that the next build computes them again."""
        self.write_part(epoch, [(Row(key, status=OPEN), 0, 0.0) for key in sorted(ids)])

    def compact(
        self,
        order: Sequence[str],
        inputs: Mapping[str, Any],
        totals: Any,
        rest: Sequence[tuple[Row, int, float]] = (),
    ) -> Summary:
        """Turns final rows (`order`: the ids that reached the stage) into one table, and lets go of the parts.

        rest: rows as `write_part` takes them, newer than those in parts, and without blobs.
        """
        state = self.load()
        for newer, attempts, seconds in rest:
            state.entries[newer.id] = Entry({**newer.columns(), **newer.fields}, attempts, seconds)
        missing = [key for key in order if key not in state.entries]
        if missing:
            raise AssertionError(f"{self.folder}: rows lost: {missing[:5]}")
        rows = [state.entries[key].row for key in order]
        old = self.storage.names(self.folder)
        with _Copier(self) as copier:
            rows = [copier.copy(row) for row in rows] if self.holds_blobs else rows
            blobs = copier.commit()
        for row in rows if blobs else ():
            _rename_blobs(row, blobs)
        table = _table(rows, self.schema)
        if rest:  # what a table gives back: every column, and values of its types
            rows = table.to_pylist()
        data = _parquet(table)
        name = f"rows-{hashlib.sha256(data).hexdigest()[:16]}.parquet"
        self.storage.write(f"{self.folder}/{name}", data)
        ledger = {key: [state.entries[key].attempts, round(state.entries[key].seconds, 4)] for key in order}
        self.storage.write(f"{self.folder}/ledger.json", json.dumps(ledger, sort_keys=True).encode())
        summary = Summary(
            rows=name,
            blobs=blobs,
            size=len(data) + copier.bytes,
            inputs=dict(inputs),
            counts={
                **{status: sum(r["status"] == status for r in rows) for status in ("ok", "dropped", "failed")},
                "partial": sum(bool(r["partial"]) for r in rows),
            },
            reasons=dict(sorted(Counter(r["reason"] for r in rows if r["status"] == "dropped").items())),
            errors=dict(sorted(Counter(r["error_class"] for r in rows if r["status"] == "failed").items())),
            totals=totals(rows),
        )
        self.storage.write(f"{self.folder}/summary.json", summary.encode())
        for stale in old:
            if stale not in (name, blobs, "summary.json", "ledger.json"):
                self.storage.delete(f"{self.folder}/{stale}")
        return summary


@contextmanager
def _uncollected() -> Iterator[None]:
    """Many rows, which hold no cycles, are made without the garbage collector, which would walk over all of them again
    and again: a quarter of what reading a table costs."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _stored(schema: pa.Schema, column: str) -> str:
    """The name of a column, or of a field in one, as Parquet has it: lists have a level of their own."""
    name, *fields = column.split(".")
    kind = schema.field(name).type
    for field_ in fields:
        while pa.types.is_list(kind):
            name, kind = f"{name}.list.element", kind.value_type
        name, kind = f"{name}.{field_}", kind.field(field_).type
    return name


def _refers(kind: pa.DataType) -> bool:
    """Whether values of this type hold references to blobs."""
    if kind.equals(BLOB):
        return True
    if pa.types.is_list(kind):
        return _refers(kind.value_type)
    return pa.types.is_struct(kind) and any(_refers(kind.field(n).type) for n in range(kind.num_fields))


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    unknown = {name for row in rows for name in row} - set(schema.names)
    if unknown:
        raise AssertionError(f"columns that the table does not have: {sorted(unknown)}")
    return pa.Table.from_pylist(rows, schema=schema)


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", use_dictionary=True)
    return buffer.getvalue()


class _Tar:
    """The blobs of one part, gathered in a scratch file; empty parts leave none."""

    def __init__(self, storage: Storage, name: str) -> None:
        self.storage = storage
        self.name = name
        self.path: Path | None = None
        self.file: Any = None
        self.count: Counter[str] = Counter()

    def keep(self, item_id: str, value: Any) -> Any:
        """`value` with every Blob in it stored and replaced by its reference."""
        if isinstance(value, Blob):
            return self._add(item_id, value)
        if isinstance(value, Mapping):
            return {name: self.keep(item_id, inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.keep(item_id, inner) for inner in value]
        return value

    def _add(self, item_id: str, blob: Blob) -> dict[str, Any]:
        if self.file is None:
            self.path, descriptor = self.storage.scratch_file(".tar")
            self.file = os.fdopen(descriptor, "wb")
        info = tarfile.TarInfo(f"{item_id}/{self.count[item_id]:06d}{blob.suffix}")
        info.size = len(blob.data)
        self.count[item_id] += 1
        header = info.tobuf(tarfile.USTAR_FORMAT)
        offset = self.file.tell() + len(header)
        self.file.write(header + blob.data + b"\0" * (-len(blob.data) % BLOCK))
        digest = hashlib.sha256(blob.data).hexdigest()
        return {"blob": self.name, "offset": offset, "size": len(blob.data), "sha256": digest}

    def commit(self, folder: str) -> None:
        if self.file is not None and self.path is not None:
            self.file.write(b"\0" * (2 * BLOCK))
            self.file.close()
            self.storage.put(f"{folder}/{self.name}", self.path)
            self.path = None

    def discard(self) -> None:
        if self.file is not None:
            self.file.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)


class _Copier:
    """Copies the members that rows refer to into one tar named by its content, header and all."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.storage = partition.storage
        self.path, descriptor = self.storage.scratch_file(".tar")
        self.file = os.fdopen(descriptor, "wb")
        self.digest = hashlib.sha256()
        self.bytes = 0
        self.sources: dict[str, bytes] = {}

    def __enter__(self) -> _Copier:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.path.unlink(missing_ok=True)

    def copy(self, value: Any) -> Any:
        if isinstance(value, dict):
            if value.keys() == {"blob", "offset", "size", "sha256"}:
                return self._copy(value)
            return {name: self.copy(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.copy(inner) for inner in value]
        return value

    def _copy(self, reference: dict[str, Any]) -> dict[str, Any]:
        if reference["blob"] is None:
            return reference
        start, size = reference["offset"] - BLOCK, reference["size"]
        length = BLOCK + size + (-size % BLOCK)
        member = self.storage.read_range(f"{self.partition.folder}/{reference['blob']}", start, length)
        if hashlib.sha256(member[BLOCK : BLOCK + size]).hexdigest() != reference["sha256"]:
            raise OSError(f"{self.partition.folder}/{reference['blob']}: bytes at {start} are not what was written")
        offset = self.bytes + BLOCK
        self._write(member)
        return {**reference, "offset": offset}

    def _write(self, data: bytes) -> None:
        self.file.write(data)
        self.digest.update(data)
        self.bytes += len(data)

    def commit(self) -> str:
        if not self.bytes:
            return ""
        self._write(b"\0" * (2 * BLOCK))
        self.file.close()
        name = f"blobs-{self.digest.hexdigest()[:16]}.tar"
        self.storage.put(f"{self.partition.folder}/{name}", self.path)
        return name


def _rename_blobs(value: Any, name: str) -> None:
    if isinstance(value, dict):
        if value.keys() == {"blob", "offset", "size", "sha256"}:
            if value["blob"] is not None:
                value["blob"] = name
            return
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            _rename_blobs(inner, name)
