"""Transfers in several killable processes share one pace, and the death of a process never raises it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("yt_dlp", reason="yt-dlp (the extra `download`) is not installed")

from interlink.errors import StageError
from interlink.fetch import pool, ytdlp
from interlink.fetch.child import Grant, Link, Spec, plain
from interlink.fetch.faults import SetupFault
from interlink.fetch.pacing import MARGIN, Pacer
from interlink.fetch.pool import Pool, processes
from interlink.fetch.transfers import Abandoned, Transfer

CLIP = b"\x00\x00\x00\x18ftypmp42" + bytes(2_000)
RATE, BURST = 5.0, 4


class Counting(ThreadingHTTPServer):
    """Notes when each request came. `refuse`: the next request is answered 429."""

    daemon_threads = True

    def __init__(self) -> None:
        self.times: list[float] = []
        self.refuse = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None: ...

    def do_GET(self) -> None:
        server: Any = self.server
        server.times.append(time.monotonic())
        refused = server.refuse.is_set()
        server.refuse.clear()
        self.send_response(429 if refused else 200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(len(CLIP)))
        if refused:
            self.send_header("Retry-After", "3")
        self.end_headers()
        self.wfile.write(CLIP)


@pytest.fixture
def server() -> Iterator[Counting]:
    with Counting() as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield running
        running.shutdown()


class Eight:
    """Eight threads that fetch one file after another through three children."""

    def __init__(self, server: Counting, folder: Path) -> None:
        wishes = ytdlp.Wishes(360, 1e9, 1e9, (), False, 5.0, "", "", folder / "cache", {})
        host = f"127.0.0.1:{server.server_address[1]}"
        self.pool = Pool(Spec(wishes, (host,)), Pacer(MARGIN * RATE, BURST, 60), 3)
        self.ended: list[str] = []
        self._url, self._folder, self._left = f"http://{host}/clip.mp4", folder, threading.Event()
        self._threads = [threading.Thread(target=self._fetch, args=(n,)) for n in range(8)]

    def _fetch(self, number: int) -> None:
        turn = 0
        while not self._left.is_set():
            turn += 1
            folder = self._folder / f"{number}-{turn}"
            folder.mkdir()
            try:
                self.pool.fetch(f"{self._url}?{number}-{turn}", folder, Transfer())
                self.ended.append("ok")
            except StageError as error:
                self.ended.append(error.error_class)

    def __enter__(self) -> Eight:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        for thread in self._threads:
            thread.join()
        self.pool.close()

    def wait_for(self, count: int) -> None:
        until = time.monotonic() + 60
        while len(self.ended) < count:
            assert time.monotonic() < until, "the transfers do not end"
            time.sleep(0.05)


def most_in(times: list[float], window: float) -> int:
    return max(sum(begin <= one < begin + window for one in times) for begin in times)


@pytest.mark.processes
def test_three_processes_keep_one_pace_and_a_killed_one_never_raises_it(server: Counting, tmp_path: Path) -> None:
    with Eight(server, tmp_path) as eight:
        eight.wait_for(8)
        began, before = time.monotonic(), len(server.times)
        time.sleep(8)
        rate = (len(server.times) - before) / (time.monotonic() - began)
        os.kill(eight.pool._children[0].process.pid, signal.SIGKILL)
        eight.wait_for(len(eight.ended) + 8)
        server.refuse.set()
        while server.refuse.is_set():
            time.sleep(0.01)
        refused = time.monotonic()
        eight.wait_for(len(eight.ended) + 4)

    times = sorted(server.times)
    assert RATE * 0.9 <= rate <= RATE * 1.2
    assert most_in(times, 10.0) <= RATE * 10 + BURST
    assert sum(refused + 0.8 < one < refused + 2.8 for one in times) == 0, "one child's refusal silences all"
    assert set(eight.ended) <= {"ok", "throttled"}, "what ran in the killed process ran again"


@pytest.mark.processes
def test_what_a_process_cannot_survive_fails_alone(server: Counting, tmp_path: Path) -> None:
    with Eight(server, tmp_path) as eight:
        eight.wait_for(8)
        for child in list(eight.pool._children):
            os.kill(child.process.pid, signal.SIGSEGV)
        eight.wait_for(len(eight.ended) + 16)

    assert eight.ended.count("crash") <= 3, "only a transfer that was alone in its process is guilty"


def test_the_number_of_processes_follows_the_transfers() -> None:
    assert [processes(n) for n in (1, 2, 3, 8, 48, 64, 128, 256)] == [1, 2, 3, 3, 3, 4, 8, 8]


class _Wire:
    """A connection that grants every turn, the first one too late."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.asked = 0

    def send(self, message: Any) -> None:
        self.asked += 1
        until = time.monotonic() + (1 if self.asked > 1 else -1)
        assert self.link is not None
        self.link.granted(Grant(message.ticket, until, None))


def test_a_turn_that_has_expired_is_not_used() -> None:
    wire: Any = _Wire()
    wire.link = Link(wire)

    wire.link.wait("host", Transfer())

    assert wire.asked == 2


def test_errors_travel_small_and_keep_their_class() -> None:
    assert isinstance(plain(SetupFault("no_video", "x")), SetupFault)
    late = plain(StageError("throttled", "x" * 9000, 7.0))
    assert isinstance(late, StageError)
    assert (late.error_class, len(str(late)), late.retry_after) == ("throttled", 4000, 7.0)
    for error, error_class in ((MemoryError(), "memory"), (KeyError("x"), "bug"), (Abandoned(), "stalled")):
        found = plain(error)
        assert isinstance(found, StageError)
        assert found.error_class == error_class


def test_silence_leaves_a_loaded_machine_time() -> None:
    assert pool.SILENCE >= 20 * pool.BEAT
