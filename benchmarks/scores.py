"""How well found cuts agree with true ones: precision, recall, F1, and how far chance could have moved F1."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from random import Random
from typing import Any

from benchmarks.materials import Material, Truth

STRETCH = 10.0  # seconds of a single video that are drawn together
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

    rates: pictures per second of the materials by name. Videos are drawn with replacement, 2,000 times; of a single one
    its stretches of 10 s.
    """
    units: dict[tuple[str, int], list[int]] = {}
    kinds: dict[str, int] = {}
    for material, found in pairs:
        right, missed, wrong = match(material.truth, found, 1.01 / rates[material.name])
        length = STRETCH if len(pairs) == 1 else inf
        for number in range(int(material.seconds // length) + 1):
            units[material.name, number] = [0, 0, 0]
        for number, times in enumerate((right, wrong, [truth.start for truth in missed])):
            for time in times:
                units.setdefault((material.name, int(time // length)), [0, 0, 0])[number] += 1
        for truth in missed:
            kinds[truth.kind] = kinds.get(truth.kind, 0) + 1
    counts = [units[key] for key in sorted(units)]
    low, high = interval(counts)
    right_, wrong_, missed_ = (sum(count[number] for count in counts) for number in range(3))
    return Score(right_, wrong_, missed_, low, high, kinds)


def interval(counts: list[list[int]]) -> tuple[float, float]:
    """The 95 % interval of F1, from (right, wrong, missed) of the units that are drawn."""
    draw = Random(0)
    drawn = sorted(f1(*map(sum, zip(*draw.choices(counts, k=len(counts)), strict=True))) for _ in range(2000))
    return drawn[50], drawn[1949]


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
    """Per kind of transition recall, precision and F1 with intervals; per kind of other event, and where no event is
    near (`elsewhere`), the false cuts and how many that is per minute.

    A false cut counts for the nearest event, if it is as near as something caused by the event.
    """
    found: dict[str, dict[str, list[int]]] = {}  # kind -> material -> (right, wrong, missed)
    calm: dict[str, list[float]] = {}  # kind -> (false cuts, seconds, events)
    elsewhere = [0, 0.0]  # false cuts, seconds
    for material, cuts in pairs:
        _, missed, wrong = match(material.truth, cuts, 1.01 / rates[material.name])
        causes = [cause(material, time) for time in wrong]
        for truth in material.truth:
            count = found.setdefault(truth.kind, {}).setdefault(material.name, [0, 0, 0])
            count[2 if truth in missed else 0] += 1
            count[1] += causes.count(truth)
        for event in material.calm:
            caused = calm.setdefault(event.kind, [0, 0.0, 0])
            for number, more in enumerate((causes.count(event), _reach(event), 1)):
                caused[number] += more
        elsewhere[0] += causes.count(None)
        elsewhere[1] += material.seconds - sum(map(_reach, (*material.truth, *material.calm)))
    rest = {
        kind: {"false": int(cuts), "of": int(events), "per_minute": round(60 * cuts / seconds, 2)}
        for kind, (cuts, seconds, events) in sorted(calm.items())
    }
    far = {"false": int(elsewhere[0]), "per_minute": round(60 * elsewhere[0] / max(elsewhere[1], 1.0), 2)}
    return {**{kind: _of_kind(list(found[kind].values())) for kind in sorted(found)}, **rest, "elsewhere": far}


def _of_kind(counts: list[list[int]]) -> dict[str, Any]:
    right, wrong, missed = (sum(count[number] for count in counts) for number in range(3))
    return {
        "found": right,
        "of": right + missed,
        "recall": [round(right / (right + missed), 3), *wilson(right, right + missed)],
        "precision": [round(right / max(right + wrong, 1), 3), *wilson(right, max(right + wrong, 1))],
        "f1": [round(value, 3) for value in (f1(right, wrong, missed), *interval(counts))],
    }


def cause(material: Material, time: float) -> Truth | None:
    """The event that caused a false cut, if one is near."""
    events = [event for event in (*material.truth, *material.calm) if event.start - BEFORE <= time <= event.end + AFTER]
    return min(events, key=lambda event: max(event.start - time, time - event.end, 0.0), default=None)


def _reach(event: Truth) -> float:
    """Seconds in which a false cut counts as caused by an event."""
    return event.end - event.start + BEFORE + AFTER


def errors(pairs: list[tuple[Material, list[float]]], rates: dict[str, float]) -> list[dict[str, Any]]:
    """Every false cut and every miss, with its kind of event and the source clips that are shown."""
    rows = []
    for material, cuts in pairs:
        _, missed, wrong = match(material.truth, cuts, 1.01 / rates[material.name])
        of = [(time, time, "false", cause(material, time)) for time in wrong]
        for start, end, error, event in [*of, *((truth.start, truth.end, "missed", truth) for truth in missed)]:
            kind = event.kind if event else "elsewhere"
            shown = material.clips_at(start, end)
            rows.append({"video": material.name, "at": round(start, 3), "error": error, "kind": kind, "clips": shown})
    return rows


def wilson(right: int, of: int) -> list[float]:
    """The 95 % interval of a share (Wilson, 1927)."""
    z = 1.96
    middle = (right + z * z / 2) / (of + z * z)
    reach = z * (right * (of - right) / of + z * z / 4) ** 0.5 / (of + z * z)
    return [round(max(0.0, middle - reach), 3), round(min(1.0, middle + reach), 3)]
