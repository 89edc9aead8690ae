"""Cheap detectors of printed text and talking heads, for choosing clips; they do not recognise letters or faces.

Text costs 1 ms for a picture with a short side of 256 pixels, a head 0.1 ms for a look. docs/watching.md has their
accuracy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from interlink.media.look import HEIGHT, WIDTH, Look

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

# A head, on a look's chroma planes: skin tones of any lightness (D. Chai, K. N. Ngan, Face segmentation
# using skin-color map in videophone applications, 1999).
BLUE, RED = (77, 127), (133, 173)
GREY = 8  # chroma deviation below which a picture has no colour
DARKEST = 40  # luma below which tones are unreliable
SIZE = (0.015, 0.3)  # range of a face's share of the picture
FILLED = 0.55  # least share of skin in the patch's box
TALL = (0.7, 2.5)  # range of height over width of the patch, in pixels of a look
AROUND = 0.25  # largest share of skin in the neighbourhood (sides and above)
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


def talks(before: Look, look: Look) -> bool | None:
    """Whether a look, and one at least a second before it, show a head in front of a static camera.

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
    """Whether the largest upright patch of skin has the place and size of a speaker's face (upper middle)."""
    blue, red = look.chroma
    bright = look.luma.reshape(HEIGHT // 2, 2, WIDTH // 2, 2).mean((1, 3)) >= DARKEST
    skin = bright & (blue >= BLUE[0]) & (blue <= BLUE[1]) & (red >= RED[0]) & (red <= RED[1])
    height, width = skin.shape
    middle = skin[: height * 3 // 4, width // 6 : -(width // 6)]  # hands and tables are lower, walls are at the sides
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
    # A skin-coloured wall or table continues at the sides and above the patch.
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
    """The number of True values in each cell. there: (H, W - 1), as the last column of pixels has no neighbour."""
    bits = _BITS[np.packbits(there, axis=1)]  # rows are padded with False
    counts: NDArray[np.intp] = bits.reshape(rows, CELL_HEIGHT, columns, CELL_WIDTH // 8).sum((1, 3), dtype=np.intp)
    return counts
