"""Clips that follow speech: a clip begins with a sentence, or with a step of speech. Costs nothing.

A step is speech without a longer pause, up to a maximum length; the boundary lies in the middle of the pause. No
pictures are used, so a clip may contain several shots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from interlink.errors import Dropped
from interlink.segment.verdict import Segmenter, Verdict, Video

if TYPE_CHECKING:
    from interlink.media.look import Look
    from interlink.segment.settings import SegmentSettings

Span = tuple[float, float]  # start and end in seconds


class Transcript(Segmenter):
    """Begins clips at planned times."""

    reads: ClassVar[tuple[str, ...]] = ("transcript",)
    spacing = inf  # the times are known before any picture

    @classmethod
    def of(cls, settings: SegmentSettings, video: Video) -> Transcript:
        options = settings.transcript
        sentences = video.rows["transcribe"]["sentences"]
        return cls(plan(sentences, options.by, options.pause, options.longest, options.silence))

    @staticmethod
    def needs(settings: SegmentSettings) -> tuple[str, ...]:
        return ("transcribe",)

    def __init__(self, times: Iterable[float]) -> None:
        self._times = sorted(set(times), reverse=True)
        self._seen = False

    def feed(self, look: Look) -> list[Verdict]:
        planned: list[Verdict] = []
        here = False
        while self._times and self._times[-1] <= look.time:
            time = self._times.pop()
            here = here or time == look.time
            if time < look.time and self._seen:  # a time before the first picture begins no clip
                planned.append(Verdict(time, boundary=True, settled=True))
        boundary = here and self._seen
        self._seen = True
        return [*planned, Verdict(look.time, boundary, settled=True)]


class Annotated(Transcript):
    """Begins clips where annotated clips begin, and keeps their lengths."""

    reads: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def of(cls, settings: SegmentSettings, video: Video) -> Annotated:
        """Raises Dropped (not_annotated) where an item has no such clips."""
        given = video.rows["annotations"]["clips"]
        if given is None:
            raise Dropped("not_annotated", "no annotated clips for keyframes.segmenter")
        made = cls(plan(given["spans"], "sentence", pause=0.0, longest=0.0, silence=0.0))
        made.lengths = [(span["start"], span["end"]) for span in given["spans"]]
        return made

    @staticmethod
    def needs(settings: SegmentSettings) -> tuple[str, ...]:
        return ("annotations",)


def plan(
    sentences: Iterable[Mapping[str, Any]],
    by: Literal["sentence", "step"],
    pause: float,
    longest: float,
    silence: float,
) -> list[float]:
    """The times, in seconds, at which clips should begin.

    by: `sentence` begins a clip with each sentence; `step` joins sentences until a pause of `pause` seconds, or until
    the step would last longer than `longest`. A silence of at least `silence` seconds becomes a separate clip.
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
    """Spans of sentences in order of time, each cut where the next one begins."""
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
