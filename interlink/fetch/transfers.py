"""Runs many transfers at once: a row is yielded as soon as it is finished, and a stalled transfer is abandoned.

One thread per transfer, at most `concurrency`. A thread that hangs in a system call cannot be stopped, so a stalled one
is abandoned: its row is written, and its next call raises, so that it cleans up and ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from interlink.errors import UserError
from interlink.stage import Item, Row, failed

_POLL_SECONDS = 0.25


class Abandoned(BaseException):
    """Raised inside an abandoned transfer. Not an Exception, so that no library catches it."""


class Transfer:
    """The heartbeat of one transfer: its thread reports progress, the waiting side reads the idle time."""

    def __init__(self) -> None:
        self._moved = time.monotonic()
        self._resting = 0
        self._abandoned = threading.Event()

    def progress(self) -> None:
        """Reports progress. Raises Abandoned if the transfer was abandoned."""
        if self._abandoned.is_set():
            raise Abandoned
        self._moved = time.monotonic()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """A block without expected progress: waiting for the rate limit, storing a finished file."""
        self.progress()
        self._resting += 1
        try:
            yield
        finally:
            self._resting -= 1
            self._moved = time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Rests for some seconds; raises Abandoned as soon as the transfer is abandoned."""
        with self.resting():
            self._abandoned.wait(seconds)
        self.progress()

    def idle_seconds(self) -> float:
        """Seconds without progress; 0 while resting."""
        return 0.0 if self._resting else time.monotonic() - self._moved

    def abandon(self) -> None:
        self._abandoned.set()


def transfer_all(
    items: Iterator[Item], work: Callable[[Item, Transfer], Row], concurrency: int, stall_seconds: float
) -> Iterator[Row]:
    """One row per item, as each is finished. `work` runs in a thread; its exception becomes the item's row.

    At most `concurrency` items are taken and not yet yielded. An error that is not an Exception, or not the item's
    fault (UserError), stops all transfers and is raised here.
    """
    done: SimpleQueue[tuple[Transfer, Row | BaseException]] = SimpleQueue()
    running: dict[Transfer, str] = {}

    def run(item: Item, transfer: Transfer) -> None:
        try:
            done.put((transfer, work(item, transfer)))
        except Abandoned:
            pass
        except Exception as error:
            done.put((transfer, error if isinstance(error, UserError) else failed(item.id, error)))
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
            yield from _abandon_stalled(running, stall_seconds)
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


def _abandon_stalled(running: dict[Transfer, str], stall_seconds: float) -> Iterator[Row]:
    for transfer, item_id in list(running.items()):
        if transfer.idle_seconds() > stall_seconds:
            transfer.abandon()
            del running[transfer]
            message = f"no data for {stall_seconds:g} s"
            yield Row(item_id, status="failed", error_class="stalled", message=message)
