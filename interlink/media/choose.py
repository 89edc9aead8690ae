"""Chooses the frames of a clip: well exposed and sharp ones that differ from each other, away from transitions.

A pool holds at most one candidate per cell of time, so memory is bounded by the longest clip. A candidate stays a
decoded picture (it is encoded when chosen) until the pool holds too many bytes. Sharpness is measured about eight
times per second.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interlink.media.jpeg import Jpeg, JpegMaker
from interlink.media.look import Look, Looker, distance, mixed, signs

EXAMINE_EVERY = 0.12  # seconds between frames that sharpness is measured on
HELD_BYTES = 48 * 2**20  # of decoded pictures; beyond this the oldest candidates are encoded
DIM = 0.6  # a frame darker than this share of its clip's median light is in a fade …
SHARP_SHARE = 0.35  # least sharpness of a further frame, over the sharpest chosen one
ALIKE_SIGNS = 8  # of 64 signs of differences (dHash); frames that differ in no more of them are near-duplicates …
LEAST_SIGNS = 8  # … if both have this many: flat pictures have none
NEAR, FAR = 0.25, 1.2  # seconds before and after a candidate between which it may be a mixture
LIT = 60  # luma that a hundredth of a picture reaches, unless it is black
DARK, BRIGHT = 0.04, 0.97  # … and outside these mean lights (0 = black, 1 = white) a frame shows almost nothing


class Still:
    """A picture that may be kept, with its look. It stays decoded until `jpeg` is called."""

    def __init__(self, frame: Any, look: Look, looker: Looker, maker: JpegMaker) -> None:
        self._frame, self._looker, self._maker = frame, looker, maker
        self._jpeg: Jpeg | None = None
        self._sharpness: float | None = None
        self.look = look
        self.size = frame.width * frame.height * 3  # bytes, an upper bound for 8 or 10 bits with halved or full chroma

    def jpeg(self) -> Jpeg:
        if self._jpeg is None:
            self.sharpness()
            self._jpeg = self._maker.make(self._frame)
            self._frame, self.size = None, 0
        return self._jpeg

    def sharpness(self) -> float:
        if self._sharpness is None:
            self._sharpness = self._looker.sharpness(self._frame)
        return self._sharpness


@dataclass
class Candidate:
    """A frame that may be chosen. thumbnail: (40, 64) uint8 luma. settled: not in or next to a transition."""

    time: float
    shot: int
    settled: bool
    sharpness: float
    thumbnail: NDArray[np.uint8]
    still: Still
    damaged: bool = False

    @property
    def light(self) -> float:
        """Mean luma, 0 (black) to 1 (white)."""
        return min(max((float(self.thumbnail.mean()) - 16) / 219, 0.0), 1.0)

    @property
    def black(self) -> bool:
        """Whether it shows nothing: it is dark, also where it is brightest."""
        return self.light < DARK and float(np.percentile(self.thumbnail, 99)) < LIT


@dataclass(frozen=True)
class Chosen:
    """A chosen frame. novelty: smallest distance (0..1) to those chosen before it, 1 for the first. spoken: whether it
    is shown during speech; None: unknown."""

    candidate: Candidate
    novelty: float
    spoken: bool | None = None


class Speech:
    """Intervals of speech in a video, and how much a frame gains by them.

    spans: (start, end) of sentences in seconds, sorted; None: unknown. weight: the score of a frame during speech is
    multiplied by (1 + weight).
    """

    def __init__(self, spans: Sequence[tuple[float, float]] | None = None, weight: float = 0.0) -> None:
        self._spans, self._weight = spans, weight
        self._starts = [start for start, _ in spans or ()]

    def at(self, time: float) -> bool | None:
        if self._spans is None:
            return None
        before = bisect_right(self._starts, time) - 1
        return before >= 0 and time < self._spans[before][1]

    def gain(self, time: float) -> float:
        return 1.0 + self._weight if self._weight and self.at(time) else 1.0


SILENCE = Speech()


@dataclass
class _Best:
    """The best frame of the open cell."""

    since: float
    examined: float
    still: Still
    settled: bool
    damaged: bool


class Pool:
    """Candidates of clips that are not final yet.

    cell: seconds; only the best frame of each is kept: settled before unsettled, then by sharpness, then the earlier.
    """

    def __init__(self, cell: float) -> None:
        self._cell = cell
        self._held: deque[Candidate] = deque()
        self._shots: deque[tuple[int, float]] = deque()  # (number, start) of the shots of the candidates
        self._best: _Best | None = None
        self._recent: deque[tuple[float, NDArray[np.uint8]]] = deque()  # times and thumbnails of the last looks
        self._unchecked: list[tuple[Candidate, NDArray[np.uint8]]] = []  # with the look before them

    def offer(self, still: Still, settled: bool, begins_shot: bool, damaged: bool = False) -> None:
        """Takes the next frame of the video. A damaged one is worth no more than an unsettled one."""
        settled &= not damaged
        time = still.look.time
        self._unmix(still.look)
        if begins_shot or not self._shots:
            self._keep_best()
            self._shots.append((self._shots[-1][0] + 1 if self._shots else 0, time))
        best = self._best
        if best is not None and time - best.since >= self._cell:
            self._keep_best()
            best = None
        if best is None:
            self._best = _Best(time, time, still, settled, damaged)
            return
        first_settled = settled and not best.settled
        if not first_settled and (best.settled > settled or time - best.examined < EXAMINE_EVERY):
            return
        best.examined = time
        if first_settled or still.sharpness() > best.still.sharpness():
            best.still, best.settled, best.damaged = still, settled, damaged

    def take(self, start: float, end: float, min_shot: float) -> list[Candidate]:
        """Removes and returns the candidates with start <= time < end.

        Only settled ones, if there are any. Shots shorter than `min_shot` seconds (remainders joined to the clip) are
        skipped if a longer shot has candidates.
        """
        if self._best is not None and self._best.still.look.time < end:
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

    def _unmix(self, look: Look) -> None:
        """Finds candidates that lie in a dissolve or fade, which not every segmenter looks for."""
        self._recent.append((look.time, look.luma))
        while self._recent[0][0] < look.time - 2 * FAR - self._cell:
            self._recent.popleft()
        for candidate, before in self._unchecked:
            if NEAR <= look.time - candidate.time <= FAR:
                candidate.settled &= not mixed(before, candidate.thumbnail, look.luma)
        self._unchecked = [each for each in self._unchecked if look.time - each[0].time < NEAR]

    def _keep_best(self) -> None:
        if self._best is None:
            return
        best, self._best = self._best, None
        still, look = best.still, best.still.look
        candidate = Candidate(
            look.time, self._shots[-1][0], best.settled, still.sharpness(), look.luma, still, best.damaged
        )
        self._held.append(candidate)
        before = [luma for time, luma in self._recent if NEAR <= look.time - time <= FAR]
        after = next((luma for time, luma in self._recent if NEAR <= time - look.time <= FAR), None)
        if before and after is not None:
            candidate.settled &= not mixed(before[-1], look.luma, after)
        elif before:
            self._unchecked.append((candidate, before[-1]))
        total = sum(candidate.still.size for candidate in self._held)
        for candidate in self._held:
            if total <= HELD_BYTES:
                break
            total -= candidate.still.size
            candidate.still.jpeg()


def choose(candidates: list[Candidate], count: int, min_novelty: float, speech: Speech = SILENCE) -> list[Chosen]:
    """Up to `count` of a clip's candidates, in order of time.

    None of a clip without a settled frame. Leaves out black frames; white ones, and frames in a fade, if there are
    others. Then greedy: first, of the sharpest
    quarter, the one nearest the middle (of those during speech, if `speech` has weight and there are any); then always
    the one with the largest novelty x sqrt(sharpness) x gain by speech, as long as its novelty is at least
    `min_novelty`. Ties go to the earlier frame. Sharpness is capped at the clip's upper quartile: higher values are
    usually interference, not focus.
    """
    candidates = exposed([candidate for candidate in candidates if candidate.settled or candidate.damaged])
    if not candidates:
        return []
    enough = sorted(candidate.sharpness for candidate in candidates)[len(candidates) * 3 // 4]
    middle = (candidates[0].time + candidates[-1].time) / 2
    sharp = [candidate for candidate in candidates if candidate.sharpness >= enough]
    most = max(speech.gain(candidate.time) for candidate in sharp)
    sharp = [candidate for candidate in sharp if speech.gain(candidate.time) == most]
    first = min(sharp, key=lambda candidate: abs(candidate.time - middle))
    chosen = [Chosen(first, 1.0, speech.at(first.time))]
    novelty = {candidate.time: 1.0 for candidate in candidates}
    alike: set[float] = set()  # times of the chosen and their near-duplicates
    while len(chosen) < count:
        last = chosen[-1].candidate
        for candidate in candidates:
            apart = distance(candidate.thumbnail, last.thumbnail)
            novelty[candidate.time] = min(novelty[candidate.time], apart)
        alike |= {c.time for c in candidates if near_duplicates(c.thumbnail, last.thumbnail)}
        fresh = [c for c in candidates if c.time not in alike and novelty[c.time] >= min_novelty]
        sharpest = max(enough, *(each.candidate.sharpness for each in chosen))
        fresh = [c for c in fresh if c.sharpness >= SHARP_SHARE * sharpest]
        if not fresh:
            break
        best = max(fresh, key=lambda c: novelty[c.time] * math.sqrt(min(c.sharpness, enough)) * speech.gain(c.time))
        chosen.append(Chosen(best, novelty[best.time], speech.at(best.time)))
    return sorted(chosen, key=lambda each: each.candidate.time)


def exposed(candidates: list[Candidate]) -> list[Candidate]:
    """The candidates that are not black, white or dim compared to the others; else all but the black ones."""
    lights = {candidate.time: candidate.light for candidate in candidates}
    usual = sorted(lights.values())[(len(lights) - 1) // 2] if lights else 0.0
    clear = [c for c in candidates if DARK <= lights[c.time] <= BRIGHT and lights[c.time] >= DIM * usual]
    return clear or [c for c in candidates if not c.black]


def near_duplicates(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    """Whether two thumbnails show nearly the same picture."""
    if a is b:
        return True
    first, second = signs(a), signs(b)
    if min(np.count_nonzero(first), np.count_nonzero(second)) < LEAST_SIGNS:
        return bool(distance(a, b) == 0)
    return int(np.count_nonzero((first > 0) != (second > 0))) <= ALIKE_SIGNS
