"""Dissolves of scenes that move: most cells are mixtures of old and new in the same shares, and the rest is ignored.

Where heads turn or hands move during a dissolve, the cells around them are no mixture of the pictures before and after.
So the shares are fitted again and again, with less weight on cells that do not fit (iteratively reweighted least
squares). What is left must change along straight lines, as in a dissolve, and must be half of what differs. Costs
0.2 ms per tested stretch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUNDS = 4  # of the robust fit
SOFT = 8.0  # grey levels added to the difference of a cell, so that noise in alike cells does not count as misfit
DIFFERENT = 10.0  # grey levels from which on a value is compared
WEIGHTY = 60.0  # grey levels above which a difference counts no more


@dataclass(frozen=True)
class MovingLimits:
    """Limits of a dissolve of moving scenes.

    loose: residual (root mean square) of a value over its difference, at which it counts half in the next round; within
    it, a value fits. fit: least weight of the values that fit. loose_pixel, fit_pixel: the same of pixels.
    uneven: root mean square distance of both shares from straight lines. direct: least ratio of 1 to the distance that
    a share travels.
    """

    loose: float = 0.15
    fit: float = 0.45
    loose_pixel: float = 0.2
    fit_pixel: float = 0.3
    uneven: float = 0.1
    direct: float = 0.85


def moving_dissolve(
    basis: NDArray[np.float32], inside: NDArray[np.float32], limits: MovingLimits
) -> NDArray[np.float64] | None:
    """The (3, n + 2) shares of old, new and grey in n vectors (n, 240) and the two around them; None if it is no
    dissolve.

    basis: (3, 240) old, new, grey.
    """
    apart = np.abs(basis[0] - basis[1])
    weights = _weights(apart)
    counted, misfit = weights, apart
    for _ in range(ROUNDS):
        shares = _shares(basis, inside, counted)
        misfit = np.sqrt(((inside - shares.T @ basis) ** 2).mean(axis=0)) / (apart + SOFT)
        counted = weights / (1 + (misfit / limits.loose) ** 2)
    if float((misfit < limits.loose) @ weights) < limits.fit:
        return None
    found = np.concatenate([[[1.0], [0.0], [0.0]], shares, [[0.0], [1.0], [0.0]]], axis=1)
    both = found[:2]
    line = np.linspace(0, 1, both.shape[1])
    if float(((both - np.stack([1 - line, line])) ** 2).mean()) > limits.uneven**2:
        return None
    travelled = float(np.abs(np.diff(both)).sum(axis=1).max())
    return found if travelled * limits.direct <= 1 else None


def fine_enough(shares: NDArray[np.float64], looks: NDArray[np.float32], limits: MovingLimits) -> bool:
    """Whether most pixels of the luma (n + 2, 40, 64), above black, are the same mixtures as their cells.

    A slow pan is a mixture of cells, not of pixels.
    """
    apart = np.abs(looks[0] - looks[-1])
    parts = shares[:, 1:-1].T.astype(np.float32)
    mixed = np.tensordot(parts, np.stack([looks[0], looks[-1], np.ones_like(apart)]), 1)
    misfit = np.sqrt(((looks[1:-1] - mixed) ** 2).mean(axis=0)) / (apart + SOFT)
    return float(((misfit < limits.loose_pixel) * _weights(apart)).sum()) >= limits.fit_pixel


def _weights(apart: NDArray[np.float32]) -> NDArray[np.float32]:
    """The weights of values, by how far old and new are apart in them."""
    weights = np.minimum(apart, WEIGHTY) * (apart >= DIFFERENT)
    return np.asarray(weights / max(float(weights.sum()), 1.0), np.float32)


def _shares(
    basis: NDArray[np.float32], pictures: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float64]:
    """(3, n) least-squares shares of the basis in n pictures."""
    weighted = basis * weights
    return np.asarray(np.linalg.solve(weighted @ basis.T + 1e-3 * np.eye(3), weighted @ pictures.T), np.float64)
