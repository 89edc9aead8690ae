"""Wipes: a border moves across the picture; on one side of it lies the old picture, on the other the new one.

Each cell of a look changes once, from the old picture to the new one, when the border reaches it. So the time of a
cell's largest change is a smooth function of its place: linear for a straight border, quadratic is enough for an iris.
In a dissolve or a flash all cells change at once; in a pan a cell shows much that belongs to neither picture, and the
times are scattered. Most cells must fit, not all: something may move in both scenes. Costs 0.2 ms per tested stretch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROWS, COLUMNS = 10, 16  # cells of luma in a vector (see `gradual.vector_of`); chroma has half as many each way
FITS = 4  # rounds of the robust fit
LOOSE = 0.08  # distance from the fit, over the number of looks, at which a cell counts half in the next round
NEAR = 0.12  # the same, within which a cell fits
WEIGHTY = 60.0  # grey levels between old and new above which a cell counts no more
SURE = 0.25  # closer than this share to one of the two pictures, a cell counts as showing it


@dataclass(frozen=True)
class WipeLimits:
    """Limits of a wipe.

    apart: grey levels (luma and both chroma) by which old and new differ in a cell that is compared. cells: least share
    of such cells. mixed: greatest mean of 4p(1 - p), where p is how far a cell is from old to new: 0 if each cell shows
    one of the two. fit: least share of cells whose largest change fits the border. shown: least share of cells whose
    way from old to new fits one. spread: least standard deviation of the border's times, over the number of looks (0.29
    if the border moves evenly in all of them). step: greatest share of cells that change in one look. direct: least
    ratio of 1 to the distance that the share of new travels.
    """

    apart: float = 14.0
    cells: float = 0.3
    mixed: float = 0.36
    fit: float = 0.8
    shown: float = 0.6
    spread: float = 0.14
    step: float = 0.45
    direct: float = 0.8


def wipe(
    before: NDArray[np.float32], after: NDArray[np.float32], inside: NDArray[np.float32], limits: WipeLimits
) -> NDArray[np.float64] | None:
    """The (n,) shares of the new picture in n vectors (n, 240) between two others (240,); None if it is no wipe."""
    between = _distance(before, after)
    cells = between >= limits.apart
    if float(cells.mean()) < limits.cells:
        return None
    weights = np.minimum(between[cells], WEIGHTY)
    weights /= weights.sum()
    middle = _places(before, after, inside[len(inside) // 2][None], cells)  # tested first: it rules out most stretches
    if float((4 * middle * (1 - middle) @ weights).mean()) > 1.5 * limits.mixed:
        return None
    places = _places(before, after, inside, cells)
    shares = places @ weights
    steps = np.diff(np.concatenate([[0.0], shares, [1.0]]))
    moving = (shares > 0.05) & (shares < 0.95)
    if float(steps.max()) > limits.step or float(np.abs(steps).sum()) * limits.direct > 1 or moving.sum() < 2:
        return None
    if float((4 * places * (1 - places) @ weights)[moving].mean()) > limits.mixed:
        return None
    looks, basis = np.concatenate([before[None], inside, after[None]]), _BASIS[cells]
    changed = _distance(looks[1:], looks[:-1])[:, cells].argmax(axis=0).astype(np.float32)
    fit, spread = _border(changed, basis, weights, len(inside))
    if fit < limits.fit or spread < limits.spread:
        return None
    shown, _ = _border((1 - places).sum(axis=0), basis, weights, len(inside))
    return np.asarray(shares, np.float64) if shown >= limits.shown else None


def _distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """(…, 160) distances of cells between vectors (…, 240)."""
    apart = np.abs(a - b)
    luma, chroma = apart[..., : ROWS * COLUMNS], apart[..., ROWS * COLUMNS :]
    both = chroma.reshape(*chroma.shape[:-1], 2, ROWS // 2, COLUMNS // 2).sum(axis=-3)
    return np.asarray(luma + both.repeat(2, axis=-2).repeat(2, axis=-1).reshape(luma.shape))


def _places(
    before: NDArray[np.float32], after: NDArray[np.float32], inside: NDArray[np.float32], cells: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """(n, cells) how far each cell is from old (0) to new (1)."""
    old, new = _distance(inside, before)[:, cells], _distance(inside, after)[:, cells]
    return np.asarray(np.clip(((old + 1) / (old + new + 2) - SURE) / (1 - 2 * SURE), 0, 1))


def _border(
    times: NDArray[np.float32], basis: NDArray[np.float32], weights: NDArray[np.float32], count: int
) -> tuple[float, float]:
    """(weighted share of cells whose times fit a border, standard deviation of the border's times over `count`)."""
    counted = weights
    for _ in range(FITS):
        weighted = basis * counted[:, None]
        solved = np.linalg.solve(
            basis.T @ weighted + 1e-6 * np.eye(basis.shape[1], dtype=np.float32), weighted.T @ times
        )
        border = basis @ solved
        rest = np.abs(times - border)
        counted = weights / (1 + (rest / (LOOSE * count)) ** 2)
    mean = float(border @ weights)
    return float((rest < NEAR * count) @ weights), float(((border - mean) ** 2) @ weights) ** 0.5 / count


def _basis() -> NDArray[np.float32]:
    """(160, 6) constant, place and products of places of the cells."""
    down, across = np.meshgrid(np.linspace(-1, 1, ROWS), np.linspace(-1, 1, COLUMNS), indexing="ij")
    parts = [np.ones_like(down), across, down, across**2, down**2, across * down]
    return np.stack([part.ravel() for part in parts], axis=1).astype(np.float32)


_BASIS = _basis()
