"""Runs one stage over partitions: what is left of them, isolated or streamed, retried, committed.

A worker opens partitions, asks for the ids without a final row, gives them to the stage, buffers the rows and flushes
them as parts after a few seconds (a timer sees to it while the stage is busy with its next item), retries what may be
retried, and compacts each partition when its last row is final. An attempt on an item of native code or of a costly
stage is written down before the item runs (a claim), so that an item which takes its whole worker down is counted, and
given up after `max_attempts`.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from interlink.errors import StageError, UserError
from interlink.fetch.exclusions import EXCLUDED
from interlink.runtime.isolate import Child
from interlink.runtime.lease import Fence
from interlink.runtime.partition import Entry, Partition, State, Summary
from interlink.runtime.plan import Event, Report, StagePlan, given_together
from interlink.runtime.timer import Timer
from interlink.runtime.workspace import Workspace
from interlink.stage import Blob, Item, Row, Stage, failed
from interlink.stages import amounts

FLUSH_BYTES = 64 * 2**20
AFTER_STALL = 0.25  # share of its deadline that a stalled item gets in later attempts


@dataclass
class _Job:
    """One partition under work."""

    name: str
    partition: Partition
    state: State
    inputs: dict[str, Any]
    items: dict[str, Item]  # all ids that reached the stage, in order
    buffer: list[tuple[Row, int, float]] = field(default_factory=list)
    buffered_bytes: int = 0
    since: float = 0.0  # when the oldest row of the buffer came
    in_flight: dict[str, None] = field(default_factory=dict)
    pending: dict[str, Item] = field(init=False)  # those without a final row

    def __post_init__(self) -> None:
        self.pending = {key: item for key, item in self.items.items() if not self.is_final(key)}

    def reset(self) -> None:
        """Forgets every row."""
        self.state.entries.clear()
        self.pending = dict(self.items)

    def is_final(self, key: str) -> bool:
        entry = self.state.entries.get(key)
        return entry is not None and entry.final

    def failed_as(self, key: str, error_class: str) -> bool:
        entry = self.state.entries.get(key)
        return entry is not None and entry.row["error_class"] == error_class

    def attempts(self, key: str) -> int:
        entry = self.state.entries.get(key)
        return 0 if entry is None else entry.attempts


class Worker:
    """Runs one stage; keeps its model, its child and its pools between partitions."""

    def __init__(self, plan: StagePlan, report: Report) -> None:
        self.plan = plan
        self.report = report
        self.workspace = Workspace(plan.spec.context.root)
        self.fence = Fence(plan.spec.context.root, plan.epoch)
        self.claim_name = f"claim-{plan.epoch:06d}-{os.getpid()}-{uuid.uuid4().hex[:8]}.json"
        self.stage: Stage = plan.spec.build()
        self.child = Child(plan.spec, plan.memory_mb) if plan.isolated else None
        self._opened = False
        self._waiting: dict[str, _Job] = {}  # partitions that have rows in their buffer; with those, under the lock
        self._lock = threading.RLock()
        self._columns = {table: ("status", *columns) for table, columns in self.stage.columns().items()}

    def close(self) -> None:
        if self.child is not None:
            self.child.close()
        if self._opened:
            self.stage.close()
            self._opened = False

    def run(self, partitions: Iterable[tuple[str, int]]) -> list[str]:
        """Finishes these partitions (name, admitted ids). Returns the names of those in which anything was done."""
        try:
            with Timer(self._flush_due) as timer:
                return self._run(partitions, timer)
        except UserError:  # the build stops and goes on later: what is finished is kept
            with self._lock:
                for job in list(self._waiting.values()):
                    self._flush(job)
            raise
        finally:
            self._waiting.clear()

    def _run(self, partitions: Iterable[tuple[str, int]], timer: Timer) -> list[str]:
        jobs = [job for name, admitted in partitions if (job := self._open(name, admitted)) is not None]
        if self.plan.scope != "item":
            shared = given_together({job.name: job.inputs for job in jobs})
            for job in jobs:
                job.inputs["together"] = shared
            jobs = self._whole(jobs)
        else:
            self._finish_complete(jobs)
        open_jobs = {job.name: job for job in jobs}
        while pending := [(job, item) for job in open_jobs.values() for item in job.pending.values()]:
            waits = []
            for job, row, seconds in self._rows(pending):
                timer.check()
                waits.append(self._record(job, row, seconds))
                if not job.pending and self.plan.scope == "item":
                    self._finish(open_jobs.pop(job.name))
            if any(job.pending for job in open_jobs.values()):
                time.sleep(max(waits, default=0.0))
        for job in open_jobs.values():
            self._finish(job)
        return [job.name for job in jobs]

    # -- opening ------------------------------------------------------------------------------------------------

    def _open(self, name: str, admitted: int) -> _Job | None:
        """What is left of a partition; None when it is done."""
        source = self.workspace.source_rows(name)
        tables: dict[str, Mapping[str, dict[str, Any]]] = {"collect": dict(list(source.items())[:admitted])}
        inputs: dict[str, Any] = {"collect": admitted}
        folders = {}
        for table, fingerprint in self.plan.needs.items():
            upstream = self.workspace.partition(table, fingerprint, name, self.plan.schemas.get(table))
            summary = upstream.summary()
            if summary is None:
                raise AssertionError(f"{table} of partition {name} is not done; {self.plan.name} cannot begin")
            inputs[table] = summary.rows
            folders[table] = upstream.folder
            tables[table] = upstream.rows(self._columns.get(table))
        partition = self.workspace.partition(self.plan.name, self.plan.fingerprint, name, self.plan.schema)
        reached = [
            key for key in tables["collect"] if all(rows.get(key, {}).get("status") == "ok" for rows in tables.values())
        ]
        excluded = self.plan.excluded & set(reached)
        if self.plan.scope == "item" and partition.is_done(inputs, excluded):
            self._tell_open(len(reached), len(reached), admitted)
            return None
        partition.remove_leftovers()
        state = partition.load(self.plan.retry.is_final)
        items = {
            key: Item(key, name, {t: rows[key] for t, rows in tables.items()}, folders, self.plan.spec.context)
            for key in reached
        }
        if self.plan.scope == "item":
            kept = {k: e for k, e in state.entries.items() if e.row["reason"] != EXCLUDED or k in excluded}
            state.entries = kept  # without those that were excluded when their row was made, and are no more
        job = _Job(name, partition, state, inputs, items)
        self._count_crashes(job)
        done = sum(job.is_final(key) for key in reached) if self.plan.scope == "item" else 0
        self._tell_open(len(reached), done, admitted)
        if self.plan.scope == "item":
            self._pass_over(job, excluded)
        return job

    def _tell_open(self, reached: int, done: int, admitted: int) -> None:
        self.report(Event(self.plan.name, "open", reached, done, admitted=admitted))

    def _count_crashes(self, job: _Job) -> None:
        """Claims left by a worker of this same build mean that it died with these items: one attempt each.

        Claims of earlier epochs say only that a whole build was ended: nobody's fault, so they are let go.
        """
        lost = []
        for name in job.state.claims:
            try:
                claim = json.loads(job.partition.storage.read(f"{job.partition.folder}/{name}"))
            except ValueError:  # claims are not synced: a power cut, which ended its whole build, may empty them
                continue
            if claim["epoch"] == self.plan.epoch:
                lost += [key for key in claim["ids"] if key in job.items and not job.is_final(key)]
        for key in lost:
            message = "the worker died while it had this item"
            self._record(job, Row(key, status="failed", error_class="crash", message=message), 0.0)
        if lost:
            self._flush(job)
        for name in job.state.claims:
            job.partition.storage.delete(f"{job.partition.folder}/{name}")

    def _pass_over(self, job: _Job, excluded: frozenset[str]) -> None:
        """Drops the excluded ids that have no final row; the table's summary names them and those of earlier builds."""
        for key in excluded & job.pending.keys():
            row = Row(key, status="dropped", reason=EXCLUDED, message="source.exclude_ids names it")
            self._record(job, row, 0.0)
        if passed := sorted(key for key in excluded if job.state.entries[key].row.get("reason") == EXCLUDED):
            job.inputs[EXCLUDED] = passed

    def _whole(self, jobs: list[_Job]) -> list[_Job]:
        """Of a run or a build: nothing when every partition is done, else all of it again."""
        if all(job.partition.is_done(job.inputs) for job in jobs):
            for job in jobs:
                self._tell_open(0, len(job.items), 0)
            return []
        for job in jobs:
            job.reset()
        return jobs

    def _finish_complete(self, jobs: list[_Job]) -> None:
        for job in [job for job in jobs if not job.pending]:
            self._finish(job)
            jobs.remove(job)

    # -- running ------------------------------------------------------------------------------------------------

    def _rows(self, pending: list[tuple[_Job, Item]]) -> Iterator[tuple[_Job, Row, float]]:
        """A row for every pending item, with the seconds it took."""
        if self.child is not None:
            for job, item in pending:
                self._claim(job, [item.id])
                began = time.monotonic()
                yield job, self._call(self.child, job, item), time.monotonic() - began
            return
        if not self._opened:
            self.stage.open()
            self._opened = True
        # An item that may have taken a worker down runs alone, so that its next crash is nobody else's.
        suspects = [(job, item) for job, item in pending if job.failed_as(item.id, "crash")]
        for pair in suspects:
            yield from self._stream([pair])
        alone = {item.id for _, item in suspects}
        yield from self._stream([pair for pair in pending if pair[1].id not in alone])

    def _call(self, child: Child, job: _Job, item: Item) -> Row:
        deadline = self.stage.deadline(item)
        if job.failed_as(item.id, "stalled"):  # it had its time: another attempt only asks whether the machine was slow
            deadline *= AFTER_STALL
        try:
            return child.call(item, deadline)
        except StageError as error:
            return failed(item.id, error)

    def _stream(self, pending: list[tuple[_Job, Item]]) -> Iterator[tuple[_Job, Row, float]]:
        """Feeds the stage from several partitions, routes rows home; a stage that breaks costs what it had taken."""
        homes = {item.id: job for job, item in pending}
        rest = pending
        while rest:
            waiting = iter(rest)
            taken: dict[str, None] = {}
            fault: Exception = AssertionError(f"stage {self.plan.name} returned no row for this item")
            began = time.monotonic()
            try:
                for row in self.stage.run(self._feed(waiting, taken)):
                    if row.id not in taken:
                        raise AssertionError(
                            f"stage {self.plan.name} returned a row for {row.id!r}, which it was not given"
                        )
                    del taken[row.id]
                    homes[row.id].in_flight.pop(row.id)
                    now = time.monotonic()
                    yield homes[row.id], row, now - began
                    began = now
            except UserError:  # not the item's fault: the whole build must stop and say so
                raise
            except Exception as error:
                fault = error
            left = list(waiting)
            unanswered = list(taken) or ([item.id for _, item in left] if len(left) == len(rest) else [])
            for key in unanswered:
                homes[key].in_flight.pop(key, None)
                yield homes[key], failed(key, fault), 0.0
            rest = [pair for pair in left if pair[1].id not in unanswered]

    def _feed(self, waiting: Iterator[tuple[_Job, Item]], taken: dict[str, None]) -> Iterator[Item]:
        for job, item in waiting:
            taken[item.id] = None
            job.in_flight[item.id] = None
            self._claim(job, list(job.in_flight))
            yield item

    def _claim(self, job: _Job, ids: list[str]) -> None:
        if self.plan.claims:
            data = json.dumps({"epoch": self.plan.epoch, "ids": ids}).encode()
            with self.workspace.storage.committing():
                job.partition.storage.write(f"{job.partition.folder}/{self.claim_name}", data, durable=False)

    # -- committing ---------------------------------------------------------------------------------------------

    def _record(self, job: _Job, row: Row, seconds: float) -> float:
        """Takes a row in; returns the seconds to wait before the next attempt (0 when it is final)."""
        attempts = job.attempts(row.id) + 1
        values = {"status": row.status, "error_class": row.error_class, "reason": row.reason}
        final = self.plan.retry.is_final(values, attempts)
        job.state.entries[row.id] = Entry(values, attempts, seconds, final)
        with self._lock:
            if not job.buffer:
                job.since = time.monotonic()
                self._waiting[job.name] = job
            job.buffer.append((row, attempts, seconds))
            job.buffered_bytes += _blob_bytes(row.fields) if job.partition.holds_blobs else 0
            if job.buffered_bytes > FLUSH_BYTES or self._seconds_left(job) <= 0:
                self._flush(job)
        if final:
            job.pending.pop(row.id, None)
            self.report(Event(self.plan.name, "row", 1, status=row.status, error_class=row.error_class))
        return 0.0 if final else self.plan.retry.delay(attempts, row.retry_after)

    def _seconds_left(self, job: _Job) -> float:
        """Until the rows in its buffer have waited long enough."""
        return job.since + self.plan.flush_seconds - time.monotonic()

    def _flush_due(self) -> float:
        """Flushes what has waited long enough; returns the seconds until the next may have."""
        with self._lock:
            for job in list(self._waiting.values()):
                if self._seconds_left(job) <= 0:
                    self._flush(job)
            return min([self.plan.flush_seconds, *map(self._seconds_left, self._waiting.values())])

    def _flush(self, job: _Job) -> None:
        with self._lock, self.workspace.storage.committing():
            if job.buffer:
                self.fence.check()
                job.partition.write_part(self.plan.epoch, job.buffer)
            self._emptied(job)

    def _emptied(self, job: _Job) -> None:
        self._waiting.pop(job.name, None)
        job.buffer = []
        job.buffered_bytes = 0

    def _finish(self, job: _Job) -> Summary:
        """Rows that are in no part yet go into the table at once, but for blobs, which parts hold."""
        if job.partition.holds_blobs:
            self._flush(job)
        with self._lock, self.workspace.storage.committing():
            self.fence.check()
            summary = job.partition.compact(
                list(job.items), job.inputs, lambda rows: amounts(self.plan.name, self.stage, rows), job.buffer
            )
            self._emptied(job)
        return summary


def _blob_bytes(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(_blob_bytes(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return sum(_blob_bytes(inner) for inner in value)
    return len(value.data) if isinstance(value, Blob) else 0
