"""What a segmenter is: it sees looks at the video's pictures once, in order, and says where clips begin.

Not every picture is looked at: a segmenter states how far apart the looks may lie, and nothing more is decoded for it.
Verdicts may come some looks late (a detector looks ahead), always in order of time, one per look. Bounded memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from interlink.media.look import Look


@dataclass(frozen=True)
class Verdict:
    """boundary: a clip begins here. settled: not in or beside a transition, so fit to stand for its clip.

    A boundary that lies between two looks (a planned time) is a verdict of its own with that time, before the verdict
    of the later look; the clip then begins with the first picture at or after it.
    """

    time: float  # seconds
    boundary: bool
    settled: bool


class Segmenter(Protocol):
    """Finds where clips begin, in one pass."""

    @property
    def spacing(self) -> float:
        """The most seconds from one look to the next: 0 = every picture, inf = whatever is decoded anyway (about
        one picture per group of pictures). A class attribute will do."""

    def feed(self, look: Look) -> list[Verdict]:
        """Takes the next look; returns the verdicts that are ready now."""

    def finish(self) -> list[Verdict]:
        """The verdicts still owed after the last look."""
