"""A picture as a vector of cheap histograms, computed from its look. Costs about 0.2 ms.

For methods that compare pictures (kernel segmentation, stitching): the content of a scene counts, its exact position in
the picture hardly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from interlink.media.look import Look

ROWS, COLUMNS = 2, 4  # cells of the picture
LEVELS, DIRECTIONS, TINTS = 8, 8, 8  # bins of luma, of gradient direction, of each chroma axis
FLAT = 6.0  # gradients below this (grey levels over two pixels) have no direction
SIZE = ROWS * COLUMNS * (LEVELS + DIRECTIONS + 1) + TINTS * TINTS


def features_of(look: Look) -> NDArray[np.float64]:
    """(SIZE,) vector of length 1: luma and gradient directions for each cell, chroma for the whole picture.

    Square roots of shares, so that the product of two vectors is their Bhattacharyya coefficient: 1 for equal
    pictures, 0 for nothing in common.
    """
    luma = look.luma.astype(np.float64)
    levels = np.clip(((luma - 16) * LEVELS / 220).astype(np.int64), 0, LEVELS - 1)
    across, down = np.zeros_like(luma), np.zeros_like(luma)
    across[:, 1:-1], down[1:-1] = luma[:, 2:] - luma[:, :-2], luma[2:] - luma[:-2]
    turns = (np.arctan2(down, across) / (2 * np.pi)) % 1.0
    directions = np.minimum((turns * DIRECTIONS).astype(np.int64), DIRECTIONS - 1)
    directions = np.where(np.hypot(across, down) < FLAT, DIRECTIONS, directions)
    # Chroma is mostly close to grey: the bins are finer there.
    tints = np.clip((np.cbrt((look.chroma.astype(np.float64) - 128) / 112) + 1) / 2 * TINTS, 0, TINTS - 1)
    tint = tints.astype(np.int64)
    parts = [
        _histograms(levels, LEVELS),
        _histograms(directions, DIRECTIONS + 1),
        np.bincount((tint[0] * TINTS + tint[1]).ravel(), minlength=TINTS * TINTS),
    ]
    shares = [part / part.sum() / len(parts) for part in parts]
    return np.asarray(np.sqrt(np.concatenate(shares)))


def alikeness(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Similarity of two pictures, 0 to 1 (equal)."""
    return float(a @ b)


def _histograms(bins: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """(cells x count,) histogram of each cell of a (40, 64) picture of bin numbers."""
    height, width = bins.shape
    row = np.arange(height) * ROWS // height
    column = np.arange(width) * COLUMNS // width
    cell = row[:, None] * COLUMNS + column[None, :]
    return np.bincount((cell * count + bins).ravel(), minlength=ROWS * COLUMNS * count)
