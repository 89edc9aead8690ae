"""Runs many transfers at once: a row is yielded as soon as it is finished, and a stalled transfer is abandoned.

One thread per transfer, at most `concurrency`. A thread that hangs in a system call cannot be stopped, so a stalled one
is abandoned: its row is written, and its next call raises, so that it cleans up and ends.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from interlink.errors import UserError
from interlink.stage import Item, Row, failed

_POLL_SECONDS = 0.25
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


class Abandoned(BaseException):
    """Raised inside an abandoned transfer. Not an Exception, so that no library catches it."""


class Transfer:
    """The heartbeat of one transfer: its thread reports progress, the waiting side reads the idle time."""

    def __init__(self) -> None:
        self._began = self._moved = time.monotonic()
        self._rested = 0.0
        self._resting = 0
        self._abandoned = threading.Event()
        self._awaited: threading.Event | None = None

    def progress(self) -> None:
        """Reports progress. Raises Abandoned if the transfer was abandoned."""
        if self._abandoned.is_set():
            raise Abandoned
        self._moved = time.monotonic()

    def report(self, idle: float, active: float) -> None:
        """Sets what `idle_seconds` and `active_seconds` say: for work that another process does."""
        self._moved = time.monotonic() - idle
        self._began = time.monotonic() - active - self._rested

    @contextmanager
    def resting(self) -> Iterator[None]:
        """A block without expected progress: waiting for the rate limit, storing a finished file."""
        self.progress()
        began = time.monotonic()
        self._resting += 1
        try:
            yield
        finally:
            self._resting -= 1
            self._moved = time.monotonic()
            if not self._resting:
                self._rested += self._moved - began

    def sleep(self, seconds: float) -> None:
        """Rests for some seconds; raises Abandoned as soon as the transfer is abandoned."""
        with self.resting():
            self._abandoned.wait(seconds)
        self.progress()

    def wait_for(self, event: threading.Event) -> None:
        """Waits for an event. Raises Abandoned as soon as the transfer is abandoned, which sets the event too."""
        self._awaited = event
        if not self._abandoned.is_set():
            event.wait()
        self._awaited = None
        if self._abandoned.is_set():
            raise Abandoned

    def idle_seconds(self) -> float:
        """Seconds without progress; 0 while resting."""
        return 0.0 if self._resting else time.monotonic() - self._moved

    def active_seconds(self) -> float:
        """Seconds since the start, without the rests that have ended."""
        return time.monotonic() - self._began - self._rested

    def abandon(self) -> None:
        self._abandoned.set()
        if (awaited := self._awaited) is not None:
            awaited.set()


def transfer_all(
    items: Iterator[Item],
    work: Callable[[Item, Transfer], Row],
    concurrency: int,
    stall_seconds: float,
    most_seconds: float = float("inf"),
) -> Iterator[Row]:
    """One row per item, as each is finished. `work` runs in a thread; its exception becomes the item's row.

    A transfer without progress for `stall_seconds`, or with more than `most_seconds` of work, is stalled. At most
    `concurrency` items are taken and not yet yielded. An error that is not an Exception, or not the item's fault
    (UserError), stops all transfers and is raised here.
    """
    done: SimpleQueue[tuple[Transfer, Row | BaseException]] = SimpleQueue()
    running: dict[Transfer, str] = {}

    def run(item: Item, transfer: Transfer) -> None:
        try:
            done.put((transfer, work(item, transfer)))
        except Abandoned:
            pass
        except Exception as error:
            fault = whole_build(error)
            done.put((transfer, failed(item.id, error) if fault is None else fault))
        except BaseException as error:
            done.put((transfer, error))

    try:
        more = True
        while more or running:
            while more and len(running) < concurrency and done.empty():
                item = next(items, None)
                if item is None:
                    more = False
                    break
                transfer = Transfer()
                running[transfer] = item.id
                threading.Thread(target=run, args=(item, transfer), name=f"transfer-{item.id}", daemon=True).start()
            yield from _abandon_stalled(running, stall_seconds, most_seconds)
            try:
                transfer, outcome = done.get(timeout=min(_POLL_SECONDS, stall_seconds / 4))
            except Empty:
                continue
            if running.pop(transfer, None) is None:  # it was just abandoned and has its row
                continue
            if isinstance(outcome, BaseException):
                raise outcome
            yield outcome
    finally:
        for transfer in running:
            transfer.abandon()


def whole_build(error: BaseException) -> UserError | None:
    """The error that stops the build where `error` is not the item's fault: a UserError, or a full disk."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return UserError(f"the disk is full: {error}", "free space, then run the same command again")
    return None


def _abandon_stalled(running: dict[Transfer, str], stall_seconds: float, most_seconds: float) -> Iterator[Row]:
    for transfer, item_id in list(running.items()):
        message = ""
        if transfer.idle_seconds() > stall_seconds:
            message = f"no data for {stall_seconds:g} s"
        elif transfer.active_seconds() > most_seconds:
            message = f"not finished after {most_seconds:g} s"
        if message:
            transfer.abandon()
            del running[transfer]
            yield Row(item_id, status="failed", error_class="stalled", message=message)
