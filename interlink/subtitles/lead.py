"""Estimates the lead of speech over the picture: the shift that best aligns sentence starts with picture changes.

A how-to speaker names a step before or after the picture shows it, with a delay that is about constant in one video.
The estimate is stored in its own table. Costs about a millisecond per clip.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

FARTHEST = 5.0  # greatest lead or lag, seconds
STEP = 0.02
WIDTH = 0.2  # seconds: standard deviation of the Gaussian around each match
RIVAL = 3 * WIDTH  # least distance of a rival shift from the best one
FEWEST = 3  # fewest pairs for an estimate


@dataclass(frozen=True)
class Lead:
    """lead: seconds by which speech precedes the picture, negative if it follows; None: unknown.

    confidence, 0..1: how many more pairs agree on it than on the next best shift; reduced if there are few pairs.
    """

    lead: float | None
    confidence: float
    onsets: int
    changes: int


def estimate(onsets: Sequence[float], changes: Sequence[float]) -> Lead:
    """The lead, from starts of sentences and times of picture changes (seconds, sorted)."""
    pairs = min(len(onsets), len(changes))
    nothing = Lead(None, 0.0, len(onsets), len(changes))
    if pairs < FEWEST:
        return nothing
    shifts = [number * STEP for number in range(-round(FARTHEST / STEP), round(FARTHEST / STEP) + 1)]
    agree = [_agreement(onsets, changes, shift) / pairs for shift in shifts]
    # With ties, the smallest shift: most speakers show what they say.
    best = max(range(len(shifts)), key=lambda number: (round(agree[number], 6), -abs(shifts[number])))
    if agree[best] <= 0:
        return nothing
    rival = max(value for shift, value in zip(shifts, agree, strict=True) if abs(shift - shifts[best]) >= RIVAL)
    confidence = max(0.0, agree[best] - rival) * pairs / (pairs + FEWEST)
    return Lead(round(_refined(shifts, agree, best), 3), round(min(1.0, confidence), 4), len(onsets), len(changes))


def _agreement(onsets: Sequence[float], changes: Sequence[float], shift: float) -> float:
    """Sum over the changes of how close the nearest shifted onset is; 1 = at the same time."""
    total = 0.0
    for change in changes:
        at = bisect_left(onsets, change - shift)
        near = [abs(onset + shift - change) for onset in onsets[max(0, at - 1) : at + 1]]
        distance = min(near) / WIDTH
        if distance < 4:
            total += math.exp(-0.5 * distance * distance)
    return total


def _refined(shifts: Sequence[float], agree: Sequence[float], best: int) -> float:
    """The maximum of the parabola through the best shift and its neighbours."""
    if not 0 < best < len(shifts) - 1:
        return shifts[best]
    before, here, after = agree[best - 1 : best + 2]
    bend = before - 2 * here + after
    return shifts[best] if bend >= 0 else shifts[best] + STEP * 0.5 * (before - after) / bend
