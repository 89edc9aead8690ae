"""One persistent, killable child per worker, in which native code meets files from outside.

The child is a fresh interpreter (no fork of a threaded parent) that holds the stage, answers one item at a time over a
socket pair, and dies with its parent. The parent watches the clock and the child's memory: a crash, a stall or too
much memory becomes a StageError for that item, and the next item gets a new child.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from interlink.errors import StageError
from interlink.processes import die_with, python_path

if TYPE_CHECKING:
    import psutil

    from interlink.stage import Context, Item, Row, Stage

POLL = 0.05  # seconds between looks at the child's memory
# A worker is one core: the threads of a linear algebra library would wait for each other busily. The environment's own
# values count for more.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
TREE_EVERY = 10  # the child's own children are counted at every tenth look


@dataclass(frozen=True)
class StageSpec:
    """How to make a stage in another process. `implementation` is `module:Class`, settings its validated block."""

    implementation: str
    settings: dict[str, Any]
    context: Context

    def build(self) -> Stage:
        from importlib import import_module

        module, _, name = self.implementation.partition(":")
        cls: type[Stage] = getattr(import_module(module), name)
        return cls(cls.settings_class(**self.settings), self.context)


class Child:
    """A child process that runs one stage's items. Not thread-safe: one worker, one child."""

    def __init__(self, spec: StageSpec, memory_mb: int) -> None:
        self.spec = spec
        self.memory = memory_mb * 2**20
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._stderr: Any = None

    def call(self, item: Item, deadline: float) -> Row:
        """The item's row. Raises StageError `crash`, `stalled` (after `deadline` seconds) or `memory`."""
        connection, process = self._start()
        began = time.monotonic()
        watched = _watch(process.pid)
        looks = 0
        try:
            connection.send(item)
            while not connection.poll(POLL):
                looks += 1
                if time.monotonic() - began > deadline:
                    self.close()
                    raise StageError("stalled", f"no answer within {deadline:.0f} s; the worker was ended")
                used = _memory(watched, tree=looks % TREE_EVERY == 0)
                if used > self.memory:
                    self.close()
                    raise StageError(
                        "memory", f"{used // 2**20} MB used, {self.memory // 2**20} MB allowed; the worker was ended"
                    )
            row: Row = connection.recv()
            return row
        except (EOFError, ConnectionError, OSError) as error:
            raise StageError("crash", self._obituary()) from error

    def close(self) -> None:
        """Ends the child and everything it started."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _start(self) -> tuple[Connection, subprocess.Popen[bytes]]:
        if self._connection is not None and self._process is not None and self._process.poll() is None:
            return self._connection, self._process
        self.close()
        ours, theirs = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - read when the child has died
        self._process = subprocess.Popen(
            [sys.executable, "-m", "interlink.runtime.isolate", str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            start_new_session=True,
            env={**ONE_THREAD, **os.environ, "PYTHONPATH": python_path()},
        )
        theirs.close()
        self._connection = Connection(ours.detach())
        try:
            self._connection.send(self.spec)
            problem = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            raise StageError("crash", f"the worker died while it opened the stage: {self._obituary()}") from error
        if problem is not None:
            self.close()
            raise problem
        return self._connection, self._process

    def _obituary(self) -> str:
        """How the child ended, with the last it said."""
        process = self._process
        code = process.wait(timeout=10) if process is not None else None
        self._stderr.seek(0)
        said = self._stderr.read().decode(errors="replace").strip()[-600:]
        self.close()
        name = signal.Signals(-code).name if code is not None and code < 0 else f"exit status {code}"
        return f"the worker died ({name})" + (f": {said}" if said else "")


def _watch(pid: int) -> psutil.Process | None:
    import psutil

    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _memory(process: psutil.Process | None, tree: bool) -> int:
    """Resident bytes of the child, and of its own children when `tree`; 0 when it is gone."""
    import psutil

    if process is None:
        return 0
    try:
        used = int(process.memory_info().rss)
        if tree:
            used += sum(int(child.memory_info().rss) for child in process.children(recursive=True))
        return used
    except psutil.Error:
        return 0


def _serve(descriptor: int) -> None:
    """The child: builds the stage it is sent, then answers items until the parent hangs up."""
    import faulthandler

    from interlink.stage import failed

    faulthandler.enable()
    connection = Connection(descriptor)
    spec: StageSpec = connection.recv()
    try:
        stage = spec.build()
        stage.open()
    except Exception as error:
        connection.send(error)
        return
    connection.send(None)
    while True:
        try:
            item: Item = connection.recv()
        except EOFError:
            return
        try:
            row = next(iter(stage.run(iter([item]))))
        except BaseException as error:
            row = failed(item.id, error)
        connection.send(row)


if __name__ == "__main__":
    die_with(int(sys.argv[2]))
    # The same classes as the parent's: pickles name `interlink.runtime.isolate`, not `__main__`.
    from interlink.runtime.isolate import _serve as serve

    serve(int(sys.argv[1]))
