"""select: one decision per video over the whole build: near-duplicates, balance, selection.

The reduce and join steps after sketch: it gets all sketches at once, in the build's order, and returns rows per
partition. Reads and holds only sketches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from interlink.select.decide import decide
from interlink.select.settings import SelectSettings
from interlink.settings import Settings
from interlink.stage import Context, Item, Row, Stage


class Select(Stage):
    """Decides which videos stay. The schema is tables.SELECT."""

    name: ClassVar[str] = "select"
    version: ClassVar[int] = 1
    scope: ClassVar[Literal["item", "run", "build"]] = "build"
    settings_class: ClassVar[type[Settings]] = SelectSettings

    @staticmethod
    def needs(settings: SelectSettings) -> tuple[str, ...]:
        return ("sketch",)

    @staticmethod
    def check(settings: SelectSettings, context: Context) -> None:
        if settings.evaluation_sets:
            from interlink.select.evaluation import Benchmarks

            Benchmarks.load(settings.evaluation_sets)

    def run(self, items: Iterator[Item]) -> Iterator[Row]:
        """Yields all rows at the end, in order. The row of a dropped video holds the basis of the decision."""
        videos: list[tuple[str, Any]] = [(item.id, item.rows["sketch"]) for item in items]
        for decision in decide(videos, self.settings, self.context.seed):
            status = "ok" if decision.kept else "dropped"
            yield Row(decision.id, decision.fields, status, reason=decision.reason, message=decision.message)
