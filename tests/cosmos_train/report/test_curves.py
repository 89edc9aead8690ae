"""Long curves are shortened without losing a spike, a gap or their bounds; the file stays in its room."""

from __future__ import annotations

import json
import math
import random
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_train.experiments.logged import Column, Logged
from cosmos_train.report.curves import curve, data
from cosmos_train.report.page import page
from cosmos_train.report.runs import Run


def column(values: list[float]) -> Column:
    return Column(array("d", range(1, len(values) + 1)), array("d", values))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=300),
    st.integers(2, 40),
)  # fmt: skip
def test_a_short_curve_keeps_its_points_that_were_logged_and_its_extremes(values: list[float], parts: int) -> None:
    found = curve(column(values), parts)
    points = list(zip(found["s"], found["v"], strict=True))
    assert all(
        (value is None) if math.isnan(values[int(step or 0) - 1]) else value == values[int(step or 0) - 1]
        for step, value in points
    )
    assert [step for step, _ in points] == sorted({step for step, _ in points if step is not None})
    finite = [value for value in values if math.isfinite(value)]
    kept = [value for value in found["v"] if value is not None]
    if finite:
        assert (min(kept), max(kept)) == (min(finite), max(finite))
    assert found["s"][0] == 1 and found["s"][-1] == len(values)
    if len(values) <= 2 * parts:
        assert len(points) == len(values)
    else:
        assert len(points) <= 3 * parts + 2
        assert (None in found["v"]) == any(map(math.isnan, values))


def test_one_spike_among_many_steps_stays() -> None:
    values = [1.0] * 50_000
    values[31_234] = 99.0
    found = curve(column(values), 100)
    assert found["v"][found["s"].index(31_235)] == 99.0
    assert max(value for value in found["mv"] if value is not None) == pytest.approx(1 + 98 / 500)


def long_run(number: int, steps: int, names: int) -> Run:
    draw = random.Random(number)
    columns = {
        "loss" if n == 0 else f"number/{n}": column([draw.gauss(1 / step, 0.1) for step in range(1, steps + 1)])
        for n in range(names)
    }
    return Run(f"run{number}", Path(f"run{number}"), Logged(columns, lines=steps, step=steps))


def test_many_runs_fit_the_room_by_fewer_parts() -> None:
    runs = [long_run(number, 2_000, 5) for number in range(4)]
    whole = len(json.dumps(data(runs, 10**9), separators=(",", ":")))
    small = data(runs, whole // 4)
    assert len(json.dumps(small, separators=(",", ":"))) <= whole // 4
    assert len(small["runs"][0]["curves"]["loss"]["s"]) > 100
    assert len(page(runs, 700_000).encode()) <= 700_000
