"""A build at a glance: the table of its stages, and its totals and rates in one line each."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from interlink.engines.ceiling import Ceiling
from interlink.report.lines import count
from interlink.report.status import StageStatus, Status
from interlink.report.visible import visible


def status_table(status: Status, width: int) -> list[Table | str]:
    """Rows by outcome for every stage; the reasons are in a last column, or in lines below where that is too wide."""
    reasons = {name: visible(", ".join(_reasons(stage))) for name, stage in status.stages.items()}
    beside, below = _counts(status), [f"{name}: {why}" for name, why in reasons.items() if why]
    beside.add_column("why", no_wrap=True)
    for why, cells in zip(reasons.values(), _cells(status), strict=True):
        beside.add_row(*cells, escape(why))
    measured = Console(width=10_000)
    if beside.__rich_measure__(measured, measured.options).maximum <= width:
        return [beside]
    table = _counts(status)
    for cells in _cells(status):
        table.add_row(*cells)
    return [table, *below]


def _counts(status: Status) -> Table:
    table = Table(title=None, box=None, pad_edge=False)
    table.add_column("stage", no_wrap=True)
    for name in ("ok", "partial", "dropped", "failed", "pending", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _cells(status: Status) -> Iterator[list[str]]:
    for name, stage in status.stages.items():
        counts = [stage.ok, stage.partial, stage.dropped, stage.failed, stage.pending]
        yield [name, *(str(number) if number else "·" for number in counts), f"{stage.seconds:.1f}"]


def _reasons(stage: StageStatus) -> list[str]:
    found = [f"{reason} {number}" for reason, number in sorted((stage.reasons + stage.errors).items())]
    return found + [f"{what}: {number}" for what, number in sorted(stage.lost.items())]


def caption_line(status: Status, ceiling: Ceiling | None) -> str:
    """How fast clips were captioned, against what the engine does by itself; empty where none were."""
    stage = status.stages.get("caption")
    if stage is None or not stage.amounts["tokens"] or not stage.seconds:
        return ""  # the transcript engine says what was said
    measured = f"caption: {rates(stage.a_second('clips'), stage.a_second('tokens'))} a worker"
    if ceiling is None:
        return f"{measured}; `interlink doctor --captioner` measures what the engine does by itself"
    share = stage.a_second("clips") / ceiling.clips_per_second
    own = rates(ceiling.clips_per_second, ceiling.tokens_per_second)
    return f"{measured}: {share:.0%} of what {ceiling.model or ceiling.engine} does by itself, {own}"


def rates(clips: float, tokens: float) -> str:
    """Both a second, in three digits."""
    shown = ((clips, "clips/s"), (tokens, "tokens/s"))
    return ", ".join(f"{rate:,.0f} {unit}" if rate >= 100 else f"{rate:.3g} {unit}" for rate, unit in shown)


def totals_line(status: Status) -> str:
    """The totals of a build in one line, with the averages that Howto-Interlink7M reports."""
    means = ""
    if status.documents and status.clips:
        per_document, per_clip = status.clips / status.documents, status.text_tokens / status.clips
        means = f" ({per_document:.1f} clips a document, {per_clip:.1f} tokens a clip)"
    totals = (
        (status.documents, "document"),
        (status.clips, "clip"),
        (status.frames, "frame"),
        (status.text_tokens, "token"),
    )
    return (
        f"{', '.join(count(number, what) for number, what in totals)}{means}; "
        f"{count(status.shards, 'shard')}, {status.bytes / 1e6:.1f} MB"
    )
