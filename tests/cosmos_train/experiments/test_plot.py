"""Curves: what a run logged is drawn, what it did not is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cosmos_train.errors import UserError
from cosmos_train.experiments.plot import compare, curves, plot, ticks


def run(folder: Path, *lines: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_panels_are_those_that_a_run_has_numbers_for(tmp_path: Path) -> None:
    losses = run(tmp_path / "a", *({"step": step, "language": 3 - step, "contrastive": 1.0} for step in range(3)))
    assert Image.open(plot([losses], tmp_path / "one.png")).size == (640, 400)
    more = {"mean_gate": 0.1, "probe/retrieval": 0.5, "probe/retrieval_shuffled": 0.1, "probe/object": 0.2}
    whole = run(tmp_path / "b", *({"step": step, "language": 1.0, **more} for step in range(4)))
    assert Image.open(plot([losses, whole], tmp_path / "sub" / "four.png")).size == (1280, 800)


def test_a_curve_goes_where_its_numbers_say(tmp_path: Path) -> None:
    """Given a loss that falls from 2 to 0, blue is high on the left and low on the right."""
    path = plot([run(tmp_path / "a", {"step": 0, "language": 2.0}, {"step": 10, "language": 0.0})], tmp_path / "a.png")
    pixels = np.asarray(Image.open(path)).astype(int)[50:]
    blue = (pixels[..., 2] - pixels[..., 0]) > 60
    rows = [np.flatnonzero(blue[:, column]).mean() for column in (100, 300, 500)]
    assert rows[0] < rows[1] - 30 < rows[2] - 60


def test_numbers_that_are_none_are_passed_over(tmp_path: Path) -> None:
    found = curves(run(tmp_path / "a", {"step": 1, "loss": None, "bottleneck": "x"}, {"step": 2, "loss": 1}))
    assert found == {"loss": [(2.0, 1.0)]}


def test_ticks_are_round() -> None:
    assert ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(0, 700) == pytest.approx([0, 200, 400, 600])
    assert ticks(0, 0.03) == pytest.approx([0, 0.01, 0.02, 0.03])


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics\.jsonl cannot be read"):
        plot([tmp_path], tmp_path / "x.png")
    with pytest.raises(UserError, match="no logged numbers to draw"):
        plot([run(tmp_path / "a", {"step": 1, "other": 1.0})], tmp_path / "x.png")


def test_variants_are_compared_measure_by_measure(tmp_path: Path) -> None:
    falls = [run(tmp_path / f"a{n}", {"step": 0, "loss": 4.0}, {"step": 9, "loss": 1.0}) for n in range(2)]
    stays = run(tmp_path / "b", {"step": 0, "loss": 4.0}, {"step": 9, "loss": 4.0}, {"step": 9, "probe/colour": 0.5})
    runs = {"falls": falls, "stays": [stays], "not run": []}
    out = compare(runs, {"loss": "loss", "probe/colour": "colour", "nothing": "nothing"}, tmp_path / "x.png")
    drawn = np.asarray(Image.open(out).convert("RGB")).astype(int)
    assert drawn.shape[:2] == (400, 1280)  # a panel for each measure that anything was logged of
    first, second = ((abs(drawn[:, :640] - colour).max(2) < 60).sum() for colour in ((31, 111, 178), (209, 96, 31)))
    assert first > 500 and second > 500
    with pytest.raises(UserError, match="no logged numbers to draw"):
        compare(runs, {"nothing": "nothing"}, tmp_path / "y.png")
