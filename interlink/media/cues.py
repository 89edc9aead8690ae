"""Cheap cues of what a picture shows, for choosing clips and not for naming things: printed text, a talking head.

Text: 1 ms on a picture of 256 pixels of short side. A head: 0.1 ms on a look. Neither knows letters or faces: how often
they are right is in docs/watching.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from interlink.media.look import HEIGHT, WIDTH, Look

# Text, on a picture of about 256 pixels of short side.
CELL_HEIGHT, CELL_WIDTH = 8, 16  # pixels: about a line of small print, and two or three of its letters
EDGE = 24  # grey levels from one pixel to the next one on the right that count as a letter's edge
EDGES = 5  # of each sign in a cell: letters have two sides
CONTRAST = 48  # grey levels between ink and paper, at least
TWO_TONES = 0.62  # share of a cell's pixels that are near to one of the two
PAPER = 0.35  # share that are near to the tone there is more of: paper is even, leaves and hair are not
NEAR = 0.2  # of the contrast
LINE = 2  # cells side by side

_BITS = np.array([byte.bit_count() for byte in range(256)], np.uint8)

# A head, on a look's chroma planes: the tones of skin, whatever its lightness (D. Chai, K. N. Ngan, Face segmentation
# using skin-color map in videophone applications, 1999).
BLUE, RED = (77, 127), (133, 173)
GREY = 8  # chroma levels from none, below which a picture has no colour
DARKEST = 40  # luma below which tones say nothing
SIZE = (0.015, 0.3)  # share of the picture that a face takes
FILLED = 0.55  # share of the patch's box that is skin
TALL = (0.7, 2.5)  # height by width of the patch, both in pixels of a look
AROUND = 0.25  # share of the neighbourhood (sides and above) that may be skin
STILL = 6.0  # grey levels of change of the picture's two sides, below which the camera stands still


def text_coverage(grey: NDArray[np.uint8]) -> float:
    """The share (0..1) of a grey picture (H, W) that lies in cells which look like print: two tones, many edges."""
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
    # A line of print goes on: cells without a neighbour to the left or right are something else.
    adjacent = np.zeros_like(printed)
    adjacent[:, 1:] |= printed[:, :-1]
    adjacent[:, :-1] |= printed[:, 1:]
    return float((printed & adjacent).mean())


def talks(before: Look, look: Look) -> bool | None:
    """Whether a look, and one a second or more before it, show a head in front of a camera that stands still.

    None for a picture without colour: skin cannot be recognised there.
    """
    if np.abs(look.chroma.astype(np.int16) - 128).max() < GREY:
        return None
    side = WIDTH // 8
    apart = np.abs(before.luma.astype(np.int16) - look.luma)
    if max(float(apart[:, :side].mean()), float(apart[:, -side:].mean())) > STILL:
        return False
    return _face(look)


def _face(look: Look) -> bool:
    """Whether the largest upright patch of skin lies where a speaker's face is: in the upper middle, of its size."""
    blue, red = look.chroma
    bright = look.luma.reshape(HEIGHT // 2, 2, WIDTH // 2, 2).mean((1, 3)) >= DARKEST
    skin = bright & (blue >= BLUE[0]) & (blue <= BLUE[1]) & (red >= RED[0]) & (red <= RED[1])
    height, width = skin.shape
    middle = skin[: height * 3 // 4, width // 6 : -(width // 6)]  # hands and tables are lower, walls further out
    columns = _longest(middle.sum(0) >= 2)
    if columns is None:
        return False
    rows = _longest(middle[:, columns].mean(1) >= 0.5)
    if rows is None:
        return False
    left, right = columns.start + width // 6, columns.stop + width // 6
    patch = skin[rows, left:right]
    tall, wide = patch.shape
    if (
        not SIZE[0] <= patch.size / skin.size <= SIZE[1]
        or patch.mean() < FILLED
        or not TALL[0] <= tall / wide <= TALL[1]
    ):
        return False
    # A wall or a table of the colour of skin goes on at the sides of and above the patch.
    around = skin[max(0, rows.start - tall // 3) : rows.stop, max(0, left - wide // 2) : right + wide // 2]
    others = around.size - patch.size
    return others > 0 and bool((around.sum() - patch.sum()) / others <= AROUND)


def _longest(there: NDArray[np.bool_]) -> slice | None:
    """The longest run of True."""
    bounds = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    if not bounds.size:
        return None
    starts, ends = bounds[::2], bounds[1::2]
    best = int((ends - starts).argmax())
    return slice(int(starts[best]), int(ends[best]))


def _count(there: NDArray[np.bool_], rows: int, columns: int) -> NDArray[np.intp]:
    """How many are True in each cell. there: (H, W - 1), as the last column of pixels has no neighbour."""
    bits = _BITS[np.packbits(there, axis=1)]  # rows are filled up with False
    counts: NDArray[np.intp] = bits.reshape(rows, CELL_HEIGHT, columns, CELL_WIDTH // 8).sum((1, 3), dtype=np.intp)
    return counts
