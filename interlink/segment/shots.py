"""Clips begin where the picture is another one: hard cuts, and fades through black. One pass, five frames behind.

A cut is a change far above the changes around it (a ratio to the local average, as adaptive scene detectors take it)
after which the picture no longer correlates with the one before, even shifted; so a pan, a shaking hand or a flash is
none. Costs about 0.1 ms a frame beside the look. Dissolves are not found.

The numbers below are in grey levels of the 64 x 40 look and were set on real clips.
"""

from __future__ import annotations

from collections import deque

from interlink.media.look import Look, difference, likeness
from interlink.segment.verdict import Verdict

AROUND = 3  # frames on each side that make the local average
GUARD = 2  # frames on each side of a boundary that are not settled
LEAST_CHANGE = 12.0  # a smaller change is never a cut
REPEATED = 0.5  # changes below this are repeated frames; they do not enter the average
LEAST_RATIO = 1.8  # change over local average
LEAST_SCORE = 1.2  # ratio x (1 - likeness)
STILL_RATIO, STILL_CHANGE = 12.0, 15.0  # a sudden change on a still picture (a slide) is one even if much stays alike
FLASH = 0.35  # back to this share of the change within AROUND frames: a flash
BLACK_BELOW, BLACK_ABOVE = 18.0, 19.0  # mean luma that begins and ends a black stretch (16 = black)
SHOWN_ABOVE, SHOWN_PIXELS = 26, 8  # this many pixels of the look this bright: something small (a title) is to be seen


class Shots:
    """The default segmenter.

    A stretch of black between two pictures holds one boundary: its first frame if the cut to black was hard, else the
    frame at which the picture returns. Black before the first picture, or after the last, holds none. A hard cut out of
    a stretch that showed something (a title, a night) is a boundary of its own.
    """

    spacing = float("inf")  # the plan of `evidence` decodes what this needs

    def __init__(self) -> None:
        self._looks: deque[Look] = deque()
        self._changes: deque[float] = deque()  # of each look to the one before it
        self._first = 0  # number of the frame that the deques begin with
        self._seen = 0
        self._decided = 0
        self._given = 0
        self._boundaries: deque[int] = deque()  # numbers of frames
        self._black = False
        self._black_frames: set[int] = set()
        self._picture_seen = False
        self._owed = False  # a boundary is due when this black stretch ends
        self._shown = False  # something was to be seen in it

    def feed(self, look: Look) -> list[Verdict]:
        self._changes.append(difference(self._looks[-1], look) if self._looks else 0.0)
        self._looks.append(look)
        self._seen += 1
        return self._advance(AROUND)

    def finish(self) -> list[Verdict]:
        return self._advance(0)

    def _advance(self, lookahead: int) -> list[Verdict]:
        """Decides every frame with `lookahead` frames behind it, and hands out what can no longer change."""
        while self._decided + lookahead < self._seen:
            self._decide(self._decided)
            self._decided += 1
        guard = GUARD if lookahead else 0
        verdicts = []
        while self._given + guard < self._decided:
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

    def _verdict(self, number: int) -> Verdict:
        while self._boundaries and self._boundaries[0] + GUARD <= number:
            self._boundaries.popleft()
        near = any(
            boundary - GUARD <= number < boundary + GUARD and self._linked(number, boundary)
            for boundary in self._boundaries
        )
        time = self._looks[number - self._first].time
        return Verdict(time, number in self._boundaries, settled=not near and number not in self._black_frames)

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
                self._boundaries.append(number)
        elif brightness <= BLACK_BELOW:
            self._black = True
            self._black_frames.add(number)
            self._owed = self._picture_seen and not cut
            if self._picture_seen and cut:
                self._boundaries.append(number)
            return
        elif cut:
            self._boundaries.append(number)
        self._picture_seen = True

    def _run(self, at: int) -> range:
        """Positions up to AROUND before and after `at`, as far as all pictures were seen. The change across the first
        gap counts too: it is larger than those it hides, so that what moves is not taken for a cut beside a gap."""
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
