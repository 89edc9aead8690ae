"""Where videos and clips go: how many reach each stage, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Stop:
    """Videos that one stage stopped first, for one reason. outcome: dropped, failed or partial."""

    outcome: str
    why: str
    count: int


@dataclass(frozen=True)
class Stage:
    """One stage of the funnel, counted as `interlink status` counts. stops: each video at its first stop only."""

    name: str
    ok: int
    dropped: int
    failed: int
    pending: int
    partial: int
    stops: tuple[Stop, ...] = field(default=())


def video_funnel(status: Mapping[str, Any], stops: Iterable[Sequence[Any]] = ()) -> list[Stage]:
    """The stages of a build in order. status: `Status.json`; stops: (stage, outcome, why, count)."""
    first: dict[str, list[Stop]] = {}
    for stage, outcome, why, count in stops:
        if outcome != "pending":
            first.setdefault(stage, []).append(Stop(outcome, why, int(count)))
    return [
        Stage(
            name=name,
            ok=int(counts["ok"]),
            dropped=int(counts["dropped"]),
            failed=int(counts["failed"]),
            pending=int(counts["pending"]),
            partial=int(counts["partial"]),
            stops=tuple(sorted(first.get(name, []), key=lambda stop: (-stop.count, stop.why))),
        )
        for name, counts in status["stages"].items()
    ]


def clip_funnel(clips: Mapping[str, np.ndarray], reasons: Sequence[str]) -> dict[str, Any]:
    """{cut, stopped, left_out: {reason: count}, used} of all clips.

    stopped: of videos that an earlier stage stopped; left_out: in no document, by reason; a video that was dropped as
    a whole gives its reason to those of its clips that have none.
    """
    reached = clips["reached"].astype(bool)
    used = clips["document"] >= 0
    counts = np.bincount(clips["reason"][reached & ~used], minlength=len(reasons))
    left = {name or "no reason": int(count) for name, count in zip(reasons, counts, strict=True) if count}
    ordered = dict(sorted(left.items(), key=lambda pair: (-pair[1], pair[0])))
    return {
        "cut": len(reached), "stopped": int((~reached).sum()), "left_out": ordered, "used": int(used.sum()),
    }  # fmt: skip
