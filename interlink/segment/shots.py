"""Shot detection: clips begin at hard cuts, dissolves and fades. One pass, with a delay of three frames where little
moves, up to 1.7 s elsewhere.

A cut is a change far above the changes around it (a ratio to the local average, as in adaptive scene detectors) after
which the picture no longer correlates with the previous one, even shifted. A pan, a shaking hand or a flash is not a
cut. Changes over several pictures are left to `gradual`. Costs 0.1 to 0.3 ms per frame in addition to the look.

The numbers below are in grey levels of the 64 x 40 look and were set on real clips.
"""

from __future__ import annotations

from collections import deque

from interlink.media.look import Look, difference, likeness
from interlink.segment.gradual import GAP, LONGEST, Gradual, Limits, Mixtures
from interlink.segment.verdict import Segmenter, Verdict, Video

AROUND = 3  # frames on each side in the local average
GUARD = 2  # frames on each side of a boundary that count as not settled
LEAST_CHANGE = 12.0  # a smaller change is never a cut
REPEATED = 0.5  # changes below this are repeated frames; the average ignores them
LEAST_RATIO = 1.8  # change over local average
LEAST_SCORE = 1.2  # ratio x (1 - likeness)
STILL_RATIO, STILL_CHANGE = (
    12.0,
    15.0,
)  # a sudden change of a still picture (a slide) is a cut even if much stays the same
FLASH = 0.35  # back to this share of the change within AROUND frames: a flash
BLACK_BELOW, BLACK_ABOVE = 18.0, 19.0  # mean luma that begins and ends a black stretch (16 = black)
APART = 0.25  # least seconds between two transitions
STILL = 0.6  # AROUND changes in a row up to this mean that no transition is going on
SHOWN_ABOVE, SHOWN_PIXELS = (
    26,
    8,
)  # brightness and number of pixels of the look above which something small (a title) is visible


class Shots(Segmenter):
    """The default segmenter.

    A stretch of black between two pictures has one boundary: its first frame if the cut to black was hard, else the
    frame at which the picture returns. Black before the first or after the last picture has none. A hard cut out of a
    stretch that showed something (a title, a night scene) is a further boundary.

    A dissolve, or a fade that never reaches black, begins a clip with the first picture that shows more of the new
    scene than of the old one; if some of the boundaries above lie within it, the last of them is used instead. None of
    its pictures is settled.
    """

    cuts = True
    spacing = float("inf")  # the plan of `evidence` decodes what is needed

    @classmethod
    def of(cls, settings: object, video: Video) -> Shots:
        return cls()

    def __init__(self, limits: Limits | None = None) -> None:
        self._looks: deque[Look] = deque()
        self._changes: deque[float] = deque()  # from the previous look to each look
        self._first = 0  # number of the first frame in the deques
        self._seen = 0
        self._decided = 0
        self._given = 0
        self._boundaries: deque[tuple[int, float]] = deque()  # numbers and times of frames
        self._mixtures = Mixtures(limits)
        self._gradual: deque[Gradual] = deque()  # in order; those that reach beyond the verdicts already returned
        self._gap = 0  # number of the latest frame that comes long after its predecessor
        self._black = False
        self._black_frames: set[int] = set()
        self._picture_seen = False
        self._owed = False  # a boundary is due when this black stretch ends
        self._shown = False  # whether it showed something

    def feed(self, look: Look) -> list[Verdict]:
        self._changes.append(difference(self._looks[-1], look) if self._looks else 0.0)
        if self._looks and look.time - self._looks[-1].time > GAP:
            self._gap = self._seen
        self._looks.append(look)
        self._seen += 1
        self._note(self._mixtures.feed(look))
        return self._advance(AROUND)

    def finish(self) -> list[Verdict]:
        return self._advance(0)

    def _advance(self, lookahead: int) -> list[Verdict]:
        """Decides every frame that has `lookahead` later frames, and returns the verdicts that can no longer change."""
        while self._decided + lookahead < self._seen:
            self._decide(self._decided)
            self._decided += 1
        guard = GUARD if lookahead else 0
        verdicts = []
        while self._given + guard < self._decided and (not lookahead or self._free(self._given)):
            cut = self._looks[self._given - self._first].cut
            if cut is not None:
                verdicts.append(Verdict(cut, boundary=True, settled=True))
            verdicts.append(self._verdict(self._given))
            self._given += 1
        keep = min(self._decided - AROUND - 1, self._given)
        while self._first < keep:
            self._looks.popleft()
            self._changes.popleft()
            self._black_frames.discard(self._first)
            self._first += 1
        return verdicts

    def _note(self, found: Gradual | None) -> None:
        """Stores a transition, or replaces the same one seen less completely."""
        if found is None or found.middle < self._looks[self._given - self._first].time:
            return
        for at, known in enumerate(self._gradual):
            if found.start < known.end + APART and known.start < found.end + APART:
                if found.weight > known.weight:
                    self._gradual[at] = found
                return
        self._gradual.append(found)

    def _free(self, number: int) -> bool:
        """Whether no transition that contains a frame can still be found."""
        look = self._looks[number - self._first]
        if number < self._gap or self._looks[-1].time - look.time > LONGEST:
            return True
        begin = number - self._first + 1
        still = all(self._changes[at] <= STILL for at in range(begin, begin + AROUND))
        return still and not any(known.start < look.time < known.end for known in self._gradual)

    def _verdict(self, number: int) -> Verdict:
        look = self._looks[number - self._first]
        while self._boundaries and self._boundaries[0][1] < look.time - LONGEST:
            self._boundaries.popleft()
        while self._gradual and self._gradual[0].end < look.time:
            self._gradual.popleft()
        near = any(
            boundary - GUARD <= number < boundary + GUARD and self._linked(number, boundary)
            for boundary, _ in self._boundaries
        )
        begins = any(boundary == number for boundary, _ in self._boundaries)
        for known in self._gradual:
            near = near or known.start < look.time < known.end
            inside = [time for _, time in self._boundaries if known.start < time <= known.end]
            if known.start < look.time <= known.end:  # of several boundaries the last: where the picture returns
                begins = look.time == (inside[-1] if inside else known.middle)
        return Verdict(look.time, begins, settled=not near and number not in self._black_frames)

    def _linked(self, a: int, b: int) -> bool:
        """Whether all pictures between two numbers were seen."""
        numbers = range(max(min(a, b) + 1, self._first), max(a, b) + 1)
        return all(self._looks[number - self._first].follows for number in numbers)

    def _decide(self, number: int) -> None:
        look = self._looks[number - self._first]
        brightness = look.brightness
        cut = number > 0 and self._is_cut(number)
        if brightness <= (BLACK_ABOVE if self._black else BLACK_BELOW):
            shown = int((look.luma > SHOWN_ABOVE).sum()) >= SHOWN_PIXELS
            self._shown = shown or (self._black and self._shown)
        if self._black:
            if brightness <= BLACK_ABOVE:
                self._black_frames.add(number)
                return
            self._black = False
            if self._owed or (cut and self._shown):
                self._boundaries.append((number, look.time))
        elif brightness <= BLACK_BELOW:
            self._black = True
            self._black_frames.add(number)
            self._owed = self._picture_seen and not cut
            if self._picture_seen and cut:
                self._boundaries.append((number, look.time))
            return
        elif cut:
            self._boundaries.append((number, look.time))
        self._picture_seen = True

    def _run(self, at: int) -> range:
        """Positions up to AROUND before and after `at`, as far as all pictures were seen.

        The change across the first gap counts too: it is larger than the changes it hides, so that motion next to a gap
        is not taken for a cut.
        """
        begin, end = at, at + 1
        while begin > max(at - AROUND, 1) and self._looks[begin].follows:
            begin -= 1
        while end < min(at + AROUND + 1, len(self._looks)) and self._looks[end - 1].follows:
            end += 1
        return range(begin, end)

    def _is_cut(self, number: int) -> bool:
        at = number - self._first
        change = self._changes[at]
        if change < LEAST_CHANGE or not self._looks[at].follows:
            return False
        near = self._run(at)
        others = [self._changes[i] for i in near if i != at]
        if any(self._changes[i] > change for i in near if abs(i - at) <= 2):
            return False
        moving = [other for other in others if other >= REPEATED]
        ratio = change / ((sum(moving) / len(moving) if moving else 0.0) + 1.0)
        if ratio < LEAST_RATIO:
            return False
        before = self._looks[at - 1]
        after = [self._looks[i] for i in near if i > at]
        if any(difference(before, later) < FLASH * change for later in after):
            return False
        if ratio >= STILL_RATIO and change >= STILL_CHANGE:
            return True
        return ratio * (1 - likeness(before, self._looks[at])) >= LEAST_SCORE
