"""What a segmenter is: it sees every frame's look once, in order, and says of each whether a clip begins there.

Verdicts may come some frames late (a detector looks ahead), always in order, one per look. Bounded memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from interlink.media.look import Look


@dataclass(frozen=True)
class Verdict:
    """boundary: a clip begins with this frame. settled: not in or beside a transition, so fit to stand for its clip."""

    time: float  # seconds
    boundary: bool
    settled: bool


class Segmenter(Protocol):
    """Finds where clips begin, in one pass."""

    def feed(self, look: Look) -> list[Verdict]:
        """Takes the next frame; returns the verdicts that are ready now."""

    def finish(self) -> list[Verdict]:
        """The verdicts still owed after the last frame."""
