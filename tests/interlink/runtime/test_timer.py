"""What runs beside a block: again and again, and its trouble is the block's."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

import pytest

from interlink.runtime.timer import Timer


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert true()


def test_it_is_called_after_the_seconds_it_asked_for_until_the_block_ends() -> None:
    calls: list[float] = []

    def work() -> float:
        calls.append(time.monotonic())
        return 0.05

    with Timer(work):
        until(lambda: len(calls) >= 4)
    assert min(b - a for a, b in itertools.pairwise(calls)) >= 0.05
    made = len(calls)
    time.sleep(0.1)
    assert len(calls) == made
    assert "timer" not in {thread.name for thread in threading.enumerate()}


def test_its_error_reaches_the_block_at_the_next_check_and_at_the_end() -> None:
    def work() -> float:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"), Timer(work) as timer:
        until(lambda: timer._fault is not None)
        with pytest.raises(OSError, match="no room"):
            timer.check()


def test_the_error_of_the_block_counts_for_more() -> None:
    def work() -> float:
        raise OSError("no room")

    with pytest.raises(KeyError), Timer(work) as timer:
        until(lambda: timer._fault is not None)
        raise KeyError("mine")


def test_work_under_way_has_ended_when_the_block_has() -> None:
    ended: list[bool] = []

    def work() -> float:
        time.sleep(0.2)
        ended.append(True)
        return 60.0

    with Timer(work):
        pass
    assert ended == [True]
    assert "timer" not in {thread.name for thread in threading.enumerate()}


def test_the_thread_does_not_keep_an_interpreter_alive() -> None:
    assert Timer(lambda: 1.0)._thread.daemon


def test_the_shortest_wait_holds_whatever_is_asked() -> None:
    calls: list[float] = []

    def work() -> float:
        calls.append(time.monotonic())
        return -5.0

    with Timer(work):
        until(lambda: len(calls) >= 4)
    assert min(b - a for a, b in itertools.pairwise(calls)) >= 0.01
