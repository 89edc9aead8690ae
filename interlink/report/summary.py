"""A build at a glance: the table of its stages, and its totals and rates in one line each."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from interlink.engines.ceiling import Ceiling
from interlink.report.status import Status
from interlink.report.visible import visible


def status_table(status: Status) -> Table:
    """Rows by outcome for every stage, errors counted by class."""
    table = Table(title=None, box=None, pad_edge=False)
    for name, justify in (("stage", "left"), ("ok", "right"), ("partial", "right"), ("dropped", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name in ("failed", "pending", "seconds"):
        table.add_column(name, justify="right")
    table.add_column("why", justify="left")
    for name, stage in status.stages.items():
        why = [f"{reason} {count}" for reason, count in sorted((stage.reasons + stage.errors).items())]
        why += [f"{what}: {count}" for what, count in sorted(stage.lost.items())]
        cells = [stage.ok, stage.partial, stage.dropped, stage.failed, stage.pending]
        table.add_row(
            name, *(str(c) if c else "·" for c in cells), f"{stage.seconds:.1f}", escape(visible(", ".join(why)))
        )
    return table


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


def count(number: int, what: str) -> str:
    """`1 document`, `2 documents`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


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
