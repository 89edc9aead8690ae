"""A stage in a process of its own: what that process is given. How it fails: test_worker.py."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from interlink.errors import StageError, UserError
from interlink.runtime import isolate
from interlink.runtime.isolate import Child, StageSpec
from interlink.stage import Context, Item
from interlink.storage import Storage


@pytest.mark.processes
def test_a_child_computes_on_one_thread_unless_it_is_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    context = Context(Storage(str(tmp_path)))
    child = Child(StageSpec("toy_stages:Surroundings", {}, context), 500)
    try:
        said = {
            name: child.call(Item(name, "000-00000", {}, {}, context), 30.0).message
            for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
        }
    finally:
        child.close()

    assert said == {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "3"}


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    made = Child(StageSpec("toy_stages:Inspected", {}, Context(Storage(str(tmp_path)))), 300)
    yield made
    made.close()


def ask(child: Child, item: str, deadline: float = 30.0) -> str:
    return child.call(Item(item, "000-00000", {}, {}, child.spec.context), deadline).message


@pytest.mark.processes
def test_one_child_opens_its_stage_once_and_answers_item_after_item(child: Child) -> None:
    first, opened, second = ask(child, "pid"), ask(child, "opened"), ask(child, "pid")
    assert first == second != str(os.getpid())
    assert opened == "True"


@pytest.mark.processes
def test_a_stage_that_cannot_be_opened_says_so_in_its_own_words(child: Child, tmp_path: Path) -> None:
    (tmp_path / "refuse").touch()
    with pytest.raises(UserError, match="the model is not there") as caught:
        ask(child, "pid")
    assert caught.value.do == "get it"
    (tmp_path / "refuse").unlink()
    assert ask(child, "opened") == "True"


@pytest.mark.processes
def test_the_last_that_a_dying_child_said_is_kept_and_the_next_item_gets_a_new_child(child: Child) -> None:
    before = ask(child, "pid")
    with pytest.raises(StageError, match=r"^the worker died \(exit status 3\): x{587}the end of it$") as caught:
        ask(child, "last-words")
    assert caught.value.error_class == "crash"
    assert ask(child, "pid") != before


@pytest.mark.processes
def test_an_exit_of_the_stage_is_its_items_failure_and_not_the_childs_end(child: Child) -> None:
    before = ask(child, "pid")
    row = child.call(Item("exit", "000-00000", {}, {}, child.spec.context), 30.0)
    assert (row.status, row.error_class) == ("failed", "bug")
    assert ask(child, "pid") == before


@pytest.mark.processes
def test_memory_of_what_the_child_started_counts_and_ends_with_it(child: Child) -> None:
    with pytest.raises(StageError, match=r"^\d{3} MB used, 300 MB allowed; the worker was ended$") as caught:
        ask(child, "spawn-600")
    assert caught.value.error_class == "memory"
    process = child._process
    assert process is None


@pytest.mark.processes
def test_what_a_child_started_ends_when_it_is_closed(child: Child) -> None:
    started = int(ask(child, "spawn"))
    assert psutil.pid_exists(started)
    child.close()
    deadline = time.monotonic() + 10
    while psutil.pid_exists(started) and psutil.Process(started).status() != "zombie" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not psutil.pid_exists(started) or psutil.Process(started).status() == "zombie"


@pytest.mark.processes
def test_an_item_that_takes_too_long_costs_its_deadline_and_no_more(child: Child) -> None:
    ask(child, "pid")
    began = time.monotonic()
    with pytest.raises(StageError, match=r"^no answer within 1 s; the worker was ended$") as caught:
        ask(child, "spawn-1", deadline=0.6)
    assert caught.value.error_class == "stalled"
    assert 0.6 <= time.monotonic() - began < 5


@pytest.mark.processes
def test_a_child_that_died_between_two_items_costs_neither(child: Child) -> None:
    before = int(ask(child, "pid"))
    psutil.Process(before).kill()
    psutil.Process(before).wait(10)
    assert int(ask(child, "pid")) != before


class Counted:
    """A process with so many bytes, and children with some."""

    def __init__(self, bytes_: int, *children: Counted, gone: bool = False) -> None:
        self.bytes, self.under, self.gone = bytes_, children, gone

    def memory_info(self) -> SimpleNamespace:
        if self.gone:
            raise psutil.NoSuchProcess(1)
        return SimpleNamespace(rss=self.bytes)

    def children(self, recursive: bool) -> tuple[Counted, ...]:
        assert recursive
        return self.under


def test_memory_is_of_the_child_and_at_times_of_all_that_it_started() -> None:
    family: Any = Counted(100, Counted(30), Counted(7))
    assert isolate._memory(family, tree=False) == 100
    assert isolate._memory(family, tree=True) == 137
    assert isolate._memory(None, tree=True) == 0
    assert isolate._memory(Counted(5, gone=True), tree=True) == 0  # type: ignore[arg-type]
    assert isolate._memory(Counted(5, Counted(1, gone=True)), tree=True) == 0  # type: ignore[arg-type]
    assert isolate._watch(os.getpid()) is not None and isolate._watch(2**22 + 1) is None


class Line:
    """The connection to a child that answers after so many looks."""

    def __init__(self, answer: Any, looks: int) -> None:
        self.answer, self.looks, self.sent, self.polled = answer, looks, list[Any](), list[float]()

    def send(self, item: Any) -> None:
        self.sent.append(item)

    def poll(self, seconds: float) -> bool:
        self.polled.append(seconds)
        return len(self.polled) > self.looks

    def recv(self) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def watched(
    monkeypatch: pytest.MonkeyPatch,
    answer: Any,
    looks: int,
    used: Any = lambda look, tree: 0,
    now: Any = lambda look: 0.0,
) -> tuple[Any, Line, list[str]]:
    """A child whose process and clock are made: its `call`, its connection and what was done to it."""
    line, done = Line(answer, looks), list[str]()
    child = Child(StageSpec("a:B", {}, None), 2)  # type: ignore[arg-type]
    monkeypatch.setattr(child, "_start", lambda: (line, SimpleNamespace(pid=os.getpid())))
    monkeypatch.setattr(child, "close", lambda: done.append("closed"))
    monkeypatch.setattr(child, "_obituary", lambda: "it died")
    monkeypatch.setattr(isolate, "_memory", lambda process, tree: used(len(line.polled), tree))
    monkeypatch.setattr(isolate.time, "monotonic", lambda: now(len(line.polled)))
    return child, line, done


def test_a_child_is_looked_at_twenty_times_a_second_and_its_children_at_every_tenth_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trees: list[int] = []

    def used(look: int, tree: bool) -> int:
        if tree:
            trees.append(look)
        return 2 * 2**20

    child, line, done = watched(monkeypatch, "row", 31, used)
    assert child.call("item", 5.0) == "row"
    assert (line.sent, set(line.polled), done, trees) == (["item"], {0.05}, [], [10, 20, 30])


def test_the_limits_themselves_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    child, line, done = watched(monkeypatch, "row", 3, lambda look, tree: 2 * 2**20, lambda look: 5.0 if look else 0.0)
    assert child.call("item", 5.0) == "row" and done == []
    child, line, done = watched(monkeypatch, "row", 3, lambda look, tree: 2**21 + (look == 3))
    with pytest.raises(StageError, match=r"^2 MB used, 2 MB allowed; the worker was ended$") as caught:
        child.call("item", 5.0)
    assert (caught.value.error_class, done, len(line.polled)) == ("memory", ["closed"], 3)
    child, line, done = watched(monkeypatch, "row", 9, now=lambda look: 5.01 if look == 4 else 1.0 if look else 0.0)
    with pytest.raises(StageError, match=r"^no answer within 5 s; the worker was ended$") as caught:
        child.call("item", 5.0)
    assert (caught.value.error_class, done, len(line.polled)) == ("stalled", ["closed"], 4)


@pytest.mark.parametrize("error", [EOFError(), ConnectionResetError(), OSError("x")])
def test_a_line_that_breaks_is_a_crash(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    child, _, _ = watched(monkeypatch, error, 0)
    with pytest.raises(StageError, match=r"^it died$") as caught:
        child.call("item", 5.0)
    assert caught.value.error_class == "crash" and caught.value.__cause__ is error
