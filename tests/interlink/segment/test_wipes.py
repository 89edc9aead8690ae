"""Borders that move across a picture, made of cells: which are wipes, and how much of the new picture each shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from interlink.segment.wipes import WipeLimits, _border, _distance, _places, wipe

Vector = NDArray[np.float32]
LIMITS = WipeLimits()


def vector(seed: int) -> Vector:
    """(240,): 10 x 16 cells of luma, 2 x 5 x 8 of chroma."""
    chance = np.random.default_rng(seed)
    return np.concatenate([chance.uniform(0, 200, 160), chance.uniform(-40, 40, 80)]).astype(np.float32)


OLD, NEW = vector(1), vector(2)


def shown(share: NDArray[np.float64], old: Vector = OLD, new: Vector = NEW) -> Vector:
    """A picture whose luma cell (row, column) has so much of the new one; chroma: the mean of its four cells."""
    grid = share.reshape(10, 16)
    colour = grid.reshape(5, 2, 8, 2).mean((1, 3)).ravel()
    parts = np.concatenate([grid.ravel(), colour, colour])
    return (old + (new - old) * parts).astype(np.float32)


def sweep(place: Callable[[float], NDArray[np.float64]], count: int) -> NDArray[np.float32]:
    return np.stack([shown(place((n + 1) / (count + 1))) for n in range(count)])


ACROSS = np.tile((np.arange(16) + 0.5) / 16, (10, 1))
DOWN = np.tile(((np.arange(10) + 0.5) / 10)[:, None], (1, 16))


def border(order: NDArray[np.float64], soft: float = 0.02) -> Callable[[float], NDArray[np.float64]]:
    """Cells in order of `order` (0..1) become new."""
    return lambda time: np.clip((time - order) / soft + 0.5, 0, 1).ravel()


SHAPES = {
    "to the right": ACROSS,
    "to the left": 1 - ACROSS,
    "down": DOWN,
    "diagonal": (ACROSS + DOWN) / 2,
    "iris": np.minimum(1.0, ((ACROSS - 0.5) ** 2 + (DOWN - 0.5) ** 2) * 2),
}


@pytest.mark.parametrize("count", [8, 13, 27])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_border_that_moves_is_a_wipe_and_its_shares_are_those_of_the_area(shape: str, count: int) -> None:
    found = wipe(OLD, NEW, sweep(border(SHAPES[shape]), count), LIMITS)
    assert found is not None and found.shape == (count,)
    times = [(n + 1) / (count + 1) for n in range(count)]
    wanted = [border(SHAPES[shape])(time).mean() for time in times]
    assert np.abs(found - wanted).max() < 0.12
    assert (np.diff(found) >= -1e-6).all()


def test_a_dissolve_a_cut_and_cells_in_no_order_are_none() -> None:
    count = 13
    dissolve = sweep(lambda time: np.full(160, time), count)
    cut = sweep(lambda time: np.full(160, float(time > 0.5)), count)
    scattered = sweep(border(np.random.default_rng(3).permutation(160).reshape(10, 16) / 160), count)
    for inside in (dissolve, cut, scattered):
        assert wipe(OLD, NEW, inside, LIMITS) is None


def test_a_border_that_goes_back_or_stops_is_none() -> None:
    count = 13
    still = np.stack([OLD] * count)
    assert wipe(OLD, NEW, still, LIMITS) is None
    forth = sweep(border(ACROSS), count)
    assert wipe(OLD, NEW, np.concatenate([forth[:8], forth[2:8], forth[8:]]), LIMITS) is None


def test_most_of_the_picture_must_change() -> None:
    inside = sweep(border(ACROSS), 13)

    def partly(columns: int) -> bool:
        """Whether it is one if only so many columns differ."""
        new = OLD.copy().reshape(-1)
        grid = new[:160].reshape(10, 16)
        grid[:, :columns] = NEW[:160].reshape(10, 16)[:, :columns]
        looks = np.stack([shown(border(ACROSS)((n + 1) / 14), OLD, new) for n in range(13)])
        return wipe(OLD, new, looks, replace(LIMITS, step=1.0, spread=0.0, direct=0.0)) is not None

    assert wipe(OLD, NEW, inside, LIMITS) is not None
    assert partly(9) and not partly(4)


@pytest.mark.parametrize(
    ("name", "value"),
    [("apart", 500.0), ("cells", 1.01), ("mixed", 0.0), ("fit", 1.01), ("shown", 1.01), ("spread", 0.5),
     ("step", 0.02), ("direct", 1.1)],
)  # fmt: skip
def test_each_limit_rules_out_a_wipe(name: str, value: float) -> None:
    inside = sweep(border((ACROSS + DOWN) / 2, soft=0.2), 13)
    assert wipe(OLD, NEW, inside, LIMITS) is not None
    assert wipe(OLD, NEW, inside, replace(LIMITS, **{name: value})) is None


def test_limits_are_the_measured_ones() -> None:
    assert WipeLimits(14.0, 0.3, 0.36, 0.8, 0.6, 0.14, 0.45, 0.8) == LIMITS


def test_the_distance_of_a_cell_is_its_luma_and_both_chroma_of_its_block() -> None:
    a, b = vector(3), vector(4)
    found = _distance(a, b)
    assert found.shape == (160,)
    for row, column in ((0, 0), (3, 7), (9, 15), (4, 1)):
        cell = 160 + (row // 2) * 8 + column // 2
        wanted = abs(a[row * 16 + column] - b[row * 16 + column]) + abs(a[cell] - b[cell])
        assert found[row * 16 + column] == pytest.approx(wanted + abs(a[cell + 40] - b[cell + 40]), rel=1e-5)
    assert _distance(np.stack([a, b]), b).shape == (2, 160)


def test_places_are_0_near_the_old_picture_and_1_near_the_new_one() -> None:
    flat_old, flat_new = np.zeros(240, np.float32), np.zeros(240, np.float32)
    flat_new[:160] = 98.0
    looks = np.zeros((5, 240), np.float32)
    for n, level in enumerate((0.0, 24.0, 49.0, 74.0, 98.0)):
        looks[n, :160] = level
    found = _places(flat_old, flat_new, looks, np.arange(160) < 3)
    assert found.shape == (5, 3)
    # (distance + 1) / (both + 2), of which a quarter at each end counts as whole
    assert found[:, 0].tolist() == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0], abs=1e-5)
    third = np.zeros((1, 240), np.float32)
    third[0, :160] = 39.0
    assert float(_places(flat_old, flat_new, third, np.arange(160) < 1)[0, 0]) == pytest.approx(0.3, abs=1e-5)


def test_a_border_is_fitted_to_most_cells_and_outliers_do_not_move_it() -> None:
    down, across = np.meshgrid(np.linspace(-1, 1, 10), np.linspace(-1, 1, 16), indexing="ij")
    ones = np.ones_like(down)
    basis = np.stack([part.ravel() for part in (ones, across, down, across**2, down**2, across * down)], 1)
    basis = basis.astype(np.float32)
    weights = np.full(160, 1 / 160, np.float32)
    times = (10 + 5 * across.ravel()).astype(np.float32)
    fit, spread = _border(times, basis, weights, 20)
    assert fit == pytest.approx(1.0) and spread == pytest.approx(float(times.std()) / 20, rel=1e-3)
    times[::10] += 12
    fit, spread = _border(times, basis, weights, 20)
    assert fit == pytest.approx(0.9) and spread == pytest.approx(5 * float(across.std()) / 20, rel=0.05)
    wide = times.copy()
    wide[::10] -= 12
    wide[1::10] += 2.2  # within 0.12 of 20 looks
    wide[2::10] += 2.9
    assert _border(wide, basis, weights, 20)[0] == pytest.approx(0.9, abs=0.011)
