"""img2dataset: the real program against a server on loopback, and a stand-in for what it does rarely."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from PIL import Image

import img2dataset_stand_in
from interlink.errors import Dropped, StageError, UserError
from interlink.fetch import img2dataset
from interlink.fetch.img2dataset import PROGRAM, Fetched, ImageSettings, explain, fetch, program
from interlink.fetch.reach import reach

REACH = reach(["127.0.0.1", "x"], "")
SUPPORT = Path(img2dataset_stand_in.__file__)


def outcome(one: Fetched) -> str:
    if isinstance(one.error, StageError):
        return one.error.error_class
    return one.error.reason if isinstance(one.error, Dropped) else "ok"


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "img2dataset"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{SUPPORT}" "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv(PROGRAM, str(path))
    monkeypatch.setattr(img2dataset, "SHARD", 3)
    return path


def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


@pytest.mark.parametrize(
    ("status", "message", "wanted"),
    [
        ("failed_to_download", "HTTP Error 404: Not Found", "gone"),
        ("failed_to_download", "HTTP Error 410: Gone", "gone"),
        ("failed_to_download", "HTTP Error 403: Forbidden", "blocked"),
        ("failed_to_download", "HTTP Error 429: Too Many Requests", "throttled"),
        ("failed_to_download", "HTTP Error 502: Bad Gateway", "network"),
        ("failed_to_download", "<urlopen error timed out>", "network"),
        ("failed_to_download", "<urlopen error [Errno -2] Name or service not known>", "network"),
        ("failed_to_download", "unknown url type: 'x'", "no_media"),
        ("failed_to_download", "Use of image disallowed by X-Robots-Tag directive", "opted_out"),
        ("failed_to_resize", "Image decoding error", "unreadable"),
        ("failed_to_download", "<urlopen error 10.0.0.1 (port 80) is not a public address; see x>", "blocked"),
        ("failed_to_download", "more than 20000000 bytes", "too_large"),
        ("failed_to_download", "", "network"),
    ],
)
def test_its_failures_are_told_in_our_classes(status: str, message: str, wanted: str) -> None:
    assert outcome(Fetched(0, error=explain(status, message))) == wanted


@pytest.mark.processes
def test_every_url_has_an_answer_shard_by_shard(tmp_path: Path, stand_in: Path) -> None:
    urls = [f"http://x/{n}" for n in range(7)] + ["http://x/error/HTTP_Error_404"]
    found = {one.number: one for one in fetch(urls, folder(tmp_path), ImageSettings(), REACH)}
    assert sorted(found) == list(range(8))
    assert all(found[n].data == img2dataset_stand_in.picture(n) for n in range(7))
    assert outcome(found[7]) == "gone"
    small = ImageSettings(max_megabytes=0.0001)
    shutil.rmtree(tmp_path / "work")
    assert {outcome(one) for one in fetch(urls[:2], folder(tmp_path), small, REACH)} == {"too_large"}


@pytest.mark.processes
def test_what_it_finished_before_it_died_is_kept(
    tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "die:2")
    found = list(fetch([f"http://x/{n}" for n in range(8)], folder(tmp_path), ImageSettings(), REACH))
    assert [outcome(one) for one in found] == ["ok"] * 6 + ["crash"] * 2
    assert "ended (3)" in str(found[-1].error) and "out of patience" in str(found[-1].error)


@pytest.mark.processes
def test_one_that_hangs_is_ended_with_its_children(
    tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "hang:1")
    monkeypatch.setenv("STAND_IN_PIDS", str(tmp_path / "pids"))
    monkeypatch.setattr(img2dataset, "START_SECONDS", 2.0)
    found = list(fetch([f"http://x/{n}" for n in range(4)], folder(tmp_path), ImageSettings(timeout_seconds=1), REACH))
    assert [outcome(one) for one in found] == ["ok"] * 3 + ["stalled"]
    assert_dead(tmp_path / "pids")


@pytest.mark.processes
def test_it_dies_with_the_process_that_started_it(
    tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "hang:0")
    monkeypatch.setenv("STAND_IN_PIDS", str(tmp_path / "pids"))
    code = (
        "import sys; from pathlib import Path; from interlink.fetch.img2dataset import *\n"
        f"list(fetch(['http://x/1'], Path({str(folder(tmp_path))!r}), ImageSettings(), {REACH!r}))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    try:
        wait_for((tmp_path / "pids").exists)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert_dead(tmp_path / "pids")


def assert_dead(pids: Path) -> None:
    def dead(pid: int) -> bool:
        return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE

    for pid in map(int, pids.read_text().split()):
        wait_for(lambda pid=pid: dead(pid))


def wait_for(what: object, seconds: float = 20.0) -> None:
    assert callable(what)
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)


def test_where_it_is_not_installed_the_way_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROGRAM, str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="which is not a program"):
        program()
    monkeypatch.delenv(PROGRAM)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UserError, match="but img2dataset is not installed") as error:
        program()
    assert "separate environment" in error.value.do and PROGRAM in error.value.do


# -- the guard ----------------------------------------------------------------------------------------------------


@pytest.mark.processes
def test_its_requests_are_guarded_paced_and_bounded_in_all_its_processes(
    tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    monkeypatch.setenv("STAND_IN", "fetch:0")
    names = ["1", "22", "to/1", "endless", "e404", *("3" for _ in range(5))]
    urls = [*(f"{server}/{name}" for name in names), server.replace("127.0.0.1", "127.0.0.2") + "/1"]
    hosts = reach([server.removeprefix("http://")], "")
    settings = ImageSettings(max_megabytes=0.1, requests_per_second=4, timeout_seconds=5)

    began = time.monotonic()
    found = {one.number: one for one in fetch(urls, folder(tmp_path), settings, hosts)}

    assert [outcome(found[n]) for n in range(len(urls))] == [
        "ok", "ok", "blocked", "too_large", "gone", *["ok"] * 5, "blocked"
    ]  # fmt: skip
    assert time.monotonic() - began > (len(urls) - 4) / 4, "at the rate of its host"


@pytest.mark.processes
def test_a_program_without_the_guard_is_refused(tmp_path: Path, stand_in: Path) -> None:
    text = stand_in.read_text().replace(f'"{SUPPORT}"', f'-E "{SUPPORT}"')
    stand_in.write_text(text)
    with pytest.raises(UserError, match="without the guard"):
        list(fetch(["http://x/1"], folder(tmp_path), ImageSettings(), REACH))


# -- the real program -------------------------------------------------------------------------------------------


class Pictures(BaseHTTPRequestHandler):
    """`/N` is a picture, `/eNNN` that status, `/noai` a picture that opts out, `/bad` no picture."""

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        name = self.path.strip("/")
        if name == "endless":
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(bytes(10_000))
        if name == "to/1":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.3/1")
            self.end_headers()
            return
        if name.startswith("e"):
            self.send_error(int(name[1:]))
            return
        data = b"no picture" if name == "bad" else jpeg(name)
        self.send_response(200)
        if name == "noai":
            self.send_header("X-Robots-Tag", "noai")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def jpeg(name: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (len(name) * 40 % 256, 90, 10)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pictures) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


@pytest.mark.processes
def test_the_real_program_on_loopback(tmp_path: Path, server: str) -> None:
    try:
        program()
    except UserError as error:
        pytest.skip(f"img2dataset is not on this machine: {error.do}")
    names = ["1", "22", "noai", "e404", "e410", "e403", "e429", "e503", "e500", "bad"]
    urls = [*(f"{server}/{name}" for name in names), "http://127.0.0.1:1/refused"]
    found = {
        one.number: one for one in fetch(urls, folder(tmp_path), ImageSettings(threads=4, timeout_seconds=5), REACH)
    }
    assert [outcome(found[n]) for n in range(len(urls))] == [
        "ok", "ok", "opted_out", "gone", "gone", "blocked", "throttled", "throttled", "network", "ok", "network"
    ]  # fmt: skip
    assert [found[n].data for n in (0, 1, 9)] == [jpeg("1"), jpeg("22"), b"no picture"]  # as they came
    shutil.rmtree(tmp_path / "work")
    (kept,) = fetch(urls[2:3], folder(tmp_path), ImageSettings(opt_out=False), REACH)
    assert hashlib.sha256(kept.data).digest() == hashlib.sha256(jpeg("noai")).digest()
