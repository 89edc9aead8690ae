"""Runs transfers in a few child processes that can be killed, all under one pacer.

One thread supervises: it starts the children, hands out transfers and turns, and ends a child that stops reporting.
What ran in such a child runs again, one transfer at a time in a child of its own, until the guilty one is found: that
one fails as `stalled` (`crash` if the process died). It is remembered, so that another attempt endangers no other
transfer and costs a quarter of the time.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from interlink.errors import StageError
from interlink.fetch import answer
from interlink.fetch.child import (
    BEAT,
    LEASE,
    Abandon,
    Answered,
    Ask,
    Beat,
    Begin,
    Done,
    Grant,
    Ready,
    Refused,
    Spec,
)
from interlink.fetch.pacing import Pacer, Request, Turns
from interlink.fetch.transfers import Transfer
from interlink.processes import python_path

if TYPE_CHECKING:
    from interlink.fetch.ytdlp import Fetched

SILENCE = 8.0  # seconds without a report after which a child is ended
START_SECONDS = 120.0  # for a child's imports
_QUIET = 4 * BEAT  # a child that has not reported for so long gets no new transfer
_LATE = 1.0  # a supervisor that woke up so late cannot judge others
PER_PROCESS, MOST_PROCESSES = 16, 8


def processes(concurrency: int) -> int:
    """How many children `concurrency` transfers get: 3, and more above 48 transfers."""
    return min(concurrency, max(3, min(MOST_PROCESSES, -(-concurrency // PER_PROCESS))))


@dataclass(eq=False)
class _Task:
    number: int
    url: str
    folder: Path
    transfer: Transfer
    done: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None
    death: int = 0  # of the child in which it ran, where it is a suspect


class _Child:
    """A running child, as the supervisor sees it."""

    def __init__(self, spec: Spec) -> None:
        self.tasks: dict[int, _Task] = {}
        self.running: dict[int, tuple[float, float]] = {}
        self.ready = False
        self.alone = False  # it has one suspect, and gets nothing else meanwhile
        self.heard = time.monotonic()
        ours, theirs = socket.socketpair()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - read when the child has died
        self.process = subprocess.Popen(
            [sys.executable, "-m", "interlink.fetch.child", str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": python_path()},
        )
        theirs.close()
        self.connection = Connection(ours.detach())
        self.send(spec)

    def send(self, message: object) -> None:
        with contextlib.suppress(OSError):  # it has died: reading says so
            self.connection.send(message)

    def begin(self, task: _Task) -> None:
        self.tasks[task.number] = task
        self.send(Begin(task.number, task.url, task.folder))

    def silence(self) -> float:
        return time.monotonic() - self.heard

    def kill(self) -> str:
        """Ends it and all it started; returns how it ended, with the last it said."""
        code = self.process.poll()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.connection.close()
        self._log.seek(0)
        said = self._log.read().decode(errors="replace").strip()[-600:]
        self._log.close()
        name = signal.Signals(-code).name if code is not None and code < 0 else f"exit status {code}"
        return f"the process died ({name})" + (f": {said}" if said else "")


class Pool:
    """Children that fetch. `fetch` is thread-safe; `close` ends them all.

    spec: what they share. most: children at once.
    """

    def __init__(self, spec: Spec, pacer: Pacer, most: int) -> None:
        self._spec = spec
        self._pacer = pacer
        self._most = most
        self._numbers = itertools.count()
        self._deaths = itertools.count(1)
        self._inbox: SimpleQueue[tuple[_Task, bool]] = SimpleQueue()  # (task, whether it is abandoned)
        self._queue: deque[_Task] = deque()
        self._suspects: deque[_Task] = deque()
        self._guilty: set[str] = set()
        self._children: list[_Child] = []
        self._turns = Turns(pacer)
        self._closing = False
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        # A thread that stays: the kernel ends the children when the thread that started them ends.
        self._thread = threading.Thread(target=self._supervise, name="fetching", daemon=True)
        self._thread.start()

    def fetch(self, url: str, folder: Path, transfer: Transfer) -> Fetched:
        """The result of `interlink.fetch.ytdlp.fetch` in a child. Raises StageError or UserError."""
        task = _Task(next(self._numbers), url, folder, transfer)
        self._tell(task, False)
        try:
            transfer.wait_for(task.done)
        except BaseException:
            self._tell(task, True)
            raise
        if task.error is not None:
            raise task.error
        return answer.read(folder)

    def close(self) -> None:
        self._closing = True
        self._ring()
        self._thread.join()
        self._bell.close()
        self._ringer.close()

    def _tell(self, task: _Task, abandoned: bool) -> None:
        self._inbox.put((task, abandoned))
        self._ring()

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # it rings already, or the pool is closed
            self._ringer.send(b"\0", socket.MSG_DONTWAIT)

    # -- the supervisor -----------------------------------------------------------------------------------------

    def _supervise(self) -> None:
        fault: Exception = StageError("crash", "the build is ending")
        try:
            pause = BEAT
            while not self._closing:
                pause = self._turn(min(pause, BEAT))
        except Exception as error:  # a bug here: no transfer may wait for ever
            self._closing, fault = True, error
        finally:
            for child in self._children:
                child.kill()
            self._listen()
            for task in [*self._queue, *self._suspects, *(t for c in self._children for t in c.tasks.values())]:
                self._finish(task, fault)

    def _turn(self, pause: float) -> float:
        """One look at everything; returns the seconds until the next is due."""
        planned = time.monotonic() + pause
        told = wait([self._bell, *(child.connection for child in self._children)], pause)
        if time.monotonic() > planned + _LATE:  # this process stood still; the children may have too
            for child in self._children:
                child.heard = time.monotonic()
        self._listen()
        for child in [child for child in self._children if child.connection in told]:
            self._read(child)
        for child in list(self._children):
            if child.silence() > self._patience(child):
                self._lost(child, silent=True)
        self._dispatch()
        for task in [*self._queue, *self._suspects]:
            task.transfer.report(0.0, 0.0)
        for child in self._children:
            for number, task in child.tasks.items():
                task.transfer.report(*child.running.get(number, (0.0, 0.0)))
        return self._turns.give()

    def _listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._bell.recv(4096)
        with contextlib.suppress(Empty):
            while True:
                task, abandoned = self._inbox.get_nowait()
                if self._closing:
                    self._finish(task, StageError("crash", "the build is ending"))
                elif abandoned:
                    self._let_go(task)
                elif task.url in self._guilty:
                    self._suspects.append(task)
                else:
                    self._queue.append(task)

    def _let_go(self, task: _Task) -> None:
        for waiting in (self._queue, self._suspects):
            if task in waiting:
                waiting.remove(task)
        for child in self._children:
            if child.tasks.pop(task.number, None) is not None:
                child.send(Abandon(task.number))
                child.alone = False

    def _read(self, child: _Child) -> None:
        try:
            while child.connection.poll():
                self._take(child, child.connection.recv())
        except (EOFError, OSError):
            self._lost(child, silent=False)

    def _take(self, child: _Child, message: Any) -> None:
        child.heard = time.monotonic()
        if isinstance(message, Beat):
            child.running = message.transfers
        elif isinstance(message, Ask):
            self._turns.ask(message.host, Request(child, lambda refusal: _grant(child, message.ticket, refusal)))
        elif isinstance(message, Answered):
            self._pacer.answered(message.host)
        elif isinstance(message, Refused):
            self._pacer.refused(message.host, message.retry_after)
        elif isinstance(message, Ready):
            child.ready = True
        elif isinstance(message, Done) and (task := child.tasks.pop(message.number, None)) is not None:
            child.alone = False
            self._finish(task, message.error)

    def _finish(self, task: _Task, error: Exception | None) -> None:
        task.error = error
        task.done.set()

    def _patience(self, child: _Child) -> float:
        if not child.ready:
            return START_SECONDS
        known = any(task.url in self._guilty for task in child.tasks.values())
        return SILENCE / 4 if known else SILENCE

    def _lost(self, child: _Child, silent: bool) -> None:
        """Ends a child that is silent or has died, and looks for the transfer that is guilty of it."""
        silence = child.silence()
        how = child.kill()
        self._children.remove(child)
        self._turns.forget(child)
        tasks = list(child.tasks.values())
        if silent:
            error = StageError("stalled", f"the page kept its process busy for {silence:.0f} s; the process was ended")
        else:
            error = StageError("crash", how)
        if not child.ready:
            for task in tasks:
                self._finish(task, error)
        elif len(tasks) == 1:
            self._guilty.add(tasks[0].url)
            self._finish(tasks[0], error)
            freed = [task for task in self._suspects if task.death == tasks[0].death and task.death]
            self._suspects = deque(task for task in self._suspects if task not in freed)
            self._queue.extendleft(reversed(freed))
        else:
            death = next(self._deaths)
            for task in tasks:
                task.death = death
            self._suspects.extend(tasks)

    def _dispatch(self) -> None:
        now_open = [child for child in self._children if not child.alone]
        if self._suspects and len(now_open) == len(self._children):  # one suspect at a time
            idle = next((child for child in now_open if not child.tasks and child.silence() < _QUIET), None)
            child = idle or self._start()
            child.alone = True
            child.begin(self._suspects.popleft())
        while self._queue:
            crowd = [child for child in self._children if not child.alone]
            usable = [child for child in crowd if not child.ready or child.silence() < _QUIET]
            best = min(usable, key=lambda child: len(child.tasks), default=None)
            if (best is None or best.tasks) and len(crowd) < self._most:
                best = self._start()
            if best is None:
                return
            best.begin(self._queue.popleft())

    def _start(self) -> _Child:
        child = _Child(self._spec)
        self._children.append(child)
        return child


def _grant(child: _Child, ticket: int, refusal: StageError | None) -> None:
    child.send(Grant(ticket, time.monotonic() + LEASE, refusal))
