"""A decoded frame as the JPEG that documents carry: square pixels, upright, scaled down, never up.

Costs 1-2.5 ms a frame. Scaling comes first, in the picture's own format and in exact arithmetic; turning the small
result into RGB is left to the processor's fast path, which rounds by up to two grey levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from interlink.media.cues import text_coverage
from interlink.media.orientation import orientation_of
from interlink.media.probe import square_pixels


@dataclass(frozen=True)
class Jpeg:
    """An encoded picture; width and height in pixels as shown. print: the share (0..1) of it that looks like print."""

    data: bytes
    width: int
    height: int
    print: float


class JpegMaker:
    """Makes JPEGs of one stream's frames.

    short_side: pixels of the shorter side of the result (smaller pictures stay as they are). quality: 1-100.
    sar: sample aspect ratio of the stream.
    """

    def __init__(self, short_side: int, quality: int, sar: Fraction) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        self._scaler, self._painter = VideoReformatter(), VideoReformatter()
        self._plain = Interpolation.POINT  # there is nothing to interpolate: the size stays
        self._how = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
        self._short_side, self._quality, self._sar = short_side, quality, sar

    def make(self, frame: Any) -> Jpeg:
        import numpy as np
        import simplejpeg

        width, height = square_pixels(frame.width, frame.height, self._sar)
        scale = min(1.0, self._short_side / min(width, height))
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        small = self._scaler.reformat(
            frame, width, height, format=frame.format.name, interpolation=self._how, threads=1
        )
        rgb = self._painter.reformat(small, width, height, format="rgb24", interpolation=self._plain, threads=1)
        picture = np.ascontiguousarray(orientation_of(frame).turn(rgb.to_ndarray().astype(np.uint8, copy=False)))
        data = simplejpeg.encode_jpeg(
            picture, quality=self._quality, colorspace="RGB", colorsubsampling="420", fastdct=False
        )
        # Of the three, green is nearest to what the eye takes for light.
        coverage = text_coverage(np.ascontiguousarray(picture[:, :, 1]))
        return Jpeg(data, picture.shape[1], picture.shape[0], coverage)
