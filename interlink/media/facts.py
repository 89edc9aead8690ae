"""Facts about a part of a video from its looks: motion, a talking head, black and frozen spans.

Costs a difference of two thumbnails per second. Events between two looks are missed: with keyframes five seconds apart,
a still of four seconds may go unnoticed, and motion that returns to the same picture counts as frozen.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from interlink.media.cues import is_still
from interlink.media.look import Look, difference

EVERY = 1.0  # least seconds between the looks that motion is measured on
FROZEN = 0.35  # grey levels (0..765) of change below which a picture counts as the same
BLACK = 18.5  # mean luma up to which a picture is black
MIN_SPAN = 1.0  # least seconds of a frozen span


@dataclass(frozen=True)
class _Step:
    start: float
    end: float
    change: float
    talks: bool | None


class Facts:
    """Takes looks in order of time and summarises them per clip; keeps spans for the whole video."""

    def __init__(self) -> None:
        self._steps: deque[_Step] = deque()
        self._last: Look | None = None
        self._dark: float | None = None
        self._speaker = (-1e18, False)  # time of the latest examined look, and whether it shows a speaker
        self.black: list[tuple[float, float]] = []
        self.frozen: list[tuple[float, float]] = []

    def feed(self, look: Look, cut: bool, speaker: bool | None = None) -> None:
        """Takes the next look. cut: whether a clip begins with it. speaker: whether it shows a face while somebody
        speaks; None: it was not examined."""
        if speaker is not None:
            self._speaker = look.time, speaker
        black = look.brightness <= BLACK
        if black and self._dark is None:
            self._dark = look.time
        elif not black and self._dark is not None:
            self.black.append((self._dark, look.time))
            self._dark = None
        last = self._last
        if last is None:
            self._last = look
            return
        if not cut and look.time - last.time < EVERY:
            return
        self._last = look
        if cut:
            return
        change = difference(last, look)
        examined, speaker = self._speaker
        talks = speaker and is_still(last, look) if examined > last.time else None
        self._steps.append(_Step(last.time, look.time, change, talks))
        if change < FROZEN:
            if self.frozen and self.frozen[-1][1] == last.time:
                self.frozen[-1] = (self.frozen[-1][0], look.time)
            else:
                self.frozen.append((last.time, look.time))

    def finish(self, end: float) -> None:
        """Finishes the video at `end` seconds."""
        if self._dark is not None:
            self.black.append((self._dark, end))
            self._dark = None
        self.frozen = [span for span in self.frozen if span[1] - span[0] >= MIN_SPAN]

    def motion(self, start: float, end: float) -> float | None:
        """Mean change from look to look in a clip, in grey levels; None without two looks a second apart."""
        inside = [step.change for step in self._inside(start, end)]
        return round(sum(inside) / len(inside), 3) if inside else None

    def talking(self, start: float, end: float) -> float | None:
        """The share (0..1) of a clip, by time, that shows a speaker in a still shot; None if unknown."""
        known = [(step.end - step.start, step.talks) for step in self._inside(start, end) if step.talks is not None]
        whole = sum(seconds for seconds, _ in known)
        return round(sum(seconds for seconds, there in known if there) / whole, 4) if whole else None

    def _inside(self, start: float, end: float) -> list[_Step]:
        """The steps of a clip. Call it for clips in order."""
        while self._steps and self._steps[0].end <= start:
            self._steps.popleft()
        return [step for step in self._steps if step.start >= start - 1e-6 and step.end <= end + 1e-6]
