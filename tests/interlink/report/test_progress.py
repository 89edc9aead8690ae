"""What a running build prints: a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from interlink.report.progress import BuildProgress, StageProgress, duration, progress_line, progress_table, rate_text
from interlink.runtime.plan import Event


def shown(stages: dict[str, StageProgress], width: int, now: float = 100.0) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(progress_table(stages, now, width))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


@pytest.fixture
def stages() -> dict[str, StageProgress]:
    """download done; keyframes at 10 of 40 after 20 s; caption not begun."""
    keyframes = StageProgress(40, 10, 0, since=80.0, last=99.0)
    keyframes.failures["unreadable"] = 2
    return {
        "download": StageProgress(40, 40, 0, since=50.0, last=60.0),
        "keyframes": keyframes,
        "caption": StageProgress(40, 0),
    }


def test_a_wide_terminal_gets_bars_rates_times_and_failures(stages: dict[str, StageProgress]) -> None:
    lines = shown(stages, 100)
    assert lines[0].split() == ["stage", "done", "rate", "left"]
    assert lines[1].split() == ["download", "━" * 20, "40/40", "4.0/s", "done"]
    assert lines[2].split() == [
        "keyframes", "━" * 5 + "─" * 15, "10/40", "30.0/min", "1", "min", "unreadable", "2,", "slowest",
    ]  # fmt: skip
    assert lines[3].split() == ["caption", "─" * 20, "0/40", "–", "–"]


def test_sixty_columns_are_enough(stages: dict[str, StageProgress]) -> None:
    lines = shown(stages, 60)
    assert len(lines) == 4 and max(map(len, lines)) <= 60
    assert lines[2].split() == ["keyframes", "10/40", "30.0/min", "1", "min", "unreadable", "2,", "slowest"]


def test_rates_leave_out_what_an_earlier_run_did() -> None:
    stage = StageProgress(total=100, done=60, before=50, since=90.0, last=100.0)
    assert stage.rate(100.0) == 1.0
    assert stage.seconds_left(100.0) == 40.0
    assert StageProgress(10, 5, 5, since=90.0).rate(100.0) == 0.0
    assert StageProgress(10, 10, 0, since=90.0, last=95.0).rate(1000.0) == 2.0


def test_a_line_says_what_the_table_says() -> None:
    stage = StageProgress(40, 10, since=80.0, last=99.0)
    stage.failures.update({"unreadable": 2, "dropped": 1})
    assert progress_line("keyframes", stage, 100.0, 12.0) == (
        "   12 s  keyframes    10/40  30.0/min  1 min left  dropped 1  unreadable 2"
    )
    assert progress_line("shard", StageProgress(4), 100.0, 0.0) == "    0 s  shard        0/4"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3540, "59 min"), (7800, "2 h 10 min"), (190_000, "2 d 5 h")],
)
def test_durations_are_rounded_to_what_a_person_needs(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("rate", "text"), [(12.34, "12.3/s"), (1.0, "1.0/s"), (0.5, "30.0/min"), (0.01, "36.0/h")])
def test_rates_have_the_largest_unit_that_gives_one(rate: float, text: str) -> None:
    assert rate_text(rate) == text


def test_without_a_terminal_each_stage_gets_plain_lines_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BuildProgress, "LINE_EVERY", 0.05)
    monkeypatch.setattr(BuildProgress, "DRAW_EVERY", 0.01)
    out = io.StringIO()
    with BuildProgress(Console(file=out, width=40)) as progress:
        progress.report(Event("", "note", text="executor: inline (about 3 s of work), and so on beyond forty columns"))
        progress.report(Event("download", "expect", 3))
        progress.report(Event("download", "open", 2, 0, admitted=3))
        time.sleep(0.2)
        progress.report(Event("download", "row", status="ok"))
        progress.report(Event("download", "row", status="failed", error_class="gone"))
        time.sleep(0.2)
    lines = out.getvalue().splitlines()
    assert lines[0].endswith("beyond forty columns")  # not wrapped
    assert [line.split()[3] for line in lines[1:]] == ["0/2", "2/2"]
    assert lines[-1].endswith("gone 1")
    assert all("\x1b" not in line for line in lines)


def test_a_terminal_is_redrawn_and_left_clean() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    with BuildProgress(console) as progress:
        progress.report(Event("download", "expect", 3))
        time.sleep(0.6)
    assert "0/3" in out.getvalue()
