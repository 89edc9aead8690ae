"""Curves of training runs as a PNG: losses, retrieval, captions slot by slot, gates. Costs milliseconds, needs Pillow.

Each run has its own thin lines, in the same colours. Dashed: the same with another clip's frames; dotted: chance. A
number that a run did not log has no curve.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from cosmos_train.errors import UserError
from cosmos_train.experiments.logged import read

Points = list[tuple[float, float]]  # (step, value)

_COLOURS = ("#1f6fb2", "#d1601f", "#3a8f3a", "#8c3fa0", "#b8860b")
_INK, _GRID = "#222222", "#dddddd"
_WIDTH, _HEIGHT = 640, 400  # pixels of a panel
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 18, 44, 52
_LARGE = 2  # drawn at this multiple of the size and scaled down, for smooth lines


@dataclass(frozen=True)
class Panel:
    """series: (heading, name in metrics.jsonl). unit: whether the scale is 0 to 1."""

    title: str
    series: tuple[tuple[str, str], ...]
    unit: bool = False


PANELS = (
    Panel("loss", (("language", "language"), ("contrastive", "contrastive"), ("clip", "clip"), ("distill", "distill"))),
    Panel("retrieval on held-out clips, R@1", (("frames to text", "probe/retrieval"),), True),
    Panel(
        "captions right on held-out clips",
        (
            ("object", "probe/object"), ("colour", "probe/colour"), ("action", "probe/action"),
            ("all three", "probe/all"),
        ),
        True,
    ),
    Panel(
        "retrieval on held-out pictures, R@1",
        (("picture to caption", "probe/image_to_text"), ("caption to picture", "probe/text_to_image")),
        True,
    ),
    Panel(
        "colours of held-out pictures, linear probe",
        (("object", "probe/linear_colour"), ("small thing", "probe/linear_small_colour")),
        True,
    ),
    Panel("attention on what is named", (("object", "probe/overlap"), ("small thing", "probe/small_overlap")), True),
    Panel("use of the least used expert, of an even share", (("experts", "experts/least_used"),), True),
    Panel("gates, mean of |tanh|", (("mean gate", "mean_gate"),)),
)  # fmt: skip


def curves(run: Path) -> dict[str, Points]:
    """Every number that a run logged, by step. Raises UserError if the folder holds no run."""
    found = {name: column.finite() for name, column in read(run).columns.items()}
    return {
        name: list(zip(steps.tolist(), values.tolist(), strict=True))
        for name, (steps, values) in found.items()
        if len(steps)
    }


def plot(runs: Sequence[Path], out: Path) -> Path:
    """Draws the panels for which any run has data, two in a row. Raises UserError if there are none."""
    return _page(PANELS, [curves(run) for run in runs], out)


def compare(runs: Mapping[str, Sequence[Path]], measures: Mapping[str, str], out: Path) -> Path:
    """Draws a panel for each measure (its name in metrics.jsonl -> title), with the runs of each variant in one colour.

    Leaves out measures without data. Raises UserError if there are none.
    """
    known = [
        {f"{variant}/{name}": points for name, points in curves(run).items()}
        for variant, folders in runs.items()
        for run in folders
    ]
    panels = []
    for measure, title in measures.items():
        series = tuple((variant, f"{variant}/{measure}") for variant in runs)
        every = [value for one in known for _, name in series for _, value in one.get(name, ())]
        panels.append(Panel(title, series, bool(every) and max(every) <= 1))
    return _page(panels, known, out)


def _page(wanted: Sequence[Panel], known: Sequence[dict[str, Points]], out: Path) -> Path:
    from PIL import Image

    panels = [panel for panel in wanted if any(name in one for one in known for _, name in panel.series)]
    if not panels:
        raise UserError("the runs have no logged numbers to draw", "train for at least train.log_every steps", 2)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    page = Image.new("RGB", (columns * _WIDTH, rows * _HEIGHT), "white")
    for number, panel in enumerate(panels):
        picture = _panel(panel, known)
        page.paste(picture, (number % columns * _WIDTH, number // columns * _HEIGHT))
    out.parent.mkdir(parents=True, exist_ok=True)
    page.save(out, "PNG", optimize=True)
    return out


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers from `low` to `high`: steps of 1, 2 or 5 times a power of ten, about `wanted` of them."""
    rough = max(high - low, 1e-9) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(part * power for part in (1, 2, 5, 10) if part * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


class _Axes:
    """Maps (step, value) to pixels of a panel."""

    def __init__(self, last: float, high: float) -> None:
        self.last, self.high = max(last, 1.0), high

    def at(self, step: float, value: float) -> tuple[float, float]:
        across = (_WIDTH - _LEFT - _RIGHT) * step / self.last
        up = (_HEIGHT - _TOP - _BOTTOM) * min(max(value / self.high, 0.0), 1.0)
        return (_LEFT + across) * _LARGE, (_HEIGHT - _BOTTOM - up) * _LARGE


def _panel(panel: Panel, known: Sequence[dict[str, Points]]) -> Any:
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (_WIDTH * _LARGE, _HEIGHT * _LARGE), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(13 * _LARGE)
    every = [point for one in known for _, name in panel.series for point in one.get(name, [])]
    high = 1.0 if panel.unit else max(1.05 * max(value for _, value in every), 1e-3)
    axes = _Axes(max(step for step, _ in every), high)
    for value in ticks(0, high):
        left, y = axes.at(0, value)
        draw.line((left, y, axes.at(axes.last, value)[0], y), _GRID, _LARGE)
        draw.text((left - 8 * _LARGE, y), f"{value:g}", _INK, font, anchor="rm")
    for step in ticks(0, axes.last):
        x, y = axes.at(step, 0)
        draw.line((x, y, x, y + 5 * _LARGE), _INK, _LARGE)
        draw.text((x, y + 8 * _LARGE), f"{step:g}", _INK, font, anchor="mt")
    draw.line((*axes.at(0, 0), *axes.at(axes.last, 0)), _INK, _LARGE)
    draw.text((_WIDTH * _LARGE / 2, (_HEIGHT - 8) * _LARGE), "step", _INK, font, anchor="mb")
    if any(f"{name}_shuffled" in one for one in known for _, name in panel.series):
        small = ImageFont.load_default(11 * _LARGE)
        draw.text((_LEFT * _LARGE, 28 * _LARGE), "dashed: other clips' frames; dotted: chance", _INK, small)
    draw.text((_LEFT * _LARGE, 8 * _LARGE), panel.title, _INK, ImageFont.load_default(15 * _LARGE))
    right = (_WIDTH - _RIGHT) * _LARGE
    for colour, (heading, name) in reversed(list(zip(_COLOURS, panel.series, strict=False))):
        for one in known:
            _line(draw, axes, one.get(name, []), colour, None)
            _line(draw, axes, one.get(f"{name}_shuffled", []), colour, 10)
            _line(draw, axes, one.get(f"{name}_chance", []), colour, 3)
        if any(name in one for one in known):
            draw.text((right, 27 * _LARGE), heading, colour, font, anchor="ra")
            right -= round(draw.textlength(heading, font)) + 16 * _LARGE
    return picture.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)


def _line(draw: Any, axes: _Axes, points: Points, colour: str, dash: int | None) -> None:
    """A line through the points; with `dash`, strokes and gaps of this many pixels each."""
    places = [axes.at(*point) for point in points]
    width = (2 if dash is None else 1) * _LARGE
    if dash is None:
        if len(places) == 1:
            x, y = places[0]
            draw.ellipse((x - width, y - width, x + width, y + width), colour)
        draw.line(places, colour, width, joint="curve")
        return
    long = dash * _LARGE
    gone = 0.0
    for (x, y), (to_x, to_y) in pairwise(places):
        length = math.hypot(to_x - x, to_y - y)
        at = 0.0
        while at < length:
            until = min(length, at + long - gone % long)
            if gone // long % 2 == 0:
                ends = [(x + (to_x - x) * part / length, y + (to_y - y) * part / length) for part in (at, until)]
                draw.line(ends, colour, width)
            gone += max(until - at, 1e-6)
            at = until if until > at else at + 1e-6
