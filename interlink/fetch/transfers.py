"""Many transfers at once, each watched: a row comes out as soon as it is there, and one that stands still is let go.

A thread a transfer, at most `concurrency` of them. Nothing can stop a thread that hangs in a system call, so a stalled
one is abandoned: its row is written, and whatever it does next raises, so that it cleans up and ends.
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
    """Raised inside a transfer that nobody waits for any more. Not an Exception: no library may swallow it."""


class Transfer:
    """The pulse of one transfer: its thread reports progress, the waiting side sees how long there was none."""

    def __init__(self) -> None:
        self._moved = time.monotonic()
        self._resting = 0
        self._abandoned = threading.Event()

    def progress(self) -> None:
        """Something arrived. Raises Abandoned when nobody waits for it any more."""
        if self._abandoned.is_set():
            raise Abandoned
        self._moved = time.monotonic()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """A time in which no progress is expected: waiting for the host's turn, storing a finished file."""
        self.progress()
        self._resting += 1
        try:
            yield
        finally:
            self._resting -= 1
            self._moved = time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Rests for some seconds; raises Abandoned as soon as it is."""
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
    """One row per item, as each is done. `work` runs in a thread; what it raises becomes the item's row.

    At most `concurrency` items are taken and not yet yielded. An error that is no Exception, or no fault of the item
    (UserError), stops all and is raised here.
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
            yield from _let_go(running, stall_seconds)
            try:
                transfer, outcome = done.get(timeout=min(_POLL_SECONDS, stall_seconds / 4))
            except Empty:
                continue
            if running.pop(transfer, None) is None:  # it was abandoned a moment ago and has its row
                continue
            if isinstance(outcome, BaseException):
                raise outcome
            yield outcome
    finally:
        for transfer in running:
            transfer.abandon()


def _let_go(running: dict[Transfer, str], stall_seconds: float) -> Iterator[Row]:
    for transfer, item_id in list(running.items()):
        if transfer.idle_seconds() > stall_seconds:
            transfer.abandon()
            del running[transfer]
            message = f"nothing arrived for {stall_seconds:g} s"
            yield Row(item_id, status="failed", error_class="stalled", message=message)
