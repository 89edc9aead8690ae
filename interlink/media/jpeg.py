"""Encodes a decoded frame as a JPEG for documents: square pixels, upright, scaled down, never up.

Costs 1-2.5 ms per frame. Scaling comes first, in the picture's pixel format and with exact arithmetic. The conversion
of the small result to RGB uses the processor's fast path, which rounds by up to two grey levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from interlink.media.cues import text_coverage
from interlink.media.orientation import orientation_of
from interlink.media.probe import square_pixels
from interlink.media.tone import tone_of


@dataclass(frozen=True)
class Jpeg:
    """An encoded picture; width and height in pixels as shown. print: the share (0..1) that looks like print."""

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
        self._plain = Interpolation.POINT  # no interpolation: the size is unchanged
        self._how = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
        self._short_side, self._quality, self._sar = short_side, quality, sar

    def make(self, frame: Any) -> Jpeg:
        import numpy as np
        import simplejpeg

        width, height = square_pixels(frame.width, frame.height, self._sar)
        scale = min(1.0, self._short_side / min(width, height))
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        tone = tone_of(frame)
        if tone:
            rgb = tone.shown(frame, width, height, self._how)
        else:
            small = self._scaler.reformat(
                frame, width, height, format=frame.format.name, interpolation=self._how, threads=1
            )
            rgb = self._painter.reformat(small, width, height, format="rgb24", interpolation=self._plain, threads=1)
        picture = np.ascontiguousarray(orientation_of(frame).turn(rgb.to_ndarray().astype(np.uint8, copy=False)))
        data = simplejpeg.encode_jpeg(
            picture, quality=self._quality, colorspace="RGB", colorsubsampling="420", fastdct=False
        )
        # Of the three channels, green is closest to perceived brightness.
        coverage = text_coverage(np.ascontiguousarray(picture[:, :, 1]))
        return Jpeg(data, picture.shape[1], picture.shape[0], coverage)
