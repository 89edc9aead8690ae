"""A stage in a process of its own: what that process is given. How it fails: test_worker.py."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from interlink.errors import StageError, UserError
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
