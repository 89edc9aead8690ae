"""Draws sprites in units of 0..100, y downwards, on a large canvas that is scaled down. Costs 5 ms per sprite."""

from __future__ import annotations

import math
from collections.abc import Iterable

from PIL import Image, ImageChops, ImageDraw, ImageFilter

RGB = tuple[int, int, int]
Point = tuple[float, float]

CANVAS = 384  # side of the canvas, pixels
MASTER = 192  # side of the sprite, pixels
MARGIN = 4  # units around the 100 × 100 area, for outlines
INK: RGB = (38, 34, 40)  # of outlines


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """`share` (0..1) of the second colour in the first."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


class Pen:
    """Shapes on a transparent canvas of 100 × 100 units; `clear` as a fill cuts a hole."""

    def __init__(self) -> None:
        self.image = Image.new("RGBA", (CANVAS, CANVAS), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.image)
        self._scale = CANVAS / (100 + 2 * MARGIN)

    def _at(self, points: Iterable[float]) -> list[float]:
        return [(value + MARGIN) * self._scale for value in points]

    def ellipse(self, left: float, top: float, right: float, bottom: float, fill: RGB) -> None:
        self._draw.ellipse(self._at((left, top, right, bottom)), fill=(*fill, 255))

    def hole(self, left: float, top: float, right: float, bottom: float) -> None:
        self._draw.ellipse(self._at((left, top, right, bottom)), fill=(0, 0, 0, 0))

    def chord(self, left: float, top: float, right: float, bottom: float, start: float, end: float, fill: RGB) -> None:
        """The part of an ellipse between two angles (degrees clockwise from three o'clock) and a straight line."""
        self._draw.chord(self._at((left, top, right, bottom)), start, end, fill=(*fill, 255))

    def box(self, left: float, top: float, right: float, bottom: float, fill: RGB, radius: float = 0.0) -> None:
        self._draw.rounded_rectangle(
            self._at((left, top, right, bottom)), radius=radius * self._scale, fill=(*fill, 255)
        )

    def polygon(self, points: Iterable[Point], fill: RGB) -> None:
        self._draw.polygon(self._at(value for point in points for value in point), fill=(*fill, 255))

    def line(self, points: Iterable[Point], fill: RGB, width: float) -> None:
        flat = self._at(value for point in points for value in point)
        self._draw.line(flat, fill=(*fill, 255), width=round(width * self._scale), joint="curve")
        half = width * self._scale / 2
        for x, y in zip(flat[::2], flat[1::2], strict=True):  # round ends and joints
            self._draw.ellipse((x - half, y - half, x + half, y + half), fill=(*fill, 255))

    def turn(self, degrees: float) -> None:
        """Turns the drawing clockwise about its middle."""
        self.image = self.image.rotate(-degrees, resample=Image.Resampling.BICUBIC)
        self._draw = ImageDraw.Draw(self.image)

    def clip(self, mask: Image.Image) -> None:
        """Keeps only the area of `mask` (mode L, size of the canvas)."""
        self.image.putalpha(ImageChops.multiply(self.image.getchannel("A"), mask))

    def sprite(self, outline: float = 2.0) -> Image.Image:
        """The drawing, shaded from above and outlined (`outline` units wide), MASTER pixels a side."""
        alpha = self.image.getchannel("A")
        shade = Image.linear_gradient("L").resize((1, CANVAS)).resize((CANVAS, CANVAS))
        shade = shade.point([round(255 - 0.16 * value) for value in range(256)])
        flat = ImageChops.multiply(self.image.convert("RGB"), Image.merge("RGB", (shade, shade, shade)))
        reach = max(1, round(outline * self._scale))
        wider = alpha.filter(ImageFilter.GaussianBlur(reach / 2)).point([min(255, v * 9) for v in range(256)])
        inked = Image.new("RGB", self.image.size, INK)
        inked.paste(flat, mask=alpha)
        inked.putalpha(ImageChops.lighter(alpha, wider))
        return inked.resize((MASTER, MASTER), Image.Resampling.BOX)


def star(x: float, y: float, outer: float, inner: float, points: int, turn: float = 0.0) -> list[Point]:
    """Corners of a star about (x, y), the first at `turn` degrees from noon."""
    corners = []
    for number in range(2 * points):
        angle = math.radians(turn + 180.0 * number / points)
        radius = inner if number % 2 else outer
        corners.append((x + radius * math.sin(angle), y - radius * math.cos(angle)))
    return corners
