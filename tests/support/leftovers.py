"""Finds processes that a test started and that should be gone: they, and all they started, carry a mark."""

from __future__ import annotations

import time
import uuid

import psutil
import pytest

_MARK = "INTERLINK_TEST_MARK"


def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """From now on what this test starts can be told from what others run on the machine."""
    token = uuid.uuid4().hex
    monkeypatch.setenv(_MARK, token)
    return token


def left(token: str, word: str = "", seconds: float = 10.0) -> list[str]:
    """Command lines of marked processes (that hold `word`) which do not end within `seconds`; empty if all do."""
    deadline = time.monotonic() + seconds
    while (found := _alive(token, word)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _alive(token: str, word: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == token and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return [command for command in found if word in command]
