"""The funnel from the summaries alone: what is shown while a catalogue is being made. Costs a small read per
partition and stage."""

from __future__ import annotations

from collections import Counter

from interlink.report.view.funnel import Stage, Stop
from interlink.report.view.tables import Tables
from interlink.runtime.workspace import Workspace


def quick_funnel(workspace: Workspace) -> list[Stage]:
    """The stages with the rows of all finished partitions; what is open counts as pending."""
    lock = workspace.lock()
    if lock is None:
        return []
    tables = Tables.of(workspace, lock)
    partitions = workspace.partitions()
    total = sum(count for _, count in partitions)
    counts = {block.name: Counter[str]() for block in tables.blocks}
    stops = {block.name: Counter[tuple[str, str]]() for block in tables.blocks}
    for name, count in partitions:
        summaries = tables.summaries(name)
        for stage, summary in summaries.items():
            counts[stage].update(summary.counts)
            stops[stage].update({("dropped", why): n for why, n in summary.reasons.items()})
            stops[stage].update({("failed", why): n for why, n in summary.errors.items()})
        for stage in counts.keys() - summaries.keys():
            counts[stage]["pending"] += count
    found = [Stage("collect", total, 0, 0, 0, 0)]
    for stage, numbers in counts.items():
        outcomes = (numbers[name] for name in ("ok", "dropped", "failed", "pending", "partial"))
        ok, dropped, failed, pending, partial = outcomes
        shown = tuple(Stop(outcome, why, n) for (outcome, why), n in sorted(stops[stage].items()))
        found.append(Stage(stage, ok, dropped, failed, pending, partial, shown))
    return found
