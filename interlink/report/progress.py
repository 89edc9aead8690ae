"""What a person sees while a build runs: a live table on a terminal, plain lines where the output goes into a file."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from threading import Lock
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from interlink.report.lines import print_line
from interlink.report.visible import visible
from interlink.runtime.plan import Event
from interlink.runtime.timer import Timer

NARROW = 80  # columns below which the table has no bars
BAR = 20  # characters of a bar


@dataclass
class StageProgress:
    """One stage of a running build. total: ids that may reach it; done: those with a final row, `before` of them from
    earlier runs; failures: by class or reason; since, last: times (time.monotonic) of its first and last row."""

    total: int = 0
    done: int = 0
    before: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    since: float | None = None
    last: float = 0.0

    def rate(self, now: float) -> float:
        """Rows per second since the stage began, or over its whole time once it is finished; 0 if unknown."""
        made = self.done - self.before
        if self.since is None or made <= 0:
            return 0.0
        end = self.last if self.finished else now
        return made / max(end - self.since, 1e-3)

    def seconds_left(self, now: float) -> float | None:
        """None if unknown."""
        rate = self.rate(now)
        return (self.total - self.done) / rate if rate and not self.finished else None

    @property
    def finished(self) -> bool:
        return self.done >= self.total


class BuildProgress:
    """A context manager; pass `report` to Build.run. On a terminal it draws a live table, elsewhere it prints lines."""

    LINE_EVERY = 10.0  # seconds, where there is no terminal
    DRAW_EVERY = 0.25  # seconds, on a terminal

    def __init__(self, console: Console) -> None:
        self.console = console
        self.stages: dict[str, StageProgress] = {}
        self._lock = Lock()
        self._began = time.monotonic()
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._timer = Timer(self._tick)
        self._said: dict[str, tuple[int, int]] = {}  # stage -> what its last line said

    def __enter__(self) -> BuildProgress:
        if self._live is not None:
            self._live.start()
        self._timer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.__exit__(kind, value, trace)
        if self._live is not None:
            self._live.stop()
        elif kind is None:
            self._print_lines()

    def report(self, event: Event) -> None:
        """Takes in one event; thread-safe."""
        if event.kind == "note":
            print_line(self.console, visible(event.text))
            return
        now = time.monotonic()
        with self._lock:
            stage = self.stages.setdefault(event.stage, StageProgress())
            if event.kind == "expect":
                stage.total += event.count
                return
            if event.kind == "open":
                stage.total += event.count - event.admitted
                stage.done += event.done
                stage.before += event.done
                stage.since = now if stage.since is None and event.admitted else stage.since
                return
            stage.done += event.count
            stage.since, stage.last = stage.since or now, now
            if event.status != "ok":
                stage.failures[event.error_class or event.status] += event.count

    def _tick(self) -> float:
        if self._live is None:
            if self.stages:
                self._print_lines()
                return self.LINE_EVERY
            return self.DRAW_EVERY  # the first lines come with the first stage
        with self._lock:
            table = progress_table(self.stages, time.monotonic(), self.console.width)
        self._live.update(table, refresh=True)
        return self.DRAW_EVERY

    def _print_lines(self) -> None:
        """A line for each stage that has changed since its last line."""
        now = time.monotonic()
        with self._lock:
            lines = []
            for name, stage in self.stages.items():
                state = (stage.done, stage.total)
                if stage.total and self._said.get(name) != state:
                    self._said[name] = state
                    lines.append(progress_line(name, stage, now, now - self._began))
        for line in lines:
            print_line(self.console, line)


def progress_line(name: str, stage: StageProgress, now: float, elapsed: float) -> str:
    """One stage in one line: seconds since the start, rows done, rate, time left, failures by class."""
    parts = [f"{elapsed:5.0f} s", f"{name:<11}", f"{stage.done}/{stage.total}"]
    if rate := stage.rate(now):
        parts.append(rate_text(rate))
    left = stage.seconds_left(now)
    if left is not None:
        parts.append(f"{duration(left)} left")
    parts += [f"{what} {count}" for what, count in sorted(stage.failures.items())]
    return "  ".join(parts)


def progress_table(stages: dict[str, StageProgress], now: float, width: int) -> Table:
    """A row per stage, readable from 60 columns on. The stage with the most time left is marked as the slowest."""
    narrow = width < NARROW
    table = Table(box=None, pad_edge=False)
    table.add_column("stage", no_wrap=True)
    if not narrow:
        table.add_column("", width=BAR, no_wrap=True)
    for name in ("done", "rate", "left"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    times = {name: stage.seconds_left(now) or 0.0 for name, stage in stages.items()}
    slowest = max(times, key=lambda name: times[name], default="")
    for name, stage in stages.items():
        if not stage.total:
            continue
        rate, left = stage.rate(now), stage.seconds_left(now)
        failures = ", ".join(f"{what} {count}" for what, count in sorted(stage.failures.items()))
        mark = "slowest" if name == slowest and times[name] > 0 else ""
        cells = [
            f"{stage.done}/{stage.total}",
            rate_text(rate) if rate else "–",
            "done" if stage.finished else duration(left) if left is not None else "–",
            ", ".join(
                filter(None, (f"[yellow]{escape(failures)}[/]" if failures else "", f"[dim]{mark}[/]" if mark else ""))
            ),
        ]
        table.add_row(name, *([] if narrow else [_bar(stage)]), *cells)
    return table


def _bar(stage: StageProgress) -> str:
    full = round(BAR * min(1.0, stage.done / max(1, stage.total)))
    return f"[cyan]{'━' * full}[/][dim]{'─' * (BAR - full)}[/]"


def rate_text(rate: float) -> str:
    """Rows per second, per minute or per hour: the largest unit that gives at least one."""
    for unit, per in (("s", 1), ("min", 60)):
        if rate * per >= 1:
            return f"{rate * per:.1f}/{unit}"
    return f"{rate * 3600:.1f}/h"


def duration(seconds: float) -> str:
    """Rounded to two places: `45 s`, `3 min`, `2 h 10 min`, `3 d 4 h`."""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 60:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if hours < 48:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"
