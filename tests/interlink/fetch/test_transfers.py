"""Many transfers, one row each; the slow do not hold up the quick, and what hangs is let go."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlink.errors import StageError, UserError
from interlink.fetch.transfers import Transfer, transfer_all
from interlink.stage import Context, Item, Row
from interlink.storage import Storage


def items(tmp_path: Path, names: str) -> Iterator[Item]:
    context = Context(Storage(str(tmp_path)))
    for name in names:
        yield Item(name, "000", {}, {}, context)


def test_every_item_gives_a_row_and_the_quick_come_first(tmp_path: Path):
    def work(item: Item, transfer: Transfer) -> Row:
        time.sleep(0.3 if item.id == "a" else 0.01)
        return Row(item.id)

    rows = [row.id for row in transfer_all(items(tmp_path, "abcdef"), work, 2, 5)]
    assert sorted(rows) == list("abcdef")
    assert rows[-1] == "a"


def test_no_more_items_are_taken_than_can_run(tmp_path: Path):
    taken: list[str] = []
    most = 0
    lock = threading.Lock()
    open_now = 0

    def source() -> Iterator[Item]:
        for item in items(tmp_path, "abcdefghij"):
            taken.append(item.id)
            yield item

    def work(item: Item, transfer: Transfer) -> Row:
        nonlocal open_now, most
        with lock:
            open_now += 1
            most = max(most, open_now)
        time.sleep(0.02)
        with lock:
            open_now -= 1
        return Row(item.id)

    done = 0
    for _ in transfer_all(source(), work, 3, 5):
        done += 1
        assert len(taken) - done <= 3
    assert done == 10
    assert most == 3


def test_what_an_item_raises_is_its_own_row(tmp_path: Path):
    def work(item: Item, transfer: Transfer) -> Row:
        if item.id == "a":
            raise StageError("throttled", "slowly", retry_after=7)
        if item.id == "b":
            raise KeyError("ours")
        return Row(item.id)

    rows = {row.id: row for row in transfer_all(items(tmp_path, "abc"), work, 2, 5)}
    assert (rows["a"].error_class, rows["a"].retry_after) == ("throttled", 7)
    assert rows["b"].error_class == "bug"
    assert rows["c"].status == "ok"


def test_a_mistake_of_the_user_stops_all(tmp_path: Path):
    def work(item: Item, transfer: Transfer) -> Row:
        raise UserError("yt-dlp is missing", "install it")

    with pytest.raises(UserError):
        list(transfer_all(items(tmp_path, "abc"), work, 2, 5))


def test_a_transfer_that_stands_still_is_stalled_and_the_others_go_on(tmp_path: Path):
    never = threading.Event()

    def work(item: Item, transfer: Transfer) -> Row:
        if item.id == "a":
            never.wait()
        return Row(item.id)

    began = time.monotonic()
    rows = {row.id: row for row in transfer_all(items(tmp_path, "abc"), work, 1, 0.4)}
    never.set()
    assert time.monotonic() - began < 3
    assert rows["a"].error_class == "stalled"
    assert rows["b"].status == rows["c"].status == "ok"


def test_slow_progress_and_rests_are_no_stall(tmp_path: Path):
    def work(item: Item, transfer: Transfer) -> Row:
        if item.id == "a":
            for _ in range(8):
                time.sleep(0.1)
                transfer.progress()
        else:
            with transfer.resting():
                time.sleep(0.8)
        return Row(item.id)

    assert [row.status for row in transfer_all(items(tmp_path, "ab"), work, 2, 0.5)] == ["ok", "ok"]


def test_nobody_goes_on_after_the_reader_has_left(tmp_path: Path):
    begun, left, told = threading.Event(), threading.Event(), threading.Event()

    def work(item: Item, transfer: Transfer) -> Row:
        if item.id == "a":
            begun.wait(5)
        else:
            begun.set()
            try:
                left.wait(5)
                transfer.progress()
            except BaseException:
                told.set()
                raise
        return Row(item.id)

    rows = transfer_all(items(tmp_path, "ab"), work, 2, 5)
    assert next(rows).id == "a"
    rows.close()  # type: ignore[attr-defined]
    left.set()
    assert told.wait(2)
