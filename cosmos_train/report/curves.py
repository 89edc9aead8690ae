"""The numbers of runs as the report's charts take them: every point, or the extremes of equal parts.

A curve of up to 2 · parts points keeps them all. A longer one keeps of each part its lowest and highest point (as
logged, so no spike is lost) and the part's mean, from which smoothed lines are drawn. Costs a pass over the numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_train.experiments.logged import Column
from cosmos_train.report.runs import AXES, Run

PARTS = 1500  # of a curve, at most
LEAST = 60

_NOT_DRAWN = {*AXES, "seconds_left"}
_SUFFIXES = ("_shuffled", "_chance")
_GROUPS = (
    ("Speed and memory", re.compile(r".*_per_second|mfu.*|tflops.*|memory_gigabytes|data_wait_share")),
    ("Time shares", re.compile(r"time/.*")),
    ("Held-out probe", re.compile(r"probe/.*")),
    ("Experts", re.compile(r"(experts|routing|router)/.*")),
    ("Exposure", re.compile(r"exposure/.*")),
    ("Optimiser", re.compile(r"learning_rate|gradient_norm|skipped_steps|bad_samples|epoch")),
)
_LOSS, _OTHER = "Loss", "Model"
_ORDER = (_LOSS, "Held-out probe", "Optimiser", _OTHER, "Experts", "Speed and memory", "Time shares", "Exposure")


def data(runs: Sequence[Run], room: int) -> dict[str, Any]:
    """Groups of panels and every run's curves, in about `room` bytes of JSON: parts are larger where runs are many.

    Shape: {"groups": [{"title", "panels": [{"name", "lines": [name, …]}]}], "runs": [{"name", "axes": {axis: curve},
    "curves": {name: curve}}]}; a curve is {"s": steps, "v": values} with null for a value that is not finite, and for
    a shortened one {"ms": steps, "mv": means}.
    """
    parts = PARTS
    while True:
        found = {"groups": groups(runs), "runs": [_run(run, parts) for run in runs]}
        size = len(json.dumps(found, separators=(",", ":")))
        if size <= room or parts <= LEAST:
            return found
        parts = max(LEAST, min(int(parts * 0.95 * room / size), parts - 1))


def groups(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Panels by group. A panel shows a number, with its level of chance and that of shuffled samples."""
    names: dict[str, None] = {}
    losses = {"loss"}
    for run in runs:
        columns = list(run.logged.columns)
        names |= dict.fromkeys(columns)
        if "learning_rate" in columns:  # a line begins with the losses of its family
            losses |= set(columns[: columns.index("learning_rate")])
    found: dict[str, list[dict[str, Any]]] = {title: [] for title in _ORDER}
    for name in names:
        main = next((name.removesuffix(one) for one in _SUFFIXES if name.endswith(one)), name)
        if (
            name in _NOT_DRAWN
            or (main != name and main in names)
            or name.removesuffix("_error") in names.keys() - {name}
        ):
            continue
        title = _LOSS if name in losses else next((t for t, like in _GROUPS if like.fullmatch(name)), _OTHER)
        lines = [name, *(f"{name}{one}" for one in _SUFFIXES if f"{name}{one}" in names)]
        found[title].append({"name": name, "lines": lines})
    return [{"title": title, "panels": panels} for title, panels in found.items() if panels]


def _run(run: Run, parts: int) -> dict[str, Any]:
    return {
        "name": run.name,
        "axes": {axis: _thinned(column, parts) for axis, column in run.axes.items()},
        "curves": {
            name: curve(column, parts)
            for name, column in run.logged.columns.items()
            if name not in _NOT_DRAWN and len(column)
        },
    }


def curve(column: Column, parts: int) -> dict[str, list[float | None]]:
    """See the module."""
    steps, values = column.arrays()
    if len(steps) <= 2 * parts:
        return {"s": _plain(steps), "v": _plain(values)}
    size = -(-len(steps) // parts)
    missing = -len(steps) % size
    table = np.pad(values, (0, missing), constant_values=np.nan).reshape(-1, size)
    known = np.isfinite(table)
    offset = np.arange(len(table)) * size
    kept = {0, len(steps) - 1}
    some = known.any(1)
    for extreme in (np.where(known, table, np.inf).argmin(1), np.where(known, table, -np.inf).argmax(1)):
        kept.update((offset + extreme)[some].tolist())
    bad = ~np.isfinite(values)
    first_bad = np.flatnonzero(bad & ~np.concatenate(([False], bad[:-1])))
    kept.update(first_bad[np.unique(first_bad // size, return_index=True)[1]].tolist())  # a gap stays a gap
    places = np.array(sorted(kept))
    means = np.where(known, table, 0).sum(1)[some] / known.sum(1)[some]
    middles = np.minimum(offset + size // 2, len(steps) - 1)[some]
    rounded = [float(f"{mean:.6g}") for mean in means.tolist()]
    return {"s": _plain(steps[places]), "v": _plain(values[places]), "ms": _plain(steps[middles]), "mv": [*rounded]}


def _thinned(column: Column, parts: int) -> dict[str, list[float | None]]:
    """Of an axis, which grows evenly: evenly spaced points and the last."""
    every = max(1, -(-len(column) // (2 * parts)))
    places = [*range(0, len(column) - 1, every), len(column) - 1]
    return {"s": [_number(column.steps[n]) for n in places], "v": [_number(column.values[n]) for n in places]}


def _plain(values: NDArray[np.float64] | Iterable[float]) -> list[float | None]:
    return [_number(value) for value in (values.tolist() if isinstance(values, np.ndarray) else values)]


def _number(value: float) -> float | None:
    if value != value:
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
