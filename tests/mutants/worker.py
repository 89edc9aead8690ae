"""Runs tests again and again without importing the heavy libraries again: one process a copy of the repository.

It reads lines of tests (separated by spaces) and answers each with `passed`, `failed` or `timed out`. The first time
that it sees a set of tests it runs them on the code as it is (they have to pass) and imports the third-party modules
that they needed; each later run is a fork of this process, which then imports the project's own modules from the copy.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from pathlib import Path

LONGEST = 240.0  # seconds for tests without a fault; with one they get ten seconds and four times what that took
OWN = ("interlink", "cosmos_train", "tests", "conftest")


def main() -> None:
    limits: dict[str, float] = {}  # tests -> seconds
    for line in sys.stdin:
        tests = line.strip()
        if tests in limits:
            print(run(tests.split(), limits[tests]), flush=True)
            continue
        began = time.monotonic()
        answer = run(tests.split(), LONGEST, keep_modules=True)
        limits[tests] = 10 + 4 * (time.monotonic() - began)
        if answer == "passed":
            preload()
        print(answer, flush=True)


def run(tests: list[str], seconds: float, keep_modules: bool = False) -> str:
    child = os.fork()
    if child == 0:
        os.setsid()
        quiet = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(quiet, number)
        os._exit(pytest_in(tests, keep_modules))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return "passed" if code == 0 else "failed"
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timed out"


def pytest_in(tests: list[str], keep_modules: bool) -> int:
    import pytest

    code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not ray", *tests])
    if keep_modules:
        Path(os.environ["MUTANTS_LISTING"]).write_text("\n".join(sorted(sys.modules)))
    return int(code)


def preload() -> None:
    """Imports what the tests imported, but for the project's own modules and those of the tests."""
    here = Path.cwd()
    for name in Path(os.environ["MUTANTS_LISTING"]).read_text().splitlines():
        if name.split(".")[0] in OWN or name in sys.modules or name.startswith(("test_", "_")):
            continue
        if (here / "tests" / "support" / f"{name}.py").exists():
            continue
        try:
            importlib.import_module(name)
        except BaseException:  # a module that only exists half: the run imports it by itself
            continue


if __name__ == "__main__":
    main()
