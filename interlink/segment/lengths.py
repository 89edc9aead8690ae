"""Limits on the length of clips, applied after every segmenter. One pass, bounded memory.

A span shorter than `min_clip` is joined with the following one (at the end of the video with the previous one); a span
longer than `max_clip` is divided. All times are times of real frames.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from math import ceil

Span = tuple[float, float]  # start and end in seconds; the end is the start of the next


class Lengths:
    """Turns frame times and boundaries into final spans.

    min_clip, max_clip: seconds, min_clip at most half of max_clip. A shot of up to 1.5 x max_clip is divided evenly;
    from a longer one, pieces of max_clip are cut off while it continues, so that memory stays bounded.
    """

    def __init__(self, min_clip: float, max_clip: float) -> None:
        self._min, self._max = min_clip, max_clip
        self._open: list[float] = []  # frame times of the open clip
        self._closed: list[float] = []  # of the previous clip, kept until the open one is long enough

    def feed(self, time: float, boundary: bool) -> list[Span]:
        """Takes the next frame; returns the spans that are final now. All of them end at or before it."""
        spans: list[Span] = []
        if boundary and self._open and time - self._open[0] >= self._min:
            spans += self._divide(self._closed, self._open[0])
            self._closed, self._open = self._open, []
        self._open.append(time)
        if self._closed and time - self._open[0] >= self._min:
            spans += self._divide(self._closed, self._open[0])
            self._closed = []
        if not self._closed and time - self._open[0] >= 1.5 * self._max:
            at = max(1, bisect_left(self._open, self._open[0] + self._max))
            spans.append((self._open[0], self._open[at]))
            self._open = self._open[at:]
        return spans

    def pass_over(self, times: list[float]) -> list[Span]:
        """Takes several frames without a boundary."""
        if times and self._open and not self._closed and times[-1] - self._open[0] < 1.5 * self._max:
            self._open += times
            return []
        return [span for time in times for span in self.feed(time, False)]

    def finish(self, end: float) -> list[Span]:
        """The remaining spans, the last of them ending at `end`."""
        if not self._open:
            return []
        if self._closed and end - self._open[0] < self._min:
            self._closed, self._open = [], self._closed + self._open
        head = self._divide(self._closed, self._open[0])
        tail = self._divide(self._open, end)
        self._closed, self._open = [], []
        return head + tail

    def _divide(self, times: list[float], end: float) -> list[Span]:
        """[times[0], end) in as few even pieces as `max_clip` allows, each beginning with a frame."""
        if not times:
            return []
        length = end - times[0]
        pieces = min(ceil(length / self._max - 1e-9), len(times))
        starts = [times[0]]
        for number in range(1, pieces):
            at = bisect_left(times, times[0] + length * number / pieces - 1e-6)
            if at < len(times) and times[at] > starts[-1]:
                starts.append(times[at])
        return list(pairwise([*starts, end]))
