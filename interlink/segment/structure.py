"""Whether two looks show the same things under another light.

The edges of a scene stay where they are when a lamp is switched on, a flash goes off or a shadow passes; only their
strength changes. So directions and places of gradients are compared, block by block, each block relative to its own
contrast. Black bars are left out: their edges are the same in every scene. Costs 0.1 ms a pair.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from interlink.media.look import Look

BLACK = 24  # luma up to which a pixel may belong to a black bar
BLOCK = 8  # pixels of a look's blocks each way
CONTRAST = 16.0  # mean squared gradient (grey levels over two pixels) below which a block has no structure
SAME = 0.5  # least cosine of the gradients of a block that shows the same
CHANGED = 6.0  # mean change of luma of a block that counts as changed
LEAST_ROWS = 12  # a picture between bars has at least so many rows and columns of a look


def structure(a: NDArray[np.uint8], b: NDArray[np.uint8], changed: bool = False) -> float:
    """The share (0..1) of structure that the luma (40, 64) of both looks has, by contrast.

    changed: only of blocks that changed. 0 where neither has any.
    """
    x, y = a.astype(np.float32), b.astype(np.float32)
    rows, columns = _lit(a, b)
    first, second = _gradients(x, rows, columns), _gradients(y, rows, columns)
    strong, other, both = _blocks(first, first), _blocks(second, second), _blocks(first, second)
    most = np.maximum(strong, other)
    floor = CONTRAST * BLOCK * BLOCK
    same = both > SAME * np.sqrt((strong + floor / 2) * (other + floor / 2))
    weights = np.sqrt(most) * (most > floor)
    if changed:
        weights = weights * (_blocks((x - y)[None]) > (CHANGED * BLOCK) ** 2)
    whole = float(weights.sum())
    return float((weights * same).sum()) / whole if whole else 0.0


def without_bars(a: Look, b: Look) -> tuple[Look, Look]:
    """The two looks without rows and columns at the edges that are black in both (letterbox)."""
    part = _lit(a.luma, b.luma)
    return replace(a, luma=a.luma[part]), replace(b, luma=b.luma[part])


def _lit(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> tuple[slice, slice]:
    """The rows and the columns between black bars; all of them where too few are left."""
    lit = np.maximum(a, b) > BLACK
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    if not len(rows) or min(np.ptp(rows), np.ptp(columns)) + 1 < LEAST_ROWS:
        return slice(0, a.shape[0]), slice(0, a.shape[1])
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _gradients(luma: NDArray[np.float32], rows: slice, columns: slice) -> NDArray[np.float32]:
    """(2, 40, 64) across and down, 0 within two pixels of what lies outside `rows` and `columns`."""
    found = np.zeros((2, *luma.shape), np.float32)
    inner = slice(rows.start + 2, rows.stop - 2), slice(columns.start + 2, columns.stop - 2)
    found[0, :, 1:-1] = luma[:, 2:] - luma[:, :-2]
    found[1, 1:-1] = luma[2:] - luma[:-2]
    kept = np.zeros_like(found)
    kept[(slice(None), *inner)] = found[(slice(None), *inner)]
    return kept


def _blocks(a: NDArray[np.float32], b: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """(5, 8) sums of products over blocks."""
    product = (a * (a if b is None else b)).sum(axis=0)
    height, width = product.shape
    sums: NDArray[np.float32] = product.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).sum((1, 3))
    return sums
