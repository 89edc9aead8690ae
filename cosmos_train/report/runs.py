"""What a run's folder holds: metrics, recipe, probe samples, evaluations. Light: imports no torch."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from cosmos_train.errors import UserError
from cosmos_train.evaluate import stored
from cosmos_train.experiments.logged import FILE, Column, Logged, read
from cosmos_train.train.places import find, flat

AXES = ("samples", "seconds")  # besides the step


@dataclass(frozen=True)
class Sample:
    """A fixed probe sample. picture: a JPEG, or None if its file is gone; said: (step, caption), ascending."""

    key: str
    truth: str
    picture: bytes | None
    said: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Run:
    """recipe: dotted keys; empty if no checkpoint was saved. axes: name → the samples or seconds at each logged step.

    notes: what a reader of its numbers must know.
    """

    name: str
    folder: Path
    logged: Logged = field(default_factory=Logged)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    axes: Mapping[str, Column] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    evaluations: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        return str(self.recipe.get("model.kind", ""))

    @property
    def last_step(self) -> int:
        return int(self.logged.step) if self.logged.lines else 0

    def last(self, name: str) -> float | None:
        return self.logged.columns[name].last() if name in self.logged.columns else None


def load(folders: Sequence[Path]) -> list[Run]:
    """Reads each run. Raises UserError (code 2) for a folder that holds none."""
    return [_load(folder, name) for folder, name in zip(folders, _names(folders), strict=True)]


def _load(folder: Path, name: str) -> Run:
    try:
        checkpoint = find(folder) if folder.is_dir() else None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder} cannot be read: {error}", "mend its permissions or its file checkpoints/latest", 2
        ) from error
    evaluations, problems = stored.read(folder)
    if not (folder / FILE).is_file() and checkpoint is None and not evaluations:
        raise UserError(f"{folder} holds no training run", _advice(folder), 2)
    logged = read(folder) if (folder / FILE).is_file() else Logged()
    recipe, unreadable = _recipe(checkpoint)
    axes = {axis: column for axis in AXES if (column := _axis(axis, logged, recipe)) is not None}
    notes = [*_notes(logged, recipe, axes), *unreadable, *problems]
    return Run(name, folder, logged, recipe, axes, _samples(folder), tuple(evaluations), tuple(notes))


def _names(folders: Sequence[Path]) -> list[str]:
    """The last parts of the paths, as many as tell them apart."""
    parts = [folder.absolute().parts for folder in folders]
    for count in range(1, max(map(len, parts), default=1)):
        names = ["/".join(one[-count:]) for one in parts]
        if len(set(names)) == len(set(parts)):
            break
    return [f"{name} ({number})" if names.index(name) < number else name for number, name in enumerate(names)]


def _advice(folder: Path) -> str:
    """The runs below the folder, if it is that of a chain, an ablation, or of several runs."""
    if not folder.is_dir():
        return "give the folders of training runs: cosmos_train run … --out RUN"
    below = sorted({str(path.parent) for depth in ("*", "*/*", "*/*/*") for path in folder.glob(f"{depth}/{FILE}")})
    if not below:
        return f"give the folder that has {FILE} and checkpoints: cosmos_train run … --out RUN"
    more = f" and {len(below) - 8} more" if len(below) > 8 else ""
    return f"give its runs: {' '.join(below[:8])}{more}"


def _recipe(checkpoint: Path | None) -> tuple[dict[str, Any], list[str]]:
    """As it was saved, not as this version would read it: runs of other versions and of third-party families count."""
    if checkpoint is None:
        return {}, ["no checkpoint yet: its recipe is unknown"]
    try:
        values = yaml.safe_load((checkpoint / "recipe.yaml").read_text(encoding="utf-8"))
        return dict(flat(values)), []
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        return {}, [f"the recipe of {checkpoint.name} cannot be read: {error}"]


def _notes(logged: Logged, recipe: Mapping[str, Any], axes: Mapping[str, Column]) -> list[str]:
    if not logged.lines:
        return [f"no metrics: {FILE} is absent or empty"]
    notes = []
    steps = recipe.get("train.steps")
    if isinstance(steps, int) and logged.step < steps:
        notes.append(f"stopped or still running at step {logged.step:g} of {steps}")
    if logged.cut:
        notes.append("the last line of its metrics is incomplete (killed while writing); left out")
    if logged.unreadable:
        notes.append(f"{_lines(logged.unreadable)} of its metrics cannot be read; left out")
    if logged.repeated:
        times = "once" if logged.repeated == 1 else f"{logged.repeated} times"
        notes.append(f"resumed {times} from an earlier step: repeated steps replace the earlier ones")
    for name, column in logged.columns.items():
        steps_there, values = column.arrays()
        bad = steps_there[~np.isfinite(values)]
        if len(bad):
            notes.append(f"{name} is not finite at {_steps(bad)}")
    if axes and not all(axis in logged.columns for axis in axes):
        notes.append("samples and seconds are computed from its rates: it was logged before they were")
    elif len(axes) < len(AXES):
        notes.append("it logged no samples and seconds: it is drawn by step only")
    return notes


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"


def _steps(steps: NDArray[np.float64]) -> str:
    return f"step {steps[0]:g}" if len(steps) == 1 else f"{len(steps)} steps, the first is {steps[0]:g}"


def _axis(name: str, logged: Logged, recipe: Mapping[str, Any]) -> Column | None:
    """Samples or seconds by step: as logged, else (older runs) from the rates and the time left; None if unknown.

    A window of n steps took n · seconds_left / (last step - step) seconds.
    """
    known = logged.columns.get(name)
    if known is not None and len(known) and all(map(math.isfinite, known.values)):
        return known
    left, rate = logged.columns.get("seconds_left"), logged.columns.get("samples_per_second")
    steps = recipe.get("train.steps")
    if left is None or rate is None or not isinstance(steps, int) or left.steps != rate.steps:
        return None
    found = Column(array("d", left.steps))
    total = before = per_step = 0.0
    for step, remaining, speed in zip(left.steps, left.values, rate.values, strict=True):
        if step < steps and math.isfinite(remaining):
            per_step = remaining / (steps - step)
        seconds = per_step * (step - before)
        total += (
            seconds * speed if name == "samples" and math.isfinite(speed) else seconds if name == "seconds" else 0.0
        )
        before = step
        found.values.append(total)
    return found


def _samples(folder: Path) -> tuple[Sample, ...]:
    """The probe's samples with their captions by step; a repeated step replaces the earlier one."""
    path = folder / "probe" / "samples.jsonl"
    said: dict[tuple[str, str, str], dict[int, str]] = {}
    for raw in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            line = json.loads(raw)
            step = int(line["step"])
            rows = [((str(r["picture"]), str(r["key"]), str(r["truth"])), str(r["said"])) for r in line["samples"]]
        except (ValueError, KeyError, TypeError):
            continue  # cut by a kill
        for captions in said.values():
            for later in [known for known in captions if known > step]:
                del captions[later]
        for identity, text in rows:
            said.setdefault(identity, {})[step] = text
    return tuple(
        Sample(key, truth, _picture(path.parent, name), tuple(sorted(captions.items())))
        for (name, key, truth), captions in said.items()
        if captions
    )


def _picture(folder: Path, name: str) -> bytes | None:
    path = folder / Path(name).name  # inside the folder, whatever the file says
    return path.read_bytes() if path.is_file() else None
