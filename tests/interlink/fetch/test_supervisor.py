"""What the supervisor of the fetching children decides, turn by turn: children made of a socket, no processes."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("yt_dlp", reason="yt-dlp (the extra `download`) is not installed")

from interlink.errors import StageError, UserError
from interlink.fetch import answer, ytdlp
from interlink.fetch import child as child_module
from interlink.fetch import pool as pool_module
from interlink.fetch.child import Abandon, Answered, Ask, Beat, Begin, Done, Grant, Link, Ready, Refused, Spec, plain
from interlink.fetch.faults import SetupFault
from interlink.fetch.pacing import Pacer
from interlink.fetch.pool import Pool, _Task
from interlink.fetch.transfers import Abandoned, Transfer
from interlink.fetch.ytdlp import Fetched


class Child(pool_module._Child):
    """A child whose process is a socket: `said` is what it was sent."""

    def __init__(self) -> None:
        self.tasks, self.running = {}, {}
        self.ready = self.alone = False
        self.heard = time.monotonic()
        ours, theirs = socket.socketpair()
        self.connection, self.other = Connection(ours.detach()), Connection(theirs.detach())
        self.killed = False

    def kill(self) -> str:
        self.killed = True
        self.connection.close()
        return "the process died (SIGSEGV)"

    def said(self) -> list[Any]:
        found = []
        while self.other.poll():
            found.append(self.other.recv())
        return found

    def tells(self, *messages: object) -> None:
        for message in messages:
            self.other.send(message)

    def numbers(self) -> list[int]:
        return [one.number for one in self.said() if isinstance(one, Begin)]

    def be_silent(self, seconds: float) -> None:
        self.heard = time.monotonic() - seconds


class Bench:
    """A pool whose turns the test takes itself."""

    def __init__(self, folder: Path, most: int, monkeypatch: pytest.MonkeyPatch, rate: float = 100.0) -> None:
        monkeypatch.setattr(Pool, "_supervise", lambda pool: None)
        monkeypatch.setattr(pool_module, "_Child", lambda spec: self.made())
        self.children: list[Child] = []
        wishes = ytdlp.Wishes(360, 1e9, 1e9, (), False, 5.0, "", "", folder / "cache", {})
        self.pacer = Pacer(rate, 1, 60)
        self.pool = Pool(Spec(wishes, ()), self.pacer, most)
        self.folder = folder

    def made(self) -> Child:
        self.children.append(Child())
        return self.children[-1]

    def task(self, number: int, url: str = "") -> _Task:
        task = _Task(number, url or f"http://a/{number}", self.folder, Transfer())
        self.pool._tell(task, False)
        return task

    def turn(self) -> float:
        return self.pool._turn(0.0)

    def ready(self) -> None:
        for child in self.children:
            if not child.killed and not child.ready:
                child.tells(Ready())
        self.turn()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path, 2, monkeypatch)
    yield made
    made.pool.close()


def class_of(task: _Task) -> str:
    assert task.done.is_set()
    assert isinstance(task.error, StageError)
    return task.error.error_class


def test_transfers_go_to_the_child_with_the_fewest_and_a_new_one_starts_only_when_all_are_busy(bench: Bench) -> None:
    assert bench.turn() == float("inf") and bench.children == []
    for number in range(5):
        bench.task(number)
    bench.turn()
    one, two = bench.children
    first, second = one.said(), two.said()
    assert [begin.number for begin in first] == [0, 2, 4] and [begin.number for begin in second] == [1, 3]
    assert first[0] == Begin(0, "http://a/0", bench.folder)
    one.tells(Ready(), *(Done(n, None) for n in (0, 2, 4)))
    two.tells(Ready())
    bench.turn()
    bench.task(5)
    bench.turn()
    assert (one.numbers(), two.numbers(), len(bench.children)) == ([5], [], 2)


def test_an_idle_child_is_used_before_another_is_started(bench: Bench) -> None:
    bench.task(0)
    bench.turn()
    bench.ready()
    bench.children[0].tells(Done(0, None))
    bench.turn()
    bench.task(1)
    bench.turn()
    assert len(bench.children) == 1 and bench.children[0].numbers() == [0, 1]


def test_a_finished_transfer_has_its_error_or_none(bench: Bench) -> None:
    tasks = [bench.task(n) for n in range(3)]
    bench.turn()
    bench.ready()
    error = StageError("gone", "404")
    bench.children[0].tells(Done(0, error), Done(77, None))
    bench.children[1].tells(Done(1, None))
    bench.turn()
    assert class_of(tasks[0]) == "gone" and str(tasks[0].error) == "404"
    assert tasks[1].done.is_set() and tasks[1].error is None
    assert not tasks[2].done.is_set()


def test_a_child_that_may_be_stuck_gets_nothing_new(bench: Bench) -> None:
    bench.task(0)
    bench.task(1)
    bench.turn()
    bench.ready()
    one, two = bench.children
    one.said(), two.said()
    one.be_silent(2.0)  # more than four beats
    bench.task(2)
    bench.task(3)
    bench.turn()
    assert (one.numbers(), two.numbers()) == ([], [2, 3])
    two.be_silent(2.0)
    bench.task(4)
    bench.turn()
    assert (one.numbers(), two.numbers(), len(bench.children)) == ([], [], 2)
    one.tells(Beat({}))
    bench.turn()
    assert one.numbers() == [4]


@pytest.mark.parametrize(("seconds", "killed"), [(7.5, False), (8.3, True)])
def test_a_child_is_ended_after_eight_seconds_of_silence(bench: Bench, seconds: float, killed: bool) -> None:
    task = bench.task(0)
    bench.turn()
    bench.ready()
    bench.children[0].be_silent(seconds)
    bench.turn()
    assert bench.children[0].killed == task.done.is_set() == killed
    if killed:
        assert class_of(task) == "stalled"
        assert str(task.error) == "the page kept its process busy for 8 s; the process was ended"
        assert bench.pool._children == []


@pytest.mark.parametrize(("seconds", "killed"), [(119.0, False), (121.0, True)])
def test_a_child_that_imports_has_two_minutes_and_its_transfers_are_not_suspects(
    bench: Bench, seconds: float, killed: bool
) -> None:
    tasks = [bench.task(0), bench.task(1), bench.task(2)]
    bench.turn()
    bench.children[0].be_silent(seconds)
    bench.turn()
    assert bench.children[0].killed == killed
    assert [task.done.is_set() for task in tasks] == [killed, False, killed]
    assert bench.pool._guilty == set()
    assert not bench.pool._suspects


def test_a_known_guilty_transfer_runs_alone_and_has_a_quarter_of_the_time(bench: Bench) -> None:
    task = bench.task(0)
    bench.turn()
    bench.ready()
    bench.children[0].other.close()
    bench.turn()
    assert class_of(task) == "crash" and str(task.error) == "the process died (SIGSEGV)"
    bench.task(1)
    bench.turn()
    bench.ready()
    again = bench.task(2, task.url)
    bench.task(3)
    bench.turn()
    shared, alone, third = bench.children[1:]
    assert (alone.numbers(), alone.alone) == ([2], True)
    assert (shared.numbers(), third.numbers()) == ([1], [3])
    bench.ready()
    shared.be_silent(3.0)
    alone.be_silent(1.5)
    bench.turn()
    assert not alone.killed
    alone.be_silent(2.5)
    bench.turn()
    assert alone.killed and class_of(again) == "stalled"
    assert not shared.killed


def test_of_several_in_a_dead_child_each_runs_alone_until_the_guilty_one_is_found(bench: Bench) -> None:
    tasks = [bench.task(n) for n in range(6)]
    bench.turn()
    bench.ready()
    dead, other = bench.children
    other.said()
    dead.other.close()  # it had 0, 2 and 4
    bench.turn()
    assert dead.killed and not any(task.done.is_set() for task in tasks)
    alone = bench.children[2]
    assert alone.numbers() == [0] and alone.alone
    bench.task(6)
    bench.turn()
    assert alone.numbers() == [] and bench.children[3].numbers() == [6]  # a suspect shares its child with nobody
    alone.tells(Ready(), Done(0, None))
    bench.turn()
    assert tasks[0].done.is_set() and tasks[0].error is None
    bench.turn()
    assert alone.numbers() == [2] and alone.alone
    alone.other.close()
    bench.turn()
    assert class_of(tasks[2]) == "crash"
    bench.turn()
    assert not tasks[4].done.is_set()
    assert 4 in other.tasks or any(4 in child.tasks and not child.alone for child in bench.pool._children)  # type: ignore[attr-defined]
    assert bench.pool._guilty == {tasks[2].url}
    assert not bench.pool._suspects


def test_suspects_of_another_death_stay_suspects(bench: Bench) -> None:
    tasks = [bench.task(n) for n in range(4)]
    bench.turn()
    bench.ready()
    for child in bench.children:
        child.other.close()  # 0 and 2 in one, 1 and 3 in the other
    bench.turn()
    bench.turn()
    assert [task.death for task in tasks] == [1, 2, 1, 2]
    [alone] = [child for child in bench.pool._children if child.alone]
    first = next(iter(alone.tasks.values()))
    bench.ready()
    alone.other.close()  # type: ignore[attr-defined]
    bench.turn()
    assert class_of(first) == "crash"
    partner = next(task for task in tasks if task.death == first.death and task is not first)
    others = [task for task in tasks if task.death != first.death]
    assert partner not in bench.pool._suspects
    running_alone = [task for child in bench.pool._children if child.alone for task in child.tasks.values()]
    assert {task.number for task in others} == {task.number for task in (*bench.pool._suspects, *running_alone)}


def test_an_abandoned_transfer_leaves_the_queue_and_its_child(bench: Bench) -> None:
    tasks = [bench.task(n) for n in range(2)]
    bench.turn()
    bench.pool._suspects.append(waiting := _Task(8, "u", bench.folder, Transfer()))
    bench.pool._queue.append(queued := _Task(9, "u", bench.folder, Transfer()))
    bench.children[0].alone = bench.children[1].alone = True
    for task in (tasks[0], waiting, queued):
        bench.pool._let_go(task)
    assert not bench.pool._suspects and not bench.pool._queue
    one, two = bench.children
    assert one.said()[-1] == Abandon(0) and one.tasks == {}
    assert (one.alone, two.alone) == (False, True)
    assert [type(message) for message in two.said()] == [Begin] and list(two.tasks) == [1]
    bench.pool._tell(tasks[1], True)
    bench.turn()
    assert two.said() == [Abandon(1)]


def test_a_transfer_hears_how_long_its_child_has_had_no_progress(bench: Bench) -> None:
    tasks = [bench.task(n) for n in range(2)]
    bench.turn()
    bench.ready()
    bench.children[0].tells(Beat({0: (3.0, 5.0)}))
    bench.turn()
    assert tasks[0].transfer.idle_seconds() == pytest.approx(3.0, abs=0.5)
    assert tasks[0].transfer.active_seconds() == pytest.approx(5.0, abs=0.5)
    assert tasks[1].transfer.idle_seconds() < 1


def test_turns_are_granted_in_order_and_refusals_slow_a_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, 2, monkeypatch, rate=2.0)
    with contextlib.closing(bench.pool):
        bench.task(0)
        bench.turn()
        bench.ready()
        [child] = bench.children
        child.said()
        child.tells(Ask(5, "a"), Ask(6, "a"), Ask(7, "b"))
        pause = bench.turn()
        granted = child.said()
        assert [(grant.ticket, grant.refusal) for grant in granted] == [(5, None), (7, None)]
        assert granted[0].until == pytest.approx(time.monotonic() + 0.5, abs=0.3)
        assert 0.2 < pause <= 0.5
        child.tells(Refused("a", 200.0))
        bench.turn()
        [late] = child.said()
        assert late.ticket == 6 and late.refusal.error_class == "throttled"
        assert bench.pacer.take("a-b") == 0.0
        rate = bench.pacer._host("b").rate
        bench.pacer.refused("b")
        child.tells(Answered("b"))
        bench.turn()
        assert rate / 2 < bench.pacer._host("b").rate < rate


def test_what_a_dead_child_asked_for_is_not_granted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, 1, monkeypatch, rate=0.01)
    with contextlib.closing(bench.pool):
        bench.task(0)
        bench.turn()
        [child] = bench.children
        child.tells(Ready(), Ask(1, "a"), Ask(2, "a"))
        assert bench.turn() < float("inf")
        child.other.close()
        assert bench.turn() == float("inf")


def test_after_a_stop_of_this_process_nobody_is_judged(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.task(0)
    bench.turn()
    bench.ready()
    bench.children[0].be_silent(60)
    real = pool_module.wait
    monkeypatch.setattr(pool_module, "_LATE", -1.0)  # every turn is late
    monkeypatch.setattr(pool_module, "wait", real)
    bench.turn()
    assert not bench.children[0].killed
    assert bench.children[0].silence() < 5


def test_a_closing_pool_ends_children_and_transfers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervise = Pool._supervise
    bench = Bench(tmp_path, 1, monkeypatch)
    tasks = [bench.task(n) for n in range(2)]
    bench.turn()
    bench.pool._suspects.append(suspect := _Task(8, "u", tmp_path, Transfer()))
    bench.pool._closing = True
    late = bench.task(3)
    supervise(bench.pool)
    for task in (*tasks, suspect, late):
        assert (class_of(task), str(task.error)) == ("crash", "the build is ending")
    assert bench.children[0].killed
    bench.pool.close()


def test_a_bug_of_the_supervisor_lets_no_transfer_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervise = Pool._supervise
    bench = Bench(tmp_path, 1, monkeypatch)
    task = bench.task(0)
    bench.turn()

    def broken(pool: Pool, pause: float) -> float:
        raise KeyError("bug")

    monkeypatch.setattr(Pool, "_turn", broken)
    supervise(bench.pool)
    assert task.done.is_set() and isinstance(task.error, KeyError) and bench.pool._closing
    bench.pool.close()


def test_a_fetch_reads_the_answer_raises_the_error_and_tells_when_it_is_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, 1, monkeypatch)
    with contextlib.closing(bench.pool):
        found = Fetched(tmp_path / "media.mp4", "t", "{}")
        answer.write(tmp_path, found)
        ended = Transfer()
        monkeypatch.setattr(ended, "wait_for", lambda event: None)
        assert bench.pool.fetch("http://a/1", tmp_path, ended) == found
        task, abandoned = bench.pool._inbox.get_nowait()
        assert (task.number, task.url, task.folder, abandoned) == (0, "http://a/1", tmp_path, False)

        def fail(event: Any) -> None:
            last, _ = bench.pool._inbox.get_nowait()
            last.error = UserError("no", "do")

        monkeypatch.setattr(ended, "wait_for", fail)
        with pytest.raises(UserError):
            bench.pool.fetch("http://a/2", tmp_path, ended)
        given_up = Transfer()
        given_up.abandon()
        with pytest.raises(Abandoned):
            bench.pool.fetch("http://a/3", tmp_path, given_up)
        assert [bench.pool._inbox.get_nowait()[1] for _ in range(2)] == [False, True]


@pytest.mark.parametrize(
    ("code", "said", "how"),
    [
        (-11, b"", "the process died (SIGSEGV)"),
        (None, b"", "the process died (exit status None)"),
        (0, b" x\n", "the process died (exit status 0): x"),
        (3, b"a" * 700, f"the process died (exit status 3): {'a' * 600}"),
    ],
)
def test_an_ended_child_is_reported_with_its_last_words(
    code: int | None, said: bytes, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    ended: list[object] = []
    child = pool_module._Child.__new__(pool_module._Child)
    child.connection, child._log = Connection(ours.detach()), io.BytesIO(said)
    child.process = SimpleNamespace(pid=99, poll=lambda: code, wait=lambda: ended.append("waited"))  # type: ignore[assignment]
    monkeypatch.setattr(pool_module.os, "killpg", lambda pid, number: ended.append((pid, number)))
    assert child.kill() == how
    assert ended == [(99, signal.SIGKILL), "waited"]
    assert child.connection.closed and child._log.closed
    child.send("x")  # to one that has died


def test_a_child_begins_unready_in_a_session_of_its_own_and_is_told_its_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[list[str], dict[str, Any]]] = []

    def popen(command: list[str], **options: Any) -> SimpleNamespace:
        started.append((command, {**options, "inherited": os.dup(options["pass_fds"][0])}))
        return SimpleNamespace(pid=99)

    monkeypatch.setattr(pool_module.subprocess, "Popen", popen)
    child = pool_module._Child("the spec")  # type: ignore[arg-type]
    assert (child.ready, child.alone, child.tasks, child.running) == (False, False, {}, {})
    assert child.silence() < 5
    [(command, options)] = started
    assert command[1:4] == ["-m", "interlink.fetch.child", str(options["pass_fds"][0])]
    assert command[4] == str(os.getpid())
    assert options["start_new_session"] and options["env"]["PYTHONPATH"]
    assert options["stdin"] == options["stdout"] == subprocess.DEVNULL
    with Connection(options["inherited"]) as theirs:
        assert theirs.recv() == "the spec"
        child.connection.close()
        with pytest.raises(EOFError):  # nobody else holds the parent's end
            theirs.recv()
    child._log.close()


# -- the child's side ---------------------------------------------------------------------------------------------


class Wire:
    """Answers each request for a turn with the next of `grants` (seconds from now, refusal)."""

    def __init__(self, *grants: tuple[float, StageError | None]) -> None:
        self.grants, self.asked = iter(grants), list[Any]()
        self.link = Link(self)  # type: ignore[arg-type]

    def send(self, message: Any) -> None:
        self.asked.append(message)
        if isinstance(message, Ask):
            seconds, refusal = next(self.grants)
            self.link.granted(Grant(message.ticket + 1000, time.monotonic() + 9, None))  # of nobody
            self.link.granted(Grant(message.ticket, time.monotonic() + seconds, refusal))


def test_a_refused_turn_is_raised_and_every_ticket_is_new() -> None:
    wire = Wire((-1, None), (5, None), (5, StageError("throttled", "wait")))
    wire.link.wait("a", Transfer())
    with pytest.raises(StageError, match="wait"):
        wire.link.wait("b", Transfer())
    assert wire.asked == [Ask(0, "a"), Ask(1, "a"), Ask(2, "b")]
    assert wire.link._turns == {}
    wire.link.answered("a")
    wire.link.refused("b", 3.0)
    assert wire.asked[3:] == [Answered("a"), Refused("b", 3.0)]


def test_secrets_and_full_disks_are_reported_as_what_they_are() -> None:
    url = "https://a.example/v?token=CANARY"
    errors = (StageError("gone", f"no {url}"), SetupFault("no_video", f"no {url}"), KeyError(url))
    for error in errors:
        assert "CANARY" not in str(plain(error, url))
    setup = plain(SetupFault("no_video", "y" * 5000))
    assert (len(str(setup)), setup.error_class) == (4000, "no_video")  # type: ignore[union-attr]
    bug = plain(KeyError("z" * 9000))
    assert len(str(bug)) <= 4000
    for number in (28, 122):
        full = plain(OSError(number, "x"))
        assert isinstance(full, UserError) and str(full).startswith("the disk is full")
    assert isinstance(plain(OSError(2, "x")), StageError)
    mine = UserError("a", "b")
    assert plain(mine) is mine


class Parent:
    """The parent's side of a child that runs in this thread: gives it `messages` one by one, and hears what it says."""

    def __init__(self, *messages: object) -> None:
        self.messages, self.heard = list(messages), list[Any]()

    def receive(self) -> Any:
        if not self.messages:
            raise EOFError
        return self.messages.pop(0)

    def send(self, message: object) -> None:
        self.heard.append(message)

    def granted(self, grant: Grant) -> None:
        self.heard.append(grant)


class Gone(BaseException):
    """The child has ended."""


class Here:
    """Runs at once what a child would run in a thread, but for its heartbeat."""

    def __init__(self, target: Any, args: tuple[Any, ...] = (), daemon: bool = False) -> None:
        assert daemon
        self.run = (lambda: target(*args)) if args else (lambda: None)

    def start(self) -> None:
        self.run()


def served(monkeypatch: pytest.MonkeyPatch, fetch: Any, *messages: object) -> tuple[list[Any], child_module._Child]:
    parent: Any = Parent(*messages)

    def ended(code: int) -> None:
        assert code == 0
        raise Gone

    monkeypatch.setattr(child_module.threading, "Thread", Here)
    monkeypatch.setattr(child_module.os, "_exit", ended)
    monkeypatch.setattr(ytdlp, "fetch", fetch)
    child = child_module._Child(parent, "wishes")  # type: ignore[arg-type]
    with pytest.raises(Gone):
        child.serve()
    return parent.heard, child


def test_a_child_fetches_what_it_is_given_and_says_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def fetch(url: str, folder: Path, wishes: Any, transfer: Transfer, pace: Any) -> Fetched:
        given.append((url, folder, wishes))
        if url.endswith("bad"):
            raise StageError("gone", f"no {url}")
        return Fetched(folder / "media.mp4", "t", "{}")

    grant = Grant(3, 1.0, None)
    begins = [Begin(4, "http://a/1", tmp_path), Begin(5, "http://a/bad", tmp_path)]
    heard, child = served(monkeypatch, fetch, *begins, Abandon(99), grant)
    assert given == [(begin.url, tmp_path, "wishes") for begin in begins]
    ready, done, failed, granted = heard
    assert (ready, granted, done) == (Ready(), grant, Done(4, None))
    assert failed.number == 5 and (failed.error.error_class, str(failed.error)) == ("gone", "no http://a/bad")
    assert answer.read(tmp_path).title == "t"
    assert child._transfers == {}


def test_an_abandoned_transfer_ends_in_its_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Transfer] = []

    def fetch(url: str, folder: Path, wishes: Any, transfer: Transfer, pace: Any) -> Fetched:
        seen.append(transfer)
        raise Abandoned

    heard, child = served(monkeypatch, fetch, Begin(4, "http://a/1", tmp_path))
    assert (heard[1].number, heard[1].error.error_class) == (4, "stalled")
    child._transfers[7] = transfer = Transfer()
    child._link.messages.append(Abandon(7))  # type: ignore[attr-defined]
    with pytest.raises(Gone):
        child.serve()
    with pytest.raises(Abandoned):
        transfer.progress()


def test_a_childs_heartbeat_says_how_each_transfer_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    parent: Any = Parent()
    child = child_module._Child(parent, None)  # type: ignore[arg-type]
    child._transfers[3] = transfer = Transfer()
    transfer.report(2.0, 7.0)

    def slept(seconds: float) -> None:
        assert seconds == 0.25
        raise Gone

    monkeypatch.setattr(child_module.time, "sleep", slept)
    with pytest.raises(Gone):
        child._beat()
    [beat] = parent.heard
    assert beat.transfers == {3: (pytest.approx(2.0, abs=0.3), pytest.approx(7.0, abs=0.3))}
