"""Clips that follow what is said: a clip begins with a sentence, or with a step of speech. Costs nothing.

A step is what is said without a longer pause, up to a length; the boundary lies in the middle of the pause. No picture
is looked at for it, so a clip may hold several shots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from interlink.segment.verdict import Verdict

if TYPE_CHECKING:
    from interlink.media.look import Look

Span = tuple[float, float]  # start and end in seconds


class Transcript:
    """Begins clips at planned times."""

    spacing = inf  # the times are known before any picture

    def __init__(self, times: Iterable[float]) -> None:
        self._times = sorted(set(times), reverse=True)
        self._seen = False

    def feed(self, look: Look) -> list[Verdict]:
        planned: list[Verdict] = []
        here = False
        while self._times and self._times[-1] <= look.time:
            time = self._times.pop()
            here = here or time == look.time
            if time < look.time and self._seen:  # what is planned before the first picture begins nothing
                planned.append(Verdict(time, boundary=True, settled=True))
        boundary = here and self._seen
        self._seen = True
        return [*planned, Verdict(look.time, boundary, settled=True)]

    def finish(self) -> list[Verdict]:
        return []


def plan(
    sentences: Iterable[Mapping[str, Any]],
    by: Literal["sentence", "step"],
    pause: float,
    longest: float,
    silence: float,
) -> list[float]:
    """The times, in seconds, at which clips should begin.

    by: `sentence` begins a clip with each; `step` joins sentences until a pause of `pause` seconds, or until the step
    would last longer than `longest`. Where nothing is said for `silence` seconds the silence is a clip of its own.
    """
    spoken = _spans(sentences)
    steps = spoken if by == "sentence" else _steps(spoken, pause, longest)
    if not steps:
        return []
    times = [steps[0][0]]
    for before, after in pairwise(steps):
        gap = after[0] - before[1]
        if gap >= silence:
            times += [before[1], after[0]]
        else:
            times.append(before[1] + max(gap, 0.0) / 2)
    return [round(time, 6) for time in [*times, steps[-1][1]]]


def _spans(sentences: Iterable[Mapping[str, Any]]) -> list[Span]:
    """Spans of sentences in order of time, none reaching into the next."""
    spans = sorted((float(each["start"]), float(each["end"])) for each in sentences)
    cut = [(start, min(end, following[0])) for (start, end), following in pairwise(spans)]
    return [(start, end) for start, end in [*cut, *spans[-1:]] if end > start]


def _steps(spans: list[Span], pause: float, longest: float) -> list[Span]:
    steps: list[Span] = []
    for start, end in spans:
        if steps and start - steps[-1][1] < pause and end - steps[-1][0] <= longest:
            steps[-1] = (steps[-1][0], end)
        else:
            steps.append((start, end))
    return steps
