"""Dissolves and fades: pictures that are a mixture of the picture before and the picture after the transition.

A look M inside a transition from A to B is x·A + y·B + c: in a dissolve x falls from 1 to 0 while y rises from 0 to 1;
in a fade through black, white or grey x falls first, then y rises. Each stretch between two different looks is fitted
by least squares. Motion, a pan or a zoom from A to B is not a mixture of the two and leaves a residual. The linear
model is from Hampapur, Jain and Weymouth, "Digital video segmentation", 1994. Costs 0.05 ms per look where little
changes, up to 0.3 ms in motion. `python -m benchmarks sweep` varies the numbers.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interlink.media.look import Look
from interlink.segment.moving import MovingLimits, fine_enough, moving_dissolve
from interlink.segment.wipes import WipeLimits, wipe

SPANS = (4, 5, 6, 8, 10, 13, 17, 22, 28, 36, 46)  # numbers of looks from A to B that are tested
# Wipes and dissolves of moving scenes need not be met as exactly as mixtures, and are seen until LONGEST later.
OTHERS_EVERY = 3  # looks from one that is tested as their end to the next
WIPE_SPANS = SPANS[1::2]  # tested for wipes
LEAST_MOVING = 8  # least number of looks from A to B in a dissolve of moving scenes
MOST_REST = 0.25  # most of the change (mean square) that a mixture leaves in the middle picture of such a dissolve
KEPT = SPANS[-1] + 1  # looks
LONGEST = 1.7  # most seconds from A to B
GAP = 0.34  # seconds between two looks above which the content between them is unknown
NEAREST = 1 / 46  # seconds; looks closer together than this are thinned
EDGE = 0.1  # share of the other picture at the start and end of a transition
LUMA = 160  # values of a vector that are luma, of 240
FLAT = 64.0  # variance (8 grey levels) below which a picture counts as flat: black, white, one colour
BAR = 8.0  # grey levels above black up to which a cell may belong to a black bar


@dataclass(frozen=True)
class Limits:
    """Limits of a transition.

    least: least root mean square of the change from A to B, grey levels. unlike: greatest correlation of A and B; a
    scene in which only the light changes stays above. residual: greatest root mean square of the residual over that
    change. fine: the same over all pixels of the looks; a pan by less than a cell is a mixture of cells, not of pixels.
    step: greatest change of x and y in one look; more is a hard cut, or two with a plain picture between them. direct:
    least ratio of 1 to the distance that x, and y, travels; they must not go back and forth. moving, moving_fine:
    residual and fine where x falls and y rises evenly, as in a dissolve of two moving scenes: by at most `uneven` (root
    mean square) from a straight line.
    """

    least: float = 20.0
    unlike: float = 0.45
    residual: float = 0.18
    fine: float = 0.27
    step: float = 0.6
    direct: float = 0.85
    moving: float = 0.32
    moving_fine: float = 0.36
    uneven: float = 0.06


@dataclass(frozen=True)
class Gradual:
    """A transition. start, end: times of the last look that is all A, and of the first that is all B.

    middle: time of the first look that shows more of B than of A. weight: grows with the contrast of A, of B and of
    the change between them; of two stretches of one transition, the one that covers all of it has the larger weight.
    """

    start: float
    middle: float
    end: float
    weight: float


@dataclass(frozen=True)
class Shares:
    """x, y: (n + 2,), of n looks and the two around them. grey: (n,)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    grey: NDArray[np.float64]


class Mixtures:
    """Takes looks in order of time and returns the transition that ends there, if any. Memory: 47 vectors."""

    def __init__(self, limits: Limits | None = None, wipes: WipeLimits | None = None) -> None:
        self._limits, self._wipes, self._moving = limits or Limits(), wipes or WipeLimits(), MovingLimits()
        self._looks = 0
        self._times: deque[float] = deque(maxlen=KEPT)
        self._rows = np.zeros((4 * KEPT, 240), np.float32)  # the latest vectors end at row `_end`
        self._end = 0
        self._lumas: deque[NDArray[np.uint8]] = deque(maxlen=KEPT)

    def feed(self, look: Look) -> Gradual | None:
        """The transition with the largest weight that ends at or shortly before this look.

        Later looks return the same transition again, with more of it seen.
        """
        times = self._times
        if times and look.time - times[-1] < NEAREST:
            return None
        vector = vector_of(look)
        if times and (look.time - times[-1] > GAP or self._cut(self._rows[self._end - 1], vector)):
            times.clear()
            self._lumas.clear()
        if self._end == len(self._rows):
            self._rows[: KEPT - 1] = self._rows[1 - KEPT :]
            self._end = KEPT - 1
        self._rows[self._end] = vector
        self._end += 1
        times.append(look.time)
        self._lumas.append(look.luma)
        self._looks += 1
        last = len(times) - 1
        spans = [span for span in SPANS if span <= last and look.time - times[last - span] <= LONGEST]
        return self._found(spans, last) if spans else None

    def _cut(self, before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
        """Whether two consecutive looks show different scenes, so that no transition spans them."""
        apart = before - after
        if float(apart @ apart) < (2 * self._limits.least) ** 2 * len(apart):
            return False
        return bool(_compare(before[None], after, self._limits.unlike)[0][0])

    def _found(self, spans: list[int], last: int) -> Gradual | None:
        vectors = self._rows[self._end - last - 1 : self._end]
        before, after = vectors[[last - span for span in spans]], vectors[last]
        change = ((before - after) ** 2).sum(axis=1)
        likely = np.flatnonzero(change >= self._limits.least**2 * len(after))
        if not len(likely):
            return None
        unlike, weights = _compare(before[likely], after, self._limits.unlike)
        chosen = likely[unlike]
        if not len(chosen):
            return None
        middles = vectors[[last - spans[at] + 1 + (spans[at] - 1) // 2 for at in chosen]]
        bases = _bases(before[chosen], after)
        rests = _rest(bases, middles) / change[chosen]
        best: Gradual | None = None
        for at, basis, weight, rest in zip(chosen, bases, weights[unlike].tolist(), rests.tolist(), strict=True):
            if best is not None and weight <= best.weight:
                continue
            first = last - spans[at]
            inside = vectors[first + 1 : last]
            shares = mixture(basis, inside, self._limits) if rest <= 4 * self._limits.residual**2 else None
            if shares is not None and self._fine(shares, first, last):
                best = self._gradual(shares.x, shares.y, first, weight)
                continue
            if self._looks % OTHERS_EVERY == 0:
                found = self._other(basis, inside, rest, first)
                best = self._gradual(found[0], found[1], first, weight) if found is not None else best
        return best

    def _other(
        self, basis: NDArray[np.float32], inside: NDArray[np.float32], rest: float, first: int
    ) -> NDArray[np.float64] | None:
        """(2 or 3, n + 2) shares of old and new in a wipe, or in a dissolve of moving scenes. rest: as of `_rest`."""
        span = len(inside) + 1
        new = wipe(basis[0], basis[1], inside, self._wipes) if span in WIPE_SPANS else None
        if new is not None:
            y = np.concatenate([[0.0], new, [1.0]])
            return np.stack([1 - y, y])
        if span < LEAST_MOVING or rest > MOST_REST:
            return None
        shares = moving_dissolve(basis, inside, self._moving)
        if shares is None or not fine_enough(shares, self._pixels(first, first + span), self._moving):
            return None
        return shares

    def _fine(self, shares: Shares, first: int, last: int) -> bool:
        """Whether the pixels of the looks are the same mixtures as their cells."""
        looks = self._pixels(first, last)
        before, after = looks[0], looks[-1]
        parts = np.stack([shares.x[1:-1], shares.y[1:-1], shares.grey]).astype(np.float32)
        rest = looks[1:-1] - np.tensordot(parts.T, np.stack([before, after, np.ones_like(before)]), 1)
        fine = self._limits.moving_fine if _even(shares.x, shares.y, self._limits) else self._limits.fine
        return float(np.mean(rest**2)) <= fine**2 * float(np.mean((before - after) ** 2))

    def _pixels(self, first: int, last: int) -> NDArray[np.float32]:
        """(n, 40, 64) luma of looks, above black."""
        return np.stack([self._lumas[number] for number in range(first, last + 1)]).astype(np.float32) - 16

    def _gradual(self, x: NDArray[np.float64], y: NDArray[np.float64], first: int, weight: float) -> Gradual:
        begins = int(np.flatnonzero((x >= 1 - EDGE) & (y <= EDGE))[-1])
        ends = begins + int(np.flatnonzero((y[begins:] >= 1 - EDGE) & (x[begins:] <= EDGE))[0])
        middle = begins + int(np.flatnonzero(y[begins:] >= np.maximum(x[begins:], EDGE))[0])
        times = self._times
        return Gradual(times[first + begins], times[first + middle], times[first + ends], weight)


def vector_of(look: Look) -> NDArray[np.float32]:
    """(240,) averages over cells of the look, above black and grey: 10 x 16 of luma, 2 x 5 x 8 of chroma."""
    luma = _ROWS @ look.luma.astype(np.float32) @ _COLUMNS - 16  # products are several times faster than means
    chroma = _ROWS[:5, :20] @ look.chroma.astype(np.float32) @ _COLUMNS[:32, :8] - 128
    return np.concatenate([luma.ravel(), chroma.ravel()])


_ROWS = np.kron(np.eye(10, dtype=np.float32), np.full((1, 4), 0.25, np.float32))  # (10, 40)
_COLUMNS = np.kron(np.eye(16, dtype=np.float32), np.full((4, 1), 0.25, np.float32))  # (64, 16)


def _bases(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 3, 240) what n stretches are mixed from: the pictures before and after, and grey outside of black bars."""
    bases = np.zeros((len(before), 3, after.size), np.float32)
    bases[:, 0], bases[:, 1] = before, after
    bases[:, 2, :LUMA] = np.maximum(before[:, :LUMA], after[:LUMA]) > BAR
    return bases


def _rest(bases: NDArray[np.float32], pictures: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n,) squared residuals of one picture (n, 240) a stretch. That of its middle rules out most stretches."""
    grams = bases @ bases.transpose(0, 2, 1) + np.eye(3)
    shares = np.linalg.solve(grams, bases @ pictures[:, :, None])
    rest = pictures - (shares.transpose(0, 2, 1) @ bases)[:, 0]
    return np.asarray((rest**2).sum(axis=1), np.float64)


def mixture(basis: NDArray[np.float32], inside: NDArray[np.float32], limits: Limits) -> Shares | None:
    """The n vectors `inside` as mixtures of a basis (3, 240); None if they are not, or change in one step."""
    gram = basis @ basis.T + np.eye(3)
    change = float(((basis[0] - basis[1]) ** 2).sum())
    shares = np.linalg.solve(gram, basis @ inside.T)
    rest = inside - shares.T @ basis
    x = np.concatenate([[1.0], shares[0], [0.0]])
    y = np.concatenate([[0.0], shares[1], [1.0]])
    residual = limits.moving if _even(x, y, limits) else limits.residual
    if float((rest**2).sum(axis=1).mean()) > residual**2 * change:
        return None
    falls, rises = -np.diff(x), np.diff(y)
    if float(np.minimum(falls, rises).max()) > limits.step or min(float(falls.max()), float(rises.max())) > limits.step:
        return None
    if max(float(np.abs(falls).sum()), float(np.abs(rises).sum())) > 1 / limits.direct:
        return None
    return Shares(x, y, shares[2])


def _even(x: NDArray[np.float64], y: NDArray[np.float64], limits: Limits) -> bool:
    """Whether x falls and y rises along straight lines."""
    line = np.linspace(0, 1, len(y))
    return float(np.mean((y - line) ** 2) + np.mean((1 - x - line) ** 2)) <= 2 * limits.uneven**2


def _compare(
    pictures: NDArray[np.float32], other: NDArray[np.float32], limit: float
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Compares (n, 240) vectors with one.

    Returns (n,) whether they show different pictures (neither is flat and they do not correlate), and (n,) the variance
    of both and of the change between them.
    """
    a, b = pictures[:, :LUMA], other[:LUMA]
    lit = (np.maximum(a, b) > BAR).astype(np.float32)  # bars are the same in every scene
    count = np.maximum(lit.sum(axis=1), 1.0)
    a, b = (a - ((a * lit).sum(axis=1) / count)[:, None]) * lit, (b - (lit @ b / count)[:, None]) * lit
    contrasts, contrast = (a * a).sum(axis=1) / count, (b * b).sum(axis=1) / count
    product = (a * b).sum(axis=1) / count
    like = product / np.sqrt((contrasts + FLAT) * (contrast + FLAT))
    shown = count >= LUMA / 4
    return (like <= limit) & (contrasts > FLAT) & (contrast > FLAT) & shown, 2 * (contrasts + contrast - product)
