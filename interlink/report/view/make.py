"""Makes a catalogue: partitions that changed from their tables, the others from the catalogue before."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interlink.report.status import build_status
from interlink.report.view import arrays
from interlink.report.view.arrays import Columns
from interlink.report.view.fill import CODED, Codes, Content, Names, content
from interlink.report.view.funnel import clip_funnel
from interlink.report.view.histograms import histograms
from interlink.report.view.opened import DATABASE, Catalogue, Partition, digest, tables_of
from interlink.report.view.schema import ARRAYS, FORMAT, INDEXES, SCORES, SPAN, TABLES
from interlink.report.view.tables import Tables
from interlink.runtime.lock import Lock
from interlink.runtime.partition import Summary
from interlink.runtime.workspace import Workspace

Report = Callable[[int, int], None]  # partitions done, of how many
_GARBAGE = 0.25  # share of the words of documents that are gone, from which on the words are made again


@dataclass(frozen=True)
class Found:
    """A partition of the build: how many of its ids are let in, and the commits of its stages."""

    name: str
    count: int
    summaries: Mapping[str, Summary]

    @property
    def signature(self) -> str:
        return digest([self.count, {stage: summary.rows for stage, summary in self.summaries.items()}])


@dataclass
class Making:
    """What a catalogue is made from."""

    tables: Tables
    partitions: list[Found]

    @staticmethod
    def of(workspace: Workspace, lock: Lock) -> Making:
        """Reads the summaries of all partitions: one small file for each partition and stage."""
        tables = Tables.of(workspace, lock)
        return Making(tables, [Found(name, n, tables.summaries(name)) for name, n in workspace.partitions()])

    @property
    def state(self) -> str:
        """Stands for all that the catalogue is made from."""
        signatures = [(one.name, one.signature) for one in self.partitions]
        return digest([FORMAT, tables_of(self.tables.lock), signatures])

    def write(self, folder: Path, before: Catalogue | None, report: Report) -> None:
        """Writes the catalogue into an empty folder."""
        old = {one.name: one for one in before.partitions} if before else {}
        kept = [one for one in self.partitions if one.name in old and old[one.name].signature == one.signature]
        if before is not None and _worth_keeping(before, kept, old):
            shutil.copyfile(before.folder / DATABASE, folder / DATABASE)
        else:
            before, old = None, {}
        with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as database:
            database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536;")
            if before is None:
                database.executescript(TABLES)
            database.execute("BEGIN")
            writer = _Writer(self.tables, database, before)
            writer.forget([one for one in old.values() if one.name not in {same.name for same in kept}])
            unchanged = {one.name: old[one.name] for one in kept if one.name in old}
            for done, _ in enumerate(writer.add(self.partitions, unchanged)):
                report(done, len(self.partitions))
            groups = writer.joined()
            writer.finish(self, groups)
            database.execute("COMMIT")
            database.executescript(INDEXES)
            report(len(self.partitions), len(self.partitions))
        arrays.write(folder, groups)


def _worth_keeping(before: Catalogue, kept: list[Found], old: Mapping[str, Partition]) -> bool:
    """Whether most of the words in the catalogue before are of documents that stay."""
    stay = sum(old[one.name].count["docs"] for one in kept)
    words = before.rows("SELECT coalesce(max(number), 0) FROM docs")[0][0]
    return bool(kept) and stay >= (1 - _GARBAGE) * words


class _Writer:
    """Fills the tables and arrays of one catalogue."""

    def __init__(self, tables: Tables, database: sqlite3.Connection, before: Catalogue | None) -> None:
        self.tables = tables
        self.database = database
        self.before = before
        self.names = Names(*(Codes(before.meta(name)) for name in CODED)) if before else Names()
        self.parts: dict[str, list[Columns]] = {group: [] for group in ARRAYS}
        self.next_doc = database.execute("SELECT coalesce(max(number), 0) + 1 FROM docs").fetchone()[0]
        self.items = self.docs = 0  # of the partitions so far

    def forget(self, partitions: list[Partition]) -> None:
        """Removes partitions. Their words stay until too many are of no document; no search returns them."""
        for one in partitions:
            for table in ("items", "docs"):
                self.database.execute(f"DELETE FROM {table} WHERE partition = ?", (one.number,))
        self.database.execute("DELETE FROM partitions")

    def add(self, partitions: list[Found], unchanged: Mapping[str, Partition]) -> Iterator[None]:
        """Adds all partitions in order; the tables of the next one are read while this one is written."""

        def read(one: Found) -> Content | None:
            if one.name in unchanged:
                return None
            return content(self.tables, one.name, one.count, one.summaries, self.names)

        with ThreadPoolExecutor(1) as pool:
            ahead = [pool.submit(read, one) for one in partitions[:2]]
            for number, one in enumerate(partitions):
                found = ahead.pop(0).result()
                if number + 2 < len(partitions):
                    ahead.append(pool.submit(read, partitions[number + 2]))
                if found is None:
                    self._copy(number, one, unchanged[one.name])
                else:
                    self._insert(number, one, found)
                yield

    def _copy(self, number: int, one: Found, old: Partition) -> None:
        assert self.before is not None
        pieces = {}
        for group, columns in (
            ("clips", self.before.clips),
            ("frames", self.before.frames),
            ("docs", self.before.docs),
        ):
            first = old.first[group]
            pieces[group] = {
                name: np.array(column) for name, column in
                arrays.sliced(columns, first, first + old.count[group]).items()
            }  # fmt: skip
        pieces["clips"]["item"] -= old.first["items"]
        document = pieces["clips"]["document"]
        document[document >= 0] -= old.first["docs"]
        self._row(number, one, old.blobs, old.count, pieces)

    def _insert(self, number: int, one: Found, found: Content) -> None:
        self.database.executemany(
            f"INSERT INTO items VALUES ({','.join('?' * 12)})",
            [
                (number * SPAN + place, number, item.id, item.title, item.path, item.media, item.outcome,
                 item.stopped, item.why, item.message, item.clips, item.docs)
                for place, item in enumerate(found.items)
            ],
        )  # fmt: skip
        numbers = range(self.next_doc, self.next_doc + len(found.docs))
        self.next_doc += len(found.docs)
        self.database.executemany(
            "INSERT INTO docs VALUES (?,?,?,?,?,?,?,?)",
            [
                (
                    n,
                    number,
                    doc.key,
                    doc.item,
                    doc.title,
                    doc.lead,
                    json.dumps(doc.cover, separators=(",", ":")),
                    doc.digest,
                )
                for n, doc in zip(numbers, found.docs, strict=True)
            ],
        )
        self.database.executemany(
            "INSERT INTO words (rowid, title, text) VALUES (?,?,?)",
            [(n, doc.title, doc.text) for n, doc in zip(numbers, found.docs, strict=True)],
        )
        found.documents["number"][:] = np.array(numbers, np.int64)
        count = {
            "items": len(found.items), "clips": len(found.clips["item"]),
            "frames": len(found.frames["hash"]), "docs": len(found.docs),
        }  # fmt: skip
        self._row(
            number, one, found.blobs, count, {"clips": found.clips, "frames": found.frames, "docs": found.documents}
        )

    def _row(self, number: int, one: Found, blobs: str, count: Mapping[str, int], pieces: dict[str, Columns]) -> None:
        """A partition whose items and documents are in the tables. pieces: counted from its own first ones."""
        self.database.execute(
            "INSERT INTO partitions VALUES (?,?,?,?,?,?,?,?)",
            (number, one.name, one.signature, blobs, *(count[name] for name in ("items", "clips", "frames", "docs"))),
        )
        pieces["clips"]["item"] += self.items
        document = pieces["clips"]["document"]
        document[document >= 0] += self.docs
        self.items, self.docs = self.items + count["items"], self.docs + count["docs"]
        for group, columns in pieces.items():
            self.parts[group].append(columns)

    def joined(self) -> dict[str, Columns]:
        """The arrays of all partitions."""
        return {group: arrays.joined(parts, group) for group, parts in self.parts.items()}

    def finish(self, making: Making, groups: Mapping[str, Columns]) -> None:
        """Writes what is counted once: status, funnels, histograms."""
        tables = making.tables
        status = build_status(tables.workspace, tables.blocks, tables.lock.fingerprints, tables.lock.shards)
        first = self.database.execute(
            "SELECT stopped, outcome, why, count(*) FROM items WHERE outcome != 'ok' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        ).fetchall()
        clips = {**groups["clips"], "seconds": groups["clips"]["end"] - groups["clips"]["start"]}
        meta: dict[str, Any] = {
            "format": FORMAT,
            "state": making.state,
            "tables": tables_of(tables.lock),
            "recipe": tables.lock.recipe,
            "name": tables.recipe.name,
            **{name: codes.names for name, codes in zip(CODED, self.names.all, strict=True)},
            "status": status.json(),
            "stops": [list(row) for row in first],
            "clip_funnel": clip_funnel(groups["clips"], self.names.reasons.names),
            "clip_histograms": histograms({name: clips[name] for name in SCORES}),
            "doc_histograms": histograms({n: c for n, c in groups["docs"].items() if n != "number"}),
        }
        self.database.executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)", [(name, json.dumps(value)) for name, value in meta.items()]
        )
