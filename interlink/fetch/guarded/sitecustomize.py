"""Runs at the start of every Python process of img2dataset: the guard, the pace and the bounds of the build.

Its folder is put first into PYTHONPATH, so that it works for a program in another environment and for the processes
which that one starts. It needs nothing but the standard library. The settings are in a JSON file (`Bounds`); each
process leaves a file next to it that says that it is guarded.
"""

from __future__ import annotations

import http.client
import importlib
import importlib.util
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
SETTINGS = "INTERLINK_GUARD"  # environment variable: the JSON file


def _module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"interlink_{name}", HERE.parent / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


class _Pace:
    """A token bucket for each host, for the requests of this process."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}  # host -> when a full bucket's first token was free

    def wait(self, host: str) -> None:
        with self._lock:
            now = time.monotonic()
            at = max(self._next.get(host, 0.0), now - (self._burst - 1) / self._rate)
            self._next[host] = at + 1 / self._rate
        time.sleep(max(0.0, at - now))


def _bounded(most_bytes: int, most_seconds: float) -> Any:
    """Replaces HTTPResponse.read where it would read a whole body, whatever its size and however slow."""
    read = http.client.HTTPResponse.read

    def bounded(self: http.client.HTTPResponse, amt: int | None = None) -> bytes:
        if amt is not None:
            return read(self, amt)
        blocks: list[bytes] = []
        total, until = 0, time.monotonic() + most_seconds
        while block := self.read1(1 << 16):
            blocks.append(block)
            total += len(block)
            if total > most_bytes:
                raise OSError(f"more than {most_bytes} bytes")
            if time.monotonic() > until:
                raise TimeoutError(f"timed out: not read after {most_seconds:g} s")
        if getattr(self, "length", None):
            raise http.client.IncompleteRead(b"".join(blocks), self.length)
        return b"".join(blocks)

    return bounded


def _install(path: Path) -> None:
    settings = json.loads(path.read_text())
    guard = _module("guard")
    guard.Guard(**settings["guard"]).install()
    pace = _Pace(settings["requests_per_second"], settings["burst"])

    def paced(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "urllib.Request":  # a redirect is a request too
            pace.wait(urlsplit(str(arguments[0])).netloc.rpartition("@")[2].lower())

    sys.addaudithook(paced)
    http.client.HTTPResponse.read = _bounded(settings["most_bytes"], settings["most_seconds"])  # type: ignore[method-assign]
    path.with_name(f"guarded-{os.getpid()}").touch()


def _next_customisation() -> None:
    """Runs the module of this name that this one hides, if the environment has one."""
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != HERE]
    sys.modules.pop("sitecustomize", None)
    if importlib.util.find_spec("sitecustomize") is not None:
        importlib.import_module("sitecustomize")


if __name__ == "sitecustomize":
    if named := os.environ.get(SETTINGS):
        _install(Path(named))
    _next_customisation()
