"""Joins neighbours that look alike: a boundary between two pictures of the same scene is taken back.

A step after any segmenter (as Panda-70M stitches its clips: Chen et al., "Panda-70M", CVPR 2024, section 3.1, there
with learned features). It mends jump cuts and cuts that were none; a scene that returns later is not looked for. Costs
0.4 ms a boundary and nothing otherwise.
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

    alike: boundaries between pictures that have at least this much in common (0..1, `features.alikeness`) go. Compared
    are the last settled picture before a boundary and the first settled one from it on; verdicts wait for that one,
    for at most `patience` looks.
    """

    def __init__(self, inner: Segmenter, alike: float, patience: int = 250) -> None:
        self.spacing, self.cuts, self.lengths = inner.spacing, inner.cuts, inner.lengths
        self._inner, self._alike, self._patience = inner, alike, patience
        self._looks: deque[Look] = deque()  # without a verdict of the inner one
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
        """The held verdicts, without their boundaries where `after` looks like what was before them."""
        held, self._held = self._held, []
        if not held or after is None or self._before is None:
            return held
        if alikeness(features_of(self._before), features_of(after)) < self._alike:
            return held
        return [Verdict(each.time, boundary=False, settled=each.settled) for each in held]
