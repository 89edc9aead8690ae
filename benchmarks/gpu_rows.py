"""The measurements of `python -m benchmarks gpu`: each under a time limit, one JSON line each, resumed by name."""

from __future__ import annotations

import json
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Numbers = dict[str, float | int | str | bool]


@dataclass(frozen=True)
class Setup:
    """device: cuda or cpu. tiny: small models and batches, for a test of the script itself."""

    device: str
    tiny: bool
    folder: Path  # for what a measurement writes

    def pick(self, full: Any, tiny: Any) -> Any:
        return tiny if self.tiny else full


@dataclass(frozen=True)
class Row:
    """A measurement. limit: seconds after which it is stopped."""

    name: str
    run: Callable[[Setup], Numbers]
    limit: float


class OutOfTime(Exception):
    pass


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises OutOfTime in the block after so many seconds; a kernel that runs is finished first."""

    def stop(signum: int, frame: Any) -> None:
        raise OutOfTime(f"stopped after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def measure(rows: Sequence[Row], setup: Setup, minutes: float, out: Path | None, done: dict[str, Any]) -> list[Any]:
    """Runs what is not in `done`, until the minutes are over. Each result is printed and appended to `out` at once."""
    found = [done[row.name] for row in rows if row.name in done]
    ends = time.monotonic() + 60 * minutes
    for row in rows:
        if row.name in done:
            continue
        left = ends - time.monotonic()
        if left <= 0:
            result: dict[str, Any] = {"name": row.name, "skipped": "the minutes are over"}
        else:
            result = {"name": row.name, **_run(row, setup, min(row.limit, left))}
        found.append(result)
        line = json.dumps(result)
        print(line, flush=True)
        if out is not None and "skipped" not in result:
            with out.open("a") as file:
                file.write(line + "\n")
    return found


def _run(row: Row, setup: Setup, limit: float) -> dict[str, Any]:
    began = time.monotonic()
    try:
        with within(limit):
            numbers = row.run(setup)
    except Exception as error:  # a row that fails must not cost the others
        traceback.print_exc(file=sys.stderr)
        said = (str(error).splitlines() or [""])[0][:300]
        return {"error": f"{type(error).__name__}: {said}", "seconds": round(time.monotonic() - began, 1)}
    finally:
        _free()
    return {**numbers, "seconds": round(time.monotonic() - began, 1)}


def _free() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def read(path: Path | None) -> dict[str, Any]:
    """Results of an earlier run by name; those with an error are measured again."""
    if path is None or not path.is_file():
        return {}
    lines = (json.loads(line) for line in path.read_text().splitlines() if line.strip())
    return {line["name"]: line for line in lines if "error" not in line}


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row per measurement."""
    lines = ["| measurement | result | seconds |", "|---|---|---|"]
    for one in results:
        numbers = {key: value for key, value in one.items() if key not in ("name", "seconds", "kernels")}
        shown = ", ".join(f"{key.replace('_', ' ')} {_short(value)}" for key, value in numbers.items())
        lines.append(f"| {one['name']} | {shown} | {one.get('seconds', '')} |")
    return "\n".join(lines)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
