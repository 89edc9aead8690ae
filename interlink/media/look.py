"""Looks: thumbnails of decoded frames for comparing pictures; and the sharpness of frames.

A look costs 0.05-0.4 ms (area-averaged, so that noise and aliasing do not look like motion), sharpness about the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interlink.media.orientation import orientation_of
from interlink.media.tone import tone_of

WIDTH, HEIGHT = 64, 40  # of a look, for any aspect ratio: looks are compared for change, not for shape
SHIFT = 3  # pixels of a look by which the camera may move between two looks that are alike
MIXED_CHANGE = 20.0  # grey levels (root mean square) between two looks that a mixture can be told from
MIXED_SHARE = 0.12  # least share of either
MIXED_REST = 0.3  # most of the change (root mean square) that a mixture leaves unexplained
SHARP_SIDE = 144  # short side in pixels for measuring sharpness, so that it is independent of resolution


@dataclass(frozen=True)
class Look:
    """A frame at thumbnail size, as stored (not turned). luma: (40, 64) uint8; chroma: (2, 20, 32) uint8.

    follows: whether no picture between the previous look and this one was skipped. cut: time of the first picture of
    another scene, if that was skipped between the two.
    """

    time: float  # seconds
    luma: NDArray[np.uint8]
    chroma: NDArray[np.uint8]
    follows: bool = True
    cut: float | None = None

    @property
    def brightness(self) -> float:
        """Mean luma, 16 (black) to 235 in video range."""
        return float(self.luma.mean())


class Looker:
    """Makes looks; keeps one scaler per format, since building a scaler costs more than using it."""

    def __init__(self) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        self._thumbnail, self._grey, self._colour = VideoReformatter(), VideoReformatter(), VideoReformatter()
        self._area, self._bilinear = Interpolation.AREA, Interpolation.BILINEAR

    def look(self, time: float, frame: Any) -> Look:
        tone = tone_of(frame)
        if tone:
            frame = tone.shown(frame, WIDTH, HEIGHT, self._area)
        small = self._thumbnail.reformat(frame, WIDTH, HEIGHT, format="yuv420p", interpolation=self._area, threads=1)
        return Look(time, _plane(small, 0), np.stack([_plane(small, 1), _plane(small, 2)]))

    def upright(self, frame: Any, width: int, height: int) -> NDArray[np.uint8]:
        """(height, width, 3) RGB picture as it is shown, not as stored."""
        turn = orientation_of(frame)
        size = turn.size(width, height)
        small = self._colour.reformat(frame, *size, format="rgb24", interpolation=self._area, threads=1)
        return turn.turn(small.to_ndarray())

    def sharpness(self, frame: Any) -> float:
        """Variance of the Laplacian (4 neighbours) on the grey picture with a short side of 144 pixels."""
        scale = min(1.0, SHARP_SIDE / min(frame.width, frame.height))
        width, height = max(3, round(frame.width * scale)), max(3, round(frame.height * scale))
        tone = tone_of(frame)
        if tone:
            frame = tone.shown(frame, width, height, self._bilinear)
        small = self._grey.reformat(frame, width, height, format="gray", interpolation=self._bilinear, threads=1)
        grey = _plane(small, 0).astype(np.int16)
        laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
        values = laplacian.ravel().astype(np.float64)  # integers: sums and products are exact
        return float(values @ values / values.size - (values.sum() / values.size) ** 2)


def difference(a: Look, b: Look) -> float:
    """Mean absolute change per pixel: of luma plus both chroma planes, 0..765."""
    return _apart(a.luma, b.luma) + 2 * _apart(a.chroma, b.chroma)


def distance(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """The distance of two luma thumbnails, 0 (equal) to 1."""
    return _apart(a, b) / 255


def likeness(a: Look, b: Look, shift: int = SHIFT) -> float:
    """Largest normalised cross-correlation of two looks' luma over shifts of up to `shift` pixels, -1..1.

    Shifts make it robust to camera motion; flat pictures correlate with nothing (0). Costs 1 ms.
    """
    x, y = a.luma.astype(np.float32), b.luma.astype(np.float32)
    height, width = x.shape
    best = -1.0
    for down in range(-shift, shift + 1):
        for right in range(-shift, shift + 1):
            p = x[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
            q = y[max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)]
            p, q = p - p.mean(), q - q.mean()
            # 64 = the variance (8 grey levels) below which a picture counts as flat
            best = max(best, float((p * q).sum() / np.sqrt((p * p).sum() * (q * q).sum() + 64.0 * p.size)))
    return best


def middle_likeness(a: Look, b: Look) -> float:
    """Approximate `likeness`, of the middle of `a` with shifted `b`. Costs 0.2 ms."""
    height, width = HEIGHT - 2 * SHIFT, WIDTH - 2 * SHIFT
    middle = a.luma[SHIFT:-SHIFT, SHIFT:-SHIFT].astype(np.float32).ravel()
    middle -= middle.mean()
    shifted = np.lib.stride_tricks.sliding_window_view(b.luma, (height, width)).reshape(-1, height * width)
    pixels = shifted.astype(np.float32)
    product = pixels @ middle
    energy = np.einsum("ij,ij->i", pixels, pixels) - pixels.sum(axis=1) ** 2 / middle.size
    return float((product / np.sqrt(energy * float(middle @ middle) + 64.0 * middle.size)).max())


def signs(grey: NDArray[Any]) -> NDArray[np.int8]:
    """The signs (-1, 0, 1) of the 64 differences between neighbours in a grey picture reduced to 9 x 8 (dHash).

    0 where two differ by less than half a grey level, so that a flat picture has no signs.
    """
    plain = grey.astype(np.float64)
    if plain.shape[0] < 8 or plain.shape[1] < 9:
        plain = plain.repeat(8, 0).repeat(9, 1)
    for axis, cells in ((0, 8), (1, 9)):
        edges = np.linspace(0, plain.shape[axis], cells + 1).astype(int)
        plain = np.add.reduceat(plain, edges[:-1], axis) / np.expand_dims(np.diff(edges), 1 - axis)
    change = (plain[:, 1:] - plain[:, :-1]).ravel()
    return (change > 0.5).astype(np.int8) - (change < -0.5).astype(np.int8)


def mixed(before: NDArray[np.uint8], between: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    """Whether a thumbnail is a mixture of an earlier and a later one, as in a dissolve or a fade. Costs 30 µs.

    Mean light is ignored, which other things change too.
    """
    a, x, b = (each.astype(np.float32) - np.float32(each.mean()) for each in (before, between, after))
    way, gone = b - a, x - a
    length = float((way * way).mean())
    if length < MIXED_CHANGE**2:
        return False
    share = float((gone * way).mean()) / length
    rest = float(((gone - share * way) ** 2).mean())
    return MIXED_SHARE <= share <= 1 - MIXED_SHARE and rest <= MIXED_REST**2 * length


def _apart(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Mean absolute difference."""
    return float((np.maximum(a, b) - np.minimum(a, b)).sum(dtype=np.int64)) / a.size


def _plane(frame: Any, index: int) -> NDArray[np.uint8]:
    """(H, W) copy of one 8-bit plane, without the padding of its lines."""
    plane = frame.planes[index]
    lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return lines[: plane.height, : plane.width].copy()
