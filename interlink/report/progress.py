"""What a person sees while a build runs: a line per stage with rate and time left, and a table at the end."""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from interlink.engines.ceiling import Ceiling
from interlink.report.status import Status
from interlink.report.visible import visible
from interlink.runtime.plan import Event


class RateColumn(ProgressColumn):
    """Items per second or per minute since the stage's first row."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("–", style="dim")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{speed * 60:.1f}/min", style="cyan")


class BuildProgress:
    """A context manager; pass `report` to Build.run. On a terminal it draws bars, elsewhere it prints lines."""

    LINE_EVERY = 10.0  # seconds, where there is no terminal

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description:<11}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            RateColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[trouble]}"),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=120,
        )
        self._tasks: dict[str, int] = {}
        self._totals: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._trouble: dict[str, Counter[str]] = {}
        self._lock = threading.Lock()
        self._began = self._spoke = time.monotonic()

    def __enter__(self) -> BuildProgress:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def report(self, event: Event) -> None:
        with self._lock:
            stage = event.stage
            trouble = self._trouble.setdefault(stage, Counter())
            if event.kind == "expect":
                self._totals[stage] += event.count
            elif event.kind == "open":
                self._totals[stage] += event.count - event.admitted
                self._done[stage] += event.done
            else:
                self._done[stage] += event.count
                if event.status != "ok":
                    trouble[event.error_class or event.status] += event.count
            counts = " ".join(f"{name} {count}" for name, count in sorted(trouble.items()))
            if stage not in self._tasks:
                self._tasks[stage] = self.progress.add_task(stage, total=0, trouble="")
            self.progress.update(
                self._tasks[stage],  # type: ignore[arg-type]
                total=self._totals[stage],
                completed=self._done[stage],
                trouble=f"[yellow]{counts}[/]",
            )
            self._say()

    def _say(self) -> None:
        now = time.monotonic()
        if self.console.is_terminal or now - self._spoke < self.LINE_EVERY:
            return
        self._spoke = now
        counts = "  ".join(f"{stage} {self._done[stage]}/{self._totals[stage]}" for stage in self._tasks)
        self.console.print(f"{now - self._began:5.0f} s  {counts}", highlight=False)


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


def totals_line(status: Status) -> str:
    """The totals of a build in one line, with the averages that Howto-Interlink7M reports."""
    means = ""
    if status.documents and status.clips:
        per_document, per_clip = status.clips / status.documents, status.text_tokens / status.clips
        means = f" ({per_document:.1f} clips a document, {per_clip:.1f} tokens a clip)"
    return (
        f"{status.documents} documents, {status.clips} clips, {status.frames} frames, {status.text_tokens} tokens"
        f"{means}; {status.shards} shards, {status.bytes / 1e6:.1f} MB"
    )
