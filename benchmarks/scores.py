"""How well found cuts agree with true ones: precision, recall, F1, and how far chance could have moved F1."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from benchmarks.materials import Material, Truth

BLOCK = 10.0  # seconds of video that are drawn together
BEFORE, AFTER = 0.15, 0.6  # seconds around a flash or a change of light in which a wrong cut counts as caused by it


@dataclass(frozen=True)
class Score:
    """right: true transitions found; wrong: found cuts that are none; missed. low, high: 95 % of drawn F1s."""

    right: int
    wrong: int
    missed: int
    low: float
    high: float
    missed_kinds: dict[str, int]

    @property
    def precision(self) -> float:
        return self.right / max(self.right + self.wrong, 1)

    @property
    def recall(self) -> float:
        return self.right / max(self.right + self.missed, 1)

    @property
    def f1(self) -> float:
        return f1(self.right, self.wrong, self.missed)


def f1(right: int, wrong: int, missed: int) -> float:
    """1 where there is nothing to find and nothing was."""
    return 2 * right / (2 * right + wrong + missed) if right + wrong + missed else 1.0


def score(pairs: list[tuple[Material, list[float]]], rates: dict[str, float]) -> Score:
    """Of (material, found cuts in seconds), all together. A hit lies at most one picture outside its transition.

    rates: pictures per second of the materials by name. Blocks of 10 s are drawn with replacement, 2,000 times.
    """
    blocks: dict[tuple[str, int], list[int]] = {}
    kinds: dict[str, int] = {}
    for material, found in pairs:
        right, missed, wrong = match(material.truth, found, 1.01 / rates[material.name])
        for number, times in enumerate((right, wrong, [truth.start for truth in missed])):
            for time in times:
                blocks.setdefault((material.name, int(time // BLOCK)), [0, 0, 0])[number] += 1
        for number in range(int(material.seconds // BLOCK) + 1):
            blocks.setdefault((material.name, number), [0, 0, 0])
        for truth in missed:
            kinds[truth.kind] = kinds.get(truth.kind, 0) + 1
    counts = [blocks[key] for key in sorted(blocks)]
    draw = Random(0)
    drawn = sorted(f1(*map(sum, zip(*draw.choices(counts, k=len(counts)), strict=True))) for _ in range(2000))
    right_, wrong_, missed_ = (sum(count[number] for count in counts) for number in range(3))
    return Score(right_, wrong_, missed_, drawn[50], drawn[1949], kinds)


def match(truths: tuple[Truth, ...], found: list[float], slack: float) -> tuple[list[float], list[Truth], list[float]]:
    """(found cuts that are right, transitions missed, found cuts that are wrong); each transition is hit once."""
    left = sorted(found)
    right, missed = [], []
    for truth in truths:
        hits = [time for time in left if truth.start - slack <= time <= truth.end + slack]
        if hits:
            best = min(hits, key=lambda time: abs(time - truth.end))
            right.append(best)
            left.remove(best)
        else:
            missed.append(truth)
    return right, missed, left


def by_kind(pairs: list[tuple[Material, list[float]]], rates: dict[str, float]) -> dict[str, Any]:
    """Per kind of transition the recall with its interval; per kind of other event, the false cuts per minute of it."""
    found: dict[str, list[int]] = {}
    false: dict[str, list[float]] = {}
    for material, cuts in pairs:
        _, missed, wrong = match(material.truth, cuts, 1.01 / rates[material.name])
        for truth in material.truth:
            count = found.setdefault(truth.kind, [0, 0])
            count[0] += truth not in missed
            count[1] += 1
        for event in material.calm:
            inside = [time for time in wrong if event.start - BEFORE <= time <= event.end + AFTER]
            caused = false.setdefault(event.kind, [0.0, 0.0, 0.0])
            caused[0] += len(inside)
            caused[1] += event.end - event.start + BEFORE + AFTER
            caused[2] += 1
    recalls = {
        kind: {"found": right, "of": of, "recall": round(right / of, 3), "interval": wilson(right, of)}
        for kind, (right, of) in sorted(found.items())
    }
    rest = {
        kind: {"false": int(cuts), "of": int(events), "per_minute": round(60 * cuts / seconds, 2)}
        for kind, (cuts, seconds, events) in sorted(false.items())
    }
    return {**recalls, **rest}


def wilson(right: int, of: int) -> list[float]:
    """The 95 % interval of a share (Wilson, 1927)."""
    z = 1.96
    middle = (right + z * z / 2) / (of + z * z)
    reach = z * (right * (of - right) / of + z * z / 4) ** 0.5 / (of + z * z)
    return [round(max(0.0, middle - reach), 3), round(min(1.0, middle + reach), 3)]
