"""What the commands print about a build: its status, its rows that are not ok, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rich.console import Console

from interlink.fetch.counts import described
from interlink.report.excluded import excluded_line
from interlink.report.lines import count, print_line
from interlink.report.progress import duration
from interlink.report.status import Status, Trouble
from interlink.report.summary import status_table
from interlink.report.visible import visible, visible_json
from interlink.runtime.planning import Redo


def print_status(console: Console, status: Status, troubles: Iterable[Trouble]) -> None:
    """A row a stage; the first bug in full, so that it can be reported."""
    for part in status_table(status, console.width):
        if isinstance(part, str):
            print_line(console, part)
        else:
            console.print(part)
    if status.source:
        print_line(console, described(status.source))
    if line := excluded_line(status.excluded):
        print_line(console, visible(line))
    if status.unclaimed.files:
        print_line(
            console,
            f"subtitle files that belong to no item: {status.unclaimed.files}, such as {status.unclaimed.example}; "
            "name them <video's name>.<language>.<suffix>",
        )
    if any(stage.errors["bug"] for stage in status.stages.values()):
        first = next(trouble for trouble in troubles if trouble.why == "bug")
        console.print(f"[red]bug[/] in {first.stage}, item {first.id}:", highlight=False)
        console.print(visible(first.message, keep="\n"), markup=False, highlight=False)


def redo_text(redo: Iterable[Redo]) -> str:
    """The rows and seconds of work at stake, by stage."""
    return ", ".join(f"{one.stage} ({count(one.rows, 'row')}, {duration(one.seconds)} of work)" for one in redo)


def print_troubles(console: Console, troubles: Iterable[Trouble]) -> None:
    """A line a row that failed, was dropped or is partial: the first line of its message."""
    for one in troubles:
        message = visible(one.message.split("\n")[0])
        outcome = " ".join(filter(None, (one.outcome, one.why)))
        print_line(console, f"{one.stage:<11} {visible(one.id)}  {visible(outcome)}: {message}")


def print_json(data: Any) -> None:
    print(visible_json(json.dumps(data, indent=1, ensure_ascii=False)))


def troubles_json(troubles: Iterable[Trouble]) -> list[dict[str, Any]]:
    return [asdict(trouble) for trouble in troubles]
