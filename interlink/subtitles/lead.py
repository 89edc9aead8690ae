"""How long the words go before the picture or after it: the shift that lays sentence starts on its changes.

A how-to speaker names a step, and the picture turns to it, at a distance that stays about the same in one video. It is
an estimate, kept in its own table and applied by no stage. Costs about a millisecond a clip.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

FARTHEST = 5.0  # seconds of lead or lag that are looked at
STEP = 0.02
WIDTH = 0.2  # seconds: deviation of the Gaussian that one agreement is spread over
RIVAL = 3 * WIDTH  # a shift at least so far from the best one is another answer
FEWEST = 3  # pairs below which nothing is said


@dataclass(frozen=True)
class Lead:
    """lead: seconds by which words go before the picture, negative where they follow it; None: unknown.

    confidence, 0..1: how many more of the pairs agree on it than on the next best shift, less where pairs are few.
    """

    lead: float | None
    confidence: float
    onsets: int
    changes: int


def estimate(onsets: Sequence[float], changes: Sequence[float]) -> Lead:
    """The lead from the starts of sentences and the times at which the picture changes (seconds, in order)."""
    pairs = min(len(onsets), len(changes))
    nothing = Lead(None, 0.0, len(onsets), len(changes))
    if pairs < FEWEST:
        return nothing
    shifts = [number * STEP for number in range(-round(FARTHEST / STEP), round(FARTHEST / STEP) + 1)]
    agree = [_agreement(onsets, changes, shift) / pairs for shift in shifts]
    # Of equal shifts the smallest: most speakers show what they say.
    best = max(range(len(shifts)), key=lambda number: (round(agree[number], 6), -abs(shifts[number])))
    if agree[best] <= 0:
        return nothing
    rival = max(value for shift, value in zip(shifts, agree, strict=True) if abs(shift - shifts[best]) >= RIVAL)
    confidence = max(0.0, agree[best] - rival) * pairs / (pairs + FEWEST)
    return Lead(round(_refined(shifts, agree, best), 3), round(min(1.0, confidence), 4), len(onsets), len(changes))


def _agreement(onsets: Sequence[float], changes: Sequence[float], shift: float) -> float:
    """Over the changes: how close the nearest onset lies once all are moved by `shift`, 1 = there."""
    total = 0.0
    for change in changes:
        at = bisect_left(onsets, change - shift)
        near = [abs(onset + shift - change) for onset in onsets[max(0, at - 1) : at + 1]]
        distance = min(near) / WIDTH
        if distance < 4:
            total += math.exp(-0.5 * distance * distance)
    return total


def _refined(shifts: Sequence[float], agree: Sequence[float], best: int) -> float:
    """The top of the parabola through the best shift and its neighbours."""
    if not 0 < best < len(shifts) - 1:
        return shifts[best]
    before, here, after = agree[best - 1 : best + 2]
    bend = before - 2 * here + after
    return shifts[best] if bend >= 0 else shifts[best] + STEP * 0.5 * (before - after) / bend
