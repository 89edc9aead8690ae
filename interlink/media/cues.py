"""Cheap detectors of printed text and of a static camera, for choosing clips; they do not recognise letters.

Text costs 1 ms for a picture with a short side of 256 pixels, stillness 0.1 ms for a look.
docs/explanation/watching.md has the accuracy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from interlink.media.look import WIDTH, Look

# Text, in a picture with a short side of about 256 pixels.
CELL_HEIGHT, CELL_WIDTH = (
    8,
    16,
)  # pixels: about the height of a line of small print, and the width of two or three letters
EDGE = 24  # grey levels between a pixel and its right neighbour that count as a letter's edge
EDGES = 5  # fewest rising, and falling, edges of a cell: letters have two sides
CONTRAST = 48  # least grey levels between ink and paper
TWO_TONES = 0.62  # least share of a cell's pixels near one of the two tones
PAPER = 0.35  # least share near the more frequent tone: paper is uniform, leaves and hair are not
NEAR = 0.2  # largest distance to a tone, over the contrast
LINE = 2  # fewest neighbouring cells of a line

_BITS = np.array([byte.bit_count() for byte in range(256)], np.uint8)

STILL = 6.0  # change of the picture's left and right sides, grey levels, below which the camera is static


def text_coverage(grey: NDArray[np.uint8]) -> float:
    """The share (0..1) of a grey picture (H, W) in cells that look like print: two tones, many edges."""
    rows, columns = grey.shape[0] // CELL_HEIGHT, grey.shape[1] // CELL_WIDTH
    if not rows or not columns:
        return 0.0
    whole = grey[: rows * CELL_HEIGHT, : columns * CELL_WIDTH]
    left, right = whole[:, :-1], whole[:, 1:]
    edge, up = (np.maximum(left, right) - np.minimum(left, right)) > EDGE, right > left
    rising, falling = _count(edge & up, rows, columns), _count(edge & ~up, rows, columns)
    found = (rising >= EDGES) & (falling >= EDGES)
    if not found.any():
        return 0.0
    cells = whole.reshape(rows, CELL_HEIGHT, columns, CELL_WIDTH).swapaxes(1, 2)[found].astype(np.int16)
    cells = cells.reshape(len(cells), -1)
    low, high = cells.min(-1, keepdims=True), cells.max(-1, keepdims=True)
    reach = NEAR * (high - low)
    dark, light = (cells <= low + reach).mean(-1), (cells >= high - reach).mean(-1)
    printed = np.zeros_like(found)
    printed[found] = (
        ((high - low)[..., 0] >= CONTRAST) & (dark + light >= TWO_TONES) & (np.maximum(dark, light) >= PAPER)
    )
    # A line of print is wider than a cell: cells without a left or right neighbour do not count.
    adjacent = np.zeros_like(printed)
    adjacent[:, 1:] |= printed[:, :-1]
    adjacent[:, :-1] |= printed[:, 1:]
    return float((printed & adjacent).mean())


def is_still(before: Look, look: Look) -> bool:
    """Whether the left and right sides of the picture stay the same between two looks, as with a static camera."""
    side = WIDTH // 8
    apart = np.abs(before.luma.astype(np.int16) - look.luma)
    return max(float(apart[:, :side].mean()), float(apart[:, -side:].mean())) <= STILL


def _count(there: NDArray[np.bool_], rows: int, columns: int) -> NDArray[np.intp]:
    """The number of True values in each cell. there: (H, W - 1), as the last column of pixels has no neighbour."""
    bits = _BITS[np.packbits(there, axis=1)]  # rows are padded with False
    counts: NDArray[np.intp] = bits.reshape(rows, CELL_HEIGHT, columns, CELL_WIDTH // 8).sum((1, 3), dtype=np.intp)
    return counts
