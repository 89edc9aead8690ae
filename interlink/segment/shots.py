"""Shot detection: clips begin at hard cuts, dissolves and fades. One pass, with a delay of three frames where little
moves, up to 1.7 s elsewhere.

A cut is a change far above the changes around it (a ratio to the local average, as in adaptive scene detectors) after
which the picture no longer correlates with the previous one, even shifted. A pan, a shaking hand or a flash is not a
cut. Changes over several pictures are left to `gradual`. Costs 0.1 to 0.3 ms per frame in addition to the look.

The numbers below are in grey levels of the 64 x 40 look and were set on real clips.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from interlink.media.look import Look, difference, distance, likeness
from interlink.segment.gradual import GAP, LONGEST, Gradual, Limits, Mixtures
from interlink.segment.structure import structure, without_bars
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
LIT = 0.4  # share of the structure that stays the same from which on a change is one of light, a shadow or a hand
FLASH = 0.35  # back to this share of the change …
RETURN = 0.55  # … within so many seconds (half a second, and a frame): a flash
LEVELS = 16.0  # least change of the mean luma that counts as a change of light
STEPS, SWITCH = 3, 0.17  # most looks, and seconds, over which a lamp reaches its full light
ONE_WAY = 0.6  # least change of the mean luma, over the mean change of luma, if the light changes
STEADY = 0.25  # most that a look before or after changes, over the mean change of these looks
BACK = 0.25  # least share of the structure that is the same after a flash as before it
TITLE = 0.5  # seconds for which something must be visible on black to be a title with a clip of its own
BLACK_BELOW, BLACK_ABOVE = 18.0, 19.0  # mean luma that begins and ends a black stretch (16 = black)
APART = 0.25  # least seconds between two transitions
STILL = 0.6  # AROUND changes in a row up to this mean that no transition is going on
SHOWN_ABOVE, SHOWN_PIXELS = (
    26,
    8,
)  # brightness and number of pixels of the look above which something small (a title) is visible


@dataclass(frozen=True)
class _Candidate:
    """A boundary that later frames may still refuse. number: of the first frame after it.

    skipped: the boundary lies between two looks. title: something appears on black.
    """

    number: int
    time: float
    skipped: bool = False
    title: bool = False


class Shots(Segmenter):
    """The default segmenter.

    A stretch of black between two pictures has one boundary: its first frame if the cut to black was hard, else the
    frame at which the picture returns. Black before the first or after the last picture has none. A hard cut out of a
    stretch that showed something (a title, a night scene) is a further boundary, and so is the appearance of a title.

    A flash has no boundary: within half a second the picture before it returns. Nor has a change of light.

    A dissolve, a wipe, or a fade that never reaches black, begins a clip with the first picture that shows more of the
    new scene than of the old one; if some of the boundaries above lie within it, the last of them is used instead. None
    of its pictures is settled. What contains a flash or a change of light is none of these.
    """

    cuts = True
    spacing = float("inf")  # the plan of `evidence` decodes what is needed

    @classmethod
    def of(cls, settings: object, video: Video) -> Shots:
        return cls()

    def __init__(self, limits: Limits | None = None) -> None:
        self._looks: deque[Look] = deque()
        self._changes: deque[float] = deque()  # from the previous look to each look
        self._levels: deque[float] = deque()  # mean luma of each look
        self._first = 0  # number of the first frame in the deques
        self._seen = 0
        self._decided = 0
        self._given = 0
        self._candidates: deque[_Candidate] = deque()
        self._boundaries: deque[tuple[int, float]] = deque()  # numbers and times of frames
        self._skipped: set[int] = set()  # numbers of looks before which a boundary was skipped
        self._mixtures = Mixtures(limits)
        self._gradual: deque[Gradual] = deque()  # in order; those that reach beyond the verdicts already returned
        self._back = -inf  # time at which the picture before the latest flash was back
        self._lights: deque[tuple[float, float]] = deque()  # first and last times of flashes and changes of light
        self._gap = 0  # number of the latest frame that comes long after its predecessor
        self._black = False
        self._black_frames: set[int] = set()
        self._picture_seen = False
        self._owed = False  # a boundary is due when this black stretch ends
        self._shown = False  # whether it showed something
        self._empty = False  # whether the last frame showed nothing

    def feed(self, look: Look) -> list[Verdict]:
        self._changes.append(difference(self._looks[-1], look) if self._looks else 0.0)
        if self._looks and look.time - self._looks[-1].time > GAP:
            self._gap = self._seen
        self._looks.append(look)
        self._levels.append(look.brightness)
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
        self._resolve(final=not lookahead)
        guard = GUARD if lookahead else 0
        verdicts = []
        while self._given + guard < self._decided and (not lookahead or self._free(self._given)):
            if self._candidates and self._candidates[0].number <= self._given + GUARD:
                break
            if self._given in self._skipped:
                self._skipped.remove(self._given)
                cut = self._looks[self._given - self._first].cut
                assert cut is not None
                verdicts.append(Verdict(cut, boundary=True, settled=True))
            verdicts.append(self._verdict(self._given))
            self._given += 1
        keep = min(self._decided - AROUND - 1, self._given)
        while self._first < keep:
            self._looks.popleft()
            self._changes.popleft()
            self._levels.popleft()
            self._black_frames.discard(self._first)
            self._first += 1
        return verdicts

    def _resolve(self, final: bool) -> None:
        """Accepts or refuses the candidates of which enough later frames are known."""
        while self._candidates and (final or self._looks[-1].time - self._candidates[0].time > RETURN):
            candidate = self._candidates.popleft()
            if candidate.time <= self._back:
                continue
            until = self._vanishes(candidate) if candidate.title else self._returns(candidate)
            if until is not None:
                if not candidate.title:
                    self._lights.append((candidate.time, until))
                self._back = until
            elif candidate.skipped:
                self._skipped.add(candidate.number)
            else:
                self._boundaries.append((candidate.number, candidate.time))

    def _returns(self, candidate: _Candidate) -> float | None:
        """The time at which the picture before a candidate is back, if it is a flash."""
        before = self._looks[candidate.number - 1 - self._first]
        if before.brightness <= BLACK_ABOVE:
            return None
        most = 0.0
        for at in range(candidate.number - self._first, len(self._looks)):
            look = self._looks[at]
            if look.time - candidate.time > RETURN:
                return None
            change = difference(before, look)
            most = max(most, change)
            if change < FLASH * most and (change < LEAST_CHANGE or structure(before.luma, look.luma) >= BACK):
                return look.time
        return None

    def _vanishes(self, candidate: _Candidate) -> float | None:
        """The candidate's own time, if what appears on black is no title: it grows to a picture, or goes soon."""
        for at in range(candidate.number - self._first, len(self._looks)):
            look = self._looks[at]
            if look.time - candidate.time > TITLE:
                return None
            if look.brightness > BLACK_ABOVE or not _shows(look):
                return candidate.time
        return candidate.time

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
        while self._lights and self._lights[0][1] < look.time - LONGEST:
            self._lights.popleft()
        for known in self._gradual:
            if any(known.start < last and first < known.end for first, last in self._lights):
                continue
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
        brightness = self._levels[number - self._first]
        self._note_light(number - self._first)
        if look.cut is not None and number > 0:
            self._candidates.append(_Candidate(number, look.cut, skipped=True))
        cut = number > 0 and self._is_cut(number)
        shown, was_empty = _shows(look), self._empty
        self._empty = not shown
        if brightness <= (BLACK_ABOVE if self._black else BLACK_BELOW):
            self._shown = shown or (self._black and self._shown)
            if shown and was_empty and self._picture_seen:
                self._candidates.append(_Candidate(number, look.time, title=True))
        if self._black:
            if brightness <= BLACK_ABOVE:
                self._black_frames.add(number)
                return
            self._black = False
            if self._owed or (cut and self._shown):
                self._candidates.append(_Candidate(number, look.time))
        elif brightness <= BLACK_BELOW:
            self._black = True
            self._black_frames.add(number)
            self._owed = self._picture_seen and not cut
            if self._picture_seen and cut:
                self._candidates.append(_Candidate(number, look.time))
            return
        elif cut:
            self._candidates.append(_Candidate(number, look.time))
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

    def _note_light(self, at: int) -> None:
        """Notes a change of light that is complete with a look: most of the picture gets brighter, or darker, within
        STEPS looks, and from one to the next shows the same things.

        Before and after that the light is steady, unlike in a fade.
        """
        look, levels, last = self._looks[at], self._levels, len(self._looks) - 1
        for steps in range(1, min(STEPS, at) + 1):
            before, change = self._looks[at - steps], levels[at] - levels[at - steps]
            if look.time - before.time > SWITCH:
                return
            if abs(change) < LEVELS or abs(change) < ONE_WAY * distance(before.luma, look.luma) * 255:
                continue
            around = [*range(max(at - steps - 1, 1), at - steps + 1), *range(at + 1, min(at + 2, last) + 1)]
            if any(abs((levels[i] - levels[i - 1]) * steps / change) > STEADY for i in around):
                continue
            ramp = [self._looks[i].luma for i in range(at - steps, at + 1)]
            if min(structure(a, b) for a, b in pairwise(ramp)) >= LIT:
                self._lights.append((before.time, look.time))
                return

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
        before, look = self._looks[at - 1], self._looks[at]
        if ratio >= STILL_RATIO and change >= STILL_CHANGE:
            return structure(before.luma, look.luma, changed=True) < LIT  # of a slide much stays; what changes is new
        if structure(before.luma, look.luma) >= LIT:
            return False
        return ratio * (1 - likeness(*without_bars(before, look))) >= LEAST_SCORE


def _shows(look: Look) -> bool:
    """Whether a dark picture shows something small, such as a title."""
    return int((look.luma > SHOWN_ABOVE).sum()) >= SHOWN_PIXELS
