"""Ray Data over partitions: stages stream into each other through actor pools; only partition names travel.

Bytes go through committed tables, so a block is a few dozen bytes whatever the videos weigh. An actor that dies is
restarted by Ray and its partition given again; the worker's claims bound how often. Starting a local Ray costs 7–9 s.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from interlink.errors import UserError
from interlink.recipe import ExecutorSettings
from interlink.runtime.plan import Event, Report, StagePlan
from interlink.runtime.work import Share, Work, shares
from interlink.runtime.worker import Worker

_BACKEND_LINE = re.compile(rb"\[[^\]]*\] [\w/]+\.cc:\d+: ")
POLL = 0.3  # seconds between looks at the progress board


class Board:
    """An actor that workers report to and the driver reads; one message a few times a second and worker."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.fault: UserError | None = None

    def stop(self, fault: UserError) -> None:
        """Takes what a worker says must stop the build: Ray's own wrapping loses all but the words."""
        self.fault = self.fault or fault

    def why(self) -> UserError | None:
        return self.fault

    def post(self, events: list[Event]) -> None:
        self.events += events

    def take(self) -> list[Event]:
        taken, self.events = self.events, []
        return taken


class StageActor:
    """What Ray Data calls with a batch of one group of partitions."""

    def __init__(self, plan: StagePlan, board: Any) -> None:
        self.board = board
        self.pending: list[Event] = []
        with self._telling():
            self.worker = Worker(plan, self._report)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        for names, counts in zip(batch["partitions"], batch["counts"], strict=True):
            with self._telling():
                self.worker.run([(str(name), int(count)) for name, count in zip(names, counts, strict=True)])
        self._send()
        return batch

    @contextmanager
    def _telling(self) -> Iterator[None]:
        import ray

        try:
            yield
        except UserError as fault:
            ray.get(self.board.stop.remote(fault))
            raise

    def _report(self, event: Event) -> None:
        self.pending.append(event)
        if len(self.pending) >= 32 or event.kind == "open" or self.worker.plan.isolated:
            self._send()

    def _send(self) -> None:
        if self.pending:
            self.board.post.remote(self.pending)
            self.pending = []


def run(stages: Sequence[StagePlan], work: Work, report: Report, settings: ExecutorSettings) -> None:
    """Finishes `work` on a Ray cluster, or on a local Ray started for it and ended after it."""
    import ray

    with cluster(settings):
        board = ray.remote(num_cpus=0)(Board).remote()
        stop = threading.Event()
        watcher = threading.Thread(target=_watch, args=(board, stop, report), daemon=True)
        watcher.start()
        try:
            # What is given whole runs, or the whole build, begins when all before it has ended.
            for _, pipeline in groupby(stages, key=lambda plan: plan.scope):
                _stream(list(pipeline), work, board)
        finally:
            stop.set()
            watcher.join()
            ray.kill(board)


def _stream(stages: Sequence[StagePlan], work: Work, board: Any) -> None:
    """One Ray Data pipeline: a pool of actors per stage, a row per group of partitions."""
    import ray

    groups = [
        {"partitions": [name for name, _ in group], "counts": [count for _, count in group]}
        for group in work.groups(stages[0])
    ]
    if not groups:
        return
    total = ray.cluster_resources()
    wanted = {plan.name: plan.resources for plan in stages}
    fit = shares(wanted, total.get("CPU", 1.0), total.get("GPU", 0.0), len(groups))
    data = ray.data.from_items(groups, override_num_blocks=len(groups))
    for plan in stages:
        share: Share = fit[plan.name]
        data = data.map_batches(
            StageActor,
            fn_constructor_kwargs={"plan": plan, "board": board},
            batch_size=1,
            num_cpus=share.cpus,
            num_gpus=share.gpus or None,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=share.most),
        )
    try:
        for _ in data.iter_batches(batch_size=None):
            pass
    except ray.exceptions.RayError as error:
        fault = ray.get(board.why.remote())
        if fault is not None:
            raise fault from error
        raise


def _watch(board: Any, stop: threading.Event, report: Report) -> None:
    import ray

    while True:
        last = stop.wait(POLL)
        try:
            for event in ray.get(board.take.remote()):
                report(event)
        except ray.exceptions.RayError:
            return
        if last:
            return


@contextmanager
def cluster(settings: ExecutorSettings) -> Iterator[None]:
    """The cluster that is named, the one this process is connected to, or a local one for the time of the block.

    Several builds in one block share it.
    """
    import ray

    if ray.is_initialized():
        _quiet()
        yield
        return
    address = settings.address or os.environ.get("RAY_ADDRESS") or None
    os.environ.setdefault("RAY_AUTH_MODE", "disabled" if address is None else os.environ.get("RAY_AUTH_MODE", "token"))
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its warnings are about its own bookkeeping
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        options |= {"num_cpus": settings.cpus or None, "include_dashboard": False}
    try:
        with _without_backend_lines():
            ray.init(address=address, **options)
    except (ConnectionError, ValueError) as error:
        raise UserError(f"no Ray cluster at {address}: {error}", "start it, or leave executor.address empty") from error
    _quiet()
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _without_backend_lines() -> Iterator[None]:
    """Keeps lines of Ray's native code off stderr; other lines of that time are written at its end.

    Ray announces there that it read RAY_BACKEND_LOG_LEVEL, before that level is in force.
    """
    with tempfile.TemporaryFile() as held:
        shown = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(shown, 2)
            os.close(shown)
            held.seek(0)
            for line in held:
                if not _BACKEND_LINE.match(line):
                    os.write(2, line)


def _quiet() -> None:
    """Our own progress replaces Ray Data's."""
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
