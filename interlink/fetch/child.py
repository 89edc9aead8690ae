"""A child process that fetches: a fresh interpreter with many transfers in threads, guarded, paced by its parent.

It is separate so that it can be killed: a hostile page can keep an interpreter busy for an hour, and no thread of that
interpreter runs meanwhile. It reports every quarter of a second; its parent (interlink.fetch.pool) ends it if it does
not. It asks its parent for its turn before every request. Costs a second of start and about 80 MB.
"""

from __future__ import annotations

import errno
import itertools
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlink.errors import StageError, UserError
from interlink.fetch import answer
from interlink.fetch.faults import SetupFault
from interlink.fetch.guard import Guard
from interlink.fetch.reach import reach
from interlink.fetch.transfers import FULL_DISK, Abandoned, Transfer
from interlink.processes import die_with
from interlink.redaction import redact_text

if TYPE_CHECKING:
    from interlink.fetch.ytdlp import Wishes

BEAT = 0.25  # seconds between reports
LEASE = 0.5  # seconds in which a granted request must be sent
_LONGEST = 4000  # characters of a message: what goes through the connection stays small, so that no read is cut


# -- what the parent sends --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spec:
    """What all transfers of a child share. allow_hosts: see interlink.fetch.guard."""

    wishes: Wishes
    allow_hosts: tuple[str, ...]

    def guard(self) -> Guard:
        return Guard(**reach(self.allow_hosts, self.wishes.proxy))


@dataclass(frozen=True)
class Begin:
    number: int
    url: str
    folder: Path


@dataclass(frozen=True)
class Abandon:
    number: int


@dataclass(frozen=True)
class Grant:
    """The turn that was asked for. until: when it expires, on the machine's monotonic clock. refusal: none is given."""

    ticket: int
    until: float
    refusal: StageError | None


# -- what the child sends ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ready:
    """It has imported everything."""


@dataclass(frozen=True)
class Beat:
    """It runs. transfers: number -> (seconds without progress, seconds of work)."""

    transfers: dict[int, tuple[float, float]]


@dataclass(frozen=True)
class Ask:
    ticket: int
    host: str


@dataclass(frozen=True)
class Answered:
    host: str


@dataclass(frozen=True)
class Refused:
    host: str
    retry_after: float | None


@dataclass(frozen=True)
class Done:
    """A transfer has ended: its result lies in its folder, or the error."""

    number: int
    error: StageError | UserError | None


# -- the child --------------------------------------------------------------------------------------------------


@dataclass
class _Turn:
    given: threading.Event = field(default_factory=threading.Event)
    grant: Grant | None = None


class Link:
    """The child's side of the connection. A `Pace` for its transfers; thread-safe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._tickets = itertools.count()
        self._turns: dict[int, _Turn] = {}

    def send(self, message: object) -> None:
        with self._lock:
            self._connection.send(message)

    def receive(self) -> Any:
        """The next message. Raises EOFError when the parent has gone."""
        return self._connection.recv()

    def granted(self, grant: Grant) -> None:
        if (turn := self._turns.get(grant.ticket)) is not None:
            turn.grant = grant
            turn.given.set()

    def wait(self, name: str, transfer: Transfer) -> None:
        """Waits for a turn that has not expired: a process that stood still must not send what it saved up."""
        while True:
            ticket, turn = next(self._tickets), _Turn()
            self._turns[ticket] = turn
            try:
                self.send(Ask(ticket, name))
                with transfer.resting():
                    transfer.wait_for(turn.given)
            finally:
                del self._turns[ticket]
            grant = turn.grant
            assert grant is not None
            if grant.refusal is not None:
                raise grant.refusal
            if time.monotonic() <= grant.until:
                return

    def answered(self, name: str) -> None:
        self.send(Answered(name))

    def refused(self, name: str, retry_after: float | None = None) -> None:
        self.send(Refused(name, retry_after))


class _Child:
    def __init__(self, link: Link, wishes: Wishes) -> None:
        self._link = link
        self._wishes = wishes
        self._transfers: dict[int, Transfer] = {}

    def serve(self) -> None:
        """Runs what it is sent until the parent hangs up."""
        threading.Thread(target=self._beat, daemon=True).start()
        self._link.send(Ready())
        while True:
            try:
                message = self._link.receive()
            except (EOFError, ConnectionError):
                os._exit(0)
            if isinstance(message, Begin):
                transfer = self._transfers[message.number] = Transfer()
                threading.Thread(target=self._run, args=(message, transfer), daemon=True).start()
            elif isinstance(message, Abandon):
                if (abandoned := self._transfers.get(message.number)) is not None:
                    abandoned.abandon()
            elif isinstance(message, Grant):
                self._link.granted(message)

    def _beat(self) -> None:
        while True:
            running = {
                number: (transfer.idle_seconds(), transfer.active_seconds())
                for number, transfer in list(self._transfers.items())
            }
            self._link.send(Beat(running))
            time.sleep(BEAT)

    def _run(self, task: Begin, transfer: Transfer) -> None:
        from interlink.fetch import ytdlp

        error = None
        try:
            found = ytdlp.fetch(task.url, task.folder, self._wishes, transfer, self._link)
            answer.write(task.folder, found)
        except BaseException as raised:
            error = plain(raised, task.url)
        self._transfers.pop(task.number, None)
        self._link.send(Done(task.number, error))


def plain(error: BaseException, url: str = "") -> StageError | UserError:
    """The error as it is reported to the parent: small, without the secrets of `url`, of a class that both know."""
    from interlink.stage import failed

    if isinstance(error, UserError):
        return error
    if isinstance(error, Abandoned):
        return StageError("stalled", "abandoned")
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return UserError(
            f"the disk is full: {os.strerror(error.errno or errno.ENOSPC)}", "free space, then run it again"
        )
    if isinstance(error, SetupFault):
        return SetupFault(error.error_class, redact_text(str(error), url)[:_LONGEST])
    if isinstance(error, StageError):
        return StageError(error.error_class, redact_text(str(error), url)[:_LONGEST], error.retry_after)
    row = failed("", error)
    return StageError(row.error_class, redact_text(row.message, url)[:_LONGEST])


def _serve(descriptor: int) -> None:
    import faulthandler

    faulthandler.enable()
    link = Link(Connection(descriptor))
    spec: Spec = link.receive()
    spec.guard().install()
    from interlink.fetch import ytdlp

    ytdlp.prepare()
    _Child(link, spec.wishes).serve()


if __name__ == "__main__":
    die_with(int(sys.argv[2]))
    # The same classes as the parent's: pickles name `interlink.fetch.child`, not `__main__`.
    from interlink.fetch.child import _serve as serve

    serve(int(sys.argv[1]))
