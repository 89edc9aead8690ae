"""Clips of a fixed length, counted from the first frame's time. Ignores content; costs nothing.

For material that a content detector cannot cut (one long shot), and as the simplest baseline.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, ClassVar

from interlink.media.look import Look
from interlink.segment.verdict import Segmenter, Verdict, Video

if TYPE_CHECKING:
    from interlink.segment.settings import SegmentSettings


class Fixed(Segmenter):
    """A clip begins at the first frame at or after start + k x length (seconds)."""

    reads: ClassVar[tuple[str, ...]] = ("length",)
    spacing = inf  # the times are known before any picture

    @classmethod
    def of(cls, settings: SegmentSettings, video: Video) -> Fixed:
        return cls(settings.length)

    def __init__(self, length: float) -> None:
        self._length = length
        self._start: float | None = None
        self._count = 0

    def feed(self, look: Look) -> list[Verdict]:
        if self._start is None:
            self._start = look.time
        count = int((look.time - self._start + 1e-6) // self._length)  # 1e-6: times are rounded to microseconds
        planned = [self._start + number * self._length for number in range(self._count + 1, count + 1)]
        self._count = count
        here = bool(planned) and planned[-1] >= look.time - 1e-6
        between = planned[:-1] if here else planned
        return [*(Verdict(time, True, settled=True) for time in between), Verdict(look.time, here, settled=True)]
