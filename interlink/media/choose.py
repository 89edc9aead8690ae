"""Which frames stand for a clip: sharp ones that differ from each other.

A pool holds at most one candidate per cell of time (already encoded, with its thumbnail), so memory is bounded by the
longest clip. Sharpness is looked at about eight times a second.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interlink.media.jpeg import Jpeg, JpegMaker
from interlink.media.look import Look, Looker, distance

EXAMINE_EVERY = 0.12  # seconds between frames whose sharpness is measured


@dataclass(frozen=True)
class Candidate:
    """A frame that may be chosen. thumbnail: (40, 64) uint8 luma."""

    time: float
    shot: int
    settled: bool
    sharpness: float
    thumbnail: NDArray[np.uint8]
    image: Jpeg


@dataclass(frozen=True)
class Chosen:
    """A chosen frame; novelty: smallest distance (0..1) to those chosen before it, 1 for the first."""

    candidate: Candidate
    novelty: float


@dataclass
class _Best:
    """The best frame of the open cell, not encoded yet."""

    since: float
    examined: float
    look: Look
    frame: Any
    settled: bool
    sharpness: float


class Pool:
    """Candidates of the clips that are not final yet.

    cell: seconds; only the best frame of each is kept: settled before unsettled, then by sharpness, then the earlier.
    """

    def __init__(self, looker: Looker, maker: JpegMaker, cell: float) -> None:
        self._looker, self._maker, self._cell = looker, maker, cell
        self._held: deque[Candidate] = deque()
        self._shots: deque[tuple[int, float]] = deque()  # (number, start) of the shots that held candidates belong to
        self._best: _Best | None = None

    def offer(self, look: Look, frame: Any, settled: bool, begins_shot: bool) -> None:
        """Takes the next frame of the video."""
        if begins_shot or not self._shots:
            self._keep_best()
            self._shots.append((self._shots[-1][0] + 1 if self._shots else 0, look.time))
        best = self._best
        if best is not None and look.time - best.since >= self._cell:
            self._keep_best()
            best = None
        if best is None:
            self._best = _Best(look.time, look.time, look, frame, settled, self._looker.sharpness(frame))
            return
        first_settled = settled and not best.settled
        if not first_settled and (best.settled > settled or look.time - best.examined < EXAMINE_EVERY):
            return
        best.examined = look.time
        sharpness = self._looker.sharpness(frame)
        if first_settled or sharpness > best.sharpness:
            best.look, best.frame, best.settled, best.sharpness = look, frame, settled, sharpness

    def take(self, start: float, end: float, min_shot: float) -> list[Candidate]:
        """Removes and returns the candidates with start <= time < end.

        Settled ones where there are any; shots shorter than `min_shot` seconds (scraps that joined the clip) supply
        none if a longer one does.
        """
        if self._best is not None and self._best.look.time < end:
            self._keep_best()
        found: list[Candidate] = []
        while self._held and self._held[0].time < end:
            found.append(self._held.popleft())
        found = [candidate for candidate in found if candidate.time >= start]
        starts = dict(self._shots)
        whole = [c for c in found if starts.get(c.shot + 1, end) - max(start, starts[c.shot]) >= min_shot]
        found = whole or found
        while len(self._shots) > 1 and self._shots[1][1] <= end:
            self._shots.popleft()
        return [candidate for candidate in found if candidate.settled] or found

    def _keep_best(self) -> None:
        if self._best is not None:
            best, self._best = self._best, None
            self._held.append(
                Candidate(
                    best.look.time,
                    self._shots[-1][0],
                    best.settled,
                    best.sharpness,
                    best.look.luma,
                    self._maker.make(best.frame),
                )
            )


def choose(candidates: list[Candidate], count: int, min_novelty: float) -> list[Chosen]:
    """Up to `count` of a clip's candidates, in order of time.

    Greedy: of the sharpest quarter the one nearest the middle, then always the one with the largest novelty x
    sqrt(sharpness), as long as its novelty is at least `min_novelty`. Ties go to the earlier frame. Sharpness counts up
    to the clip's upper quartile only: what stands out above it is as a rule interference, not focus.
    """
    if not candidates:
        return []
    enough = sorted(candidate.sharpness for candidate in candidates)[len(candidates) * 3 // 4]
    middle = (candidates[0].time + candidates[-1].time) / 2
    sharp = [candidate for candidate in candidates if candidate.sharpness >= enough]
    chosen = [Chosen(min(sharp, key=lambda candidate: abs(candidate.time - middle)), 1.0)]
    novelty = {candidate.time: 1.0 for candidate in candidates}
    while len(chosen) < count:
        last = chosen[-1].candidate
        for candidate in candidates:
            apart = distance(candidate.thumbnail, last.thumbnail)
            novelty[candidate.time] = min(novelty[candidate.time], apart)
        taken = {each.candidate.time for each in chosen}
        fresh = [c for c in candidates if c.time not in taken and novelty[c.time] >= min_novelty]
        if not fresh:
            break
        best = max(fresh, key=lambda c: novelty[c.time] * math.sqrt(min(c.sharpness, enough)))
        chosen.append(Chosen(best, novelty[best.time]))
    return sorted(chosen, key=lambda each: each.candidate.time)
