"""Results of evaluations, kept in the run that was evaluated: RUN/evaluations/TASK-STEP.json, whole or absent.

A file holds every result of a task at a step. The same question (measure, shots, split, part, protocol, settings, data)
replaces its earlier answer; others stay. Light: imports no torch. Costs milliseconds.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from interlink.storage import Storage

FOLDER = "evaluations"
VERSION = 1

_NORMAL = 1.96  # standard errors to each side of a 95 % interval


@dataclass(frozen=True)
class Score:
    """One number of an evaluation, with its standard error and the score of guessing, if they are known.

    unit: of all three: "%", or "" for shares and other plain numbers. shuffled: the score with other samples' frames.
    least: the lowest possible score, if there is one.
    """

    measure: str
    score: float
    error: float | None = None
    chance: float | None = None
    shuffled: float | None = None
    unit: str = ""
    examples: int | None = None
    left_out: int = 0
    shots: int | None = None
    split: str = ""
    part: str = ""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, float] = field(default_factory=dict)
    warning: str = ""
    least: float | None = 0.0

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 %, normal approximation. None without an error, and for an error of 0: then all observations were equal,
        which says nothing about others."""
        if not self.error or not math.isfinite(self.error):
            return None
        low, high = (self.score + side * _NORMAL * self.error for side in (-1, 1))
        return low if self.least is None else max(low, self.least), high


@dataclass(frozen=True)
class Evaluation:
    """The scores of one task. checkpoint: its folder. settings: `key=value` changes; data: the benchmark's folder."""

    task: str
    checkpoint: str
    step: int
    scores: Sequence[Score]
    settings: Sequence[str] = ()
    data: str = ""


_QUESTION = ("measure", "shots", "split", "part", "protocol", "settings", "data")


def run_of(checkpoint: str) -> Path | None:
    """The run that a checkpoint belongs to; None for an exported folder and other weights."""
    folder = Path(checkpoint)
    return folder.parent.parent if checkpoint and folder.parent.name == "checkpoints" else None


def store(found: Evaluation) -> Path | None:
    """Adds the scores to the run's file and returns it; None if they are of no run. Raises OSError."""
    run = run_of(found.checkpoint)
    if run is None or not found.scores:
        return None
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    path = folder / f"{found.task}-{found.step}.json"
    about = {"settings": list(found.settings), "data": found.data}
    new = [_finite({**asdict(one), "interval": one.interval, **about}) for one in found.scores]
    with _locked(folder):
        kept = _results(path)
        asked = {_question(one) for one in new}
        results = [*(one for one in kept if _question(one) not in asked), *new]
        whole = {"format_version": VERSION, "task": found.task, "step": found.step, "results": results}
        Storage(str(folder)).write(path.name, json.dumps(whole, indent=1, ensure_ascii=False).encode())
    return path


def read(run: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """All results of a run, each with its task and step, in the order of both; and the files that are no results."""
    found: list[dict[str, Any]] = []
    problems = []
    for path in sorted((run / FOLDER).glob("*.json")):
        try:
            whole = json.loads(path.read_bytes())
            about = {"task": str(whole["task"]), "step": int(whole["step"])}
            found += [{**about, **one} for one in whole["results"] if isinstance(one["measure"], str)]
        except (OSError, ValueError, KeyError, TypeError):
            problems.append(f"{FOLDER}/{path.name} is not a file of results")
    return sorted(found, key=lambda one: (one["task"], one["step"])), problems


def scores_of(numbers: Mapping[str, float]) -> list[Score]:
    """Of the flat numbers of a probe: probe/colour with probe/colour_error, _shuffled and _chance."""

    def of(name: str, what: str) -> float | None:
        return numbers.get(f"{name}_{what}")

    return [
        Score(name.removeprefix("probe/"), value, of(name, "error"), of(name, "chance"), of(name, "shuffled"))
        for name, value in numbers.items()
        if not name.endswith(("_error", "_chance", "_shuffled"))
    ]


def _question(result: Mapping[str, Any]) -> str:
    return json.dumps([result.get(name) for name in _QUESTION], sort_keys=True)


def _results(path: Path) -> list[dict[str, Any]]:
    """Those in a file; none if it is absent or is not one."""
    try:
        results = json.loads(path.read_bytes())["results"]
        return [one for one in results if isinstance(one, dict)]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []


def _finite(value: Any) -> Any:
    """JSON has no NaN: null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Evaluations of one run on several GPUs add to the same file one after the other."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
