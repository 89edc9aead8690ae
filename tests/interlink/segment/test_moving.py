"""A dissolve is found although part of the picture moves; a change in one step is none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from interlink.segment.moving import MovingLimits, moving_dissolve


def dissolve(moving: float, steps: int = 20) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The basis and the vectors of a dissolve in which a share of the values changes at random."""
    draw = np.random.default_rng(0)
    basis = np.concatenate([draw.uniform(0, 200, (2, 240)), np.ones((1, 240))]).astype(np.float32)
    share = (np.arange(1, steps) / steps)[:, None]
    inside = (basis[0] * (1 - share) + basis[1] * share).astype(np.float32)
    count = int(moving * 240)
    inside[:, :count] = draw.uniform(0, 200, (steps - 1, count))
    return basis, inside


def test_a_dissolve_is_found_where_a_third_of_the_picture_moves() -> None:
    shares = moving_dissolve(*dissolve(0.33), MovingLimits())

    assert shares is not None
    assert np.abs(shares[1] - np.linspace(0, 1, 21)).max() < 0.1


def test_nothing_is_found_where_most_moves_or_all_changes_in_one_step() -> None:
    basis, _ = dissolve(0.0)
    step = np.where(np.arange(19)[:, None] < 10, basis[0], basis[1]).astype(np.float32)

    assert moving_dissolve(*dissolve(0.8), MovingLimits()) is None
    assert moving_dissolve(basis, step, MovingLimits()) is None
