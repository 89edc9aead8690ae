"""Clips of one length, counted from the first frame's time. Blind to content, costs nothing.

For material that a content detector cannot cut (one long shot), and as the plainest baseline.
"""

from __future__ import annotations

from interlink.media.look import Look
from interlink.segment.verdict import Verdict


class Fixed:
    """A clip begins at the first frame at or after start + k x length (seconds)."""

    def __init__(self, length: float) -> None:
        self._length = length
        self._start: float | None = None
        self._count = 0

    def feed(self, look: Look) -> list[Verdict]:
        if self._start is None:
            self._start = look.time
        count = int((look.time - self._start + 1e-6) // self._length)  # 1e-6: times are rounded to microseconds
        boundary = count > self._count
        self._count = count
        return [Verdict(look.time, boundary, settled=True)]

    def finish(self) -> list[Verdict]:
        return []
