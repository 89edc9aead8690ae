"""Chooses where a build runs: small work inline, since starting Ray and its actor pools takes half a minute.

Costs a stat of a few source files and a read of a few small ledgers.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from interlink.errors import UserError
from interlink.recipe import Recipe
from interlink.runtime.planning import Plans
from interlink.runtime.work import Work

INLINE_SECONDS = 60.0  # of predicted work up to which Ray does not pay (2 cores: it takes 32 s to start)
MEASURED = 4  # finished partitions that give a stage's seconds per row
SAMPLED = 32  # source files that give the size of an item
UNKNOWN_MEGABYTES = 20.0  # of an item that is downloaded: 5 minutes of 360p


@dataclass(frozen=True)
class Choice:
    """kind: `ray` or `inline`. why: the reason in words, for people."""

    kind: str
    why: str


def choose(recipe: Recipe, plans: Plans, work: Work, stages: set[str]) -> Choice:
    """Where to run `work` of these stages. Raises UserError where Ray is asked for and not installed."""
    kind, installed = recipe.base.executor.kind, importlib.util.find_spec("ray") is not None
    if kind == "ray" and not installed:
        raise UserError("Ray is not installed", "pip install 'interlink[ray]', or --executor inline", 2)
    if kind != "auto":
        return Choice(kind, "as the recipe says")
    if not installed:
        return Choice("inline", "Ray is not installed")
    if recipe.base.executor.address or os.environ.get("RAY_ADDRESS"):
        return Choice("ray", "there is a cluster")
    seconds = sum(predicted(recipe, plans, work, stages).values())
    if seconds <= INLINE_SECONDS:
        return Choice("inline", f"about {max(1, round(seconds))} s of work")
    return Choice("ray", f"about {_duration(seconds)} of work on one core")


def predicted(recipe: Recipe, plans: Plans, work: Work, stages: set[str]) -> dict[str, float]:
    """Stage → seconds of one worker that are left: rows left × the stage's seconds per row.

    The seconds are measured where partitions of the same fingerprint are finished, else the stage's own estimate.
    """
    megabytes, local = _media(plans, work.partitions)
    settings = {block.name: (block.cls, block.settings) for block in recipe.blocks}
    found = {}
    for plan in plans.chosen:
        if plan.name not in stages:
            continue
        groups = work.groups(plan)
        rows = sum(count for group in groups for _, count in group)
        measured = _measured(plans, plan.name)
        cls, own = settings[plan.name]
        each = cls.expected_seconds(own, megabytes, local) if measured is None else measured
        found[plan.name] = rows * each
    return found


def _measured(plans: Plans, stage: str) -> float | None:
    plan = next(plan for plan in plans.chosen if plan.name == stage)
    seconds: list[float] = []
    folder = f"tables/{stage}/{plan.fingerprint}"
    for name in plans.workspace.storage.names(folder)[:MEASURED]:
        partition = plans.partition(plan, name)
        if "ledger.json" in plans.workspace.storage.names(partition.folder):
            seconds += [spent for _, spent in partition.ledger().values()]
    return fmean(seconds) if seconds else None


def _media(plans: Plans, partitions: Sequence[tuple[str, int]]) -> tuple[float, bool]:
    """(mean megabytes of an item, whether most are local files), from a few items of the first partitions."""
    rows = [row for name, _ in partitions[:2] for row in plans.workspace.source_rows(name).values()][:SAMPLED]
    sizes = [_size(row) for row in rows]
    local = 2 * sum(row["kind"] != "url" for row in rows) >= len(rows)
    return (fmean(sizes) if sizes else UNKNOWN_MEGABYTES), local


def _size(row: Mapping[str, str]) -> float:
    if row["kind"] != "file":
        return UNKNOWN_MEGABYTES if row["kind"] == "url" else 0.1
    try:
        return Path(row["uri"]).stat().st_size / 1e6
    except (OSError, ValueError):  # the download stage reports it
        return 0.0


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
