"""select: one decision a video for what concerns the whole build: near-duplicates, balance, selection.

The reduce and the join of map, reduce and join: it is given all sketches at once, in the build's order, and its rows
are per partition again. Only sketches are read and held.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from interlink.select.decide import decide
from interlink.select.settings import SelectSettings
from interlink.settings import Settings
from interlink.stage import Item, Row, Stage


class Select(Stage):
    """Which videos stay. The schema is tables.SELECT."""

    name: ClassVar[str] = "select"
    version: ClassVar[int] = 1
    scope: ClassVar[Literal["item", "run", "build"]] = "build"
    settings_class: ClassVar[type[Settings]] = SelectSettings

    @staticmethod
    def needs(settings: SelectSettings) -> tuple[str, ...]:
        return ("sketch",)

    def run(self, items: Iterator[Item]) -> Iterator[Row]:
        """Rows come at the end, in order. A dropped video's row says by what it was decided."""
        videos: list[tuple[str, Any]] = [(item.id, item.rows["sketch"]) for item in items]
        for decision in decide(videos, self.settings, self.context.seed):
            status = "ok" if decision.kept else "dropped"
            yield Row(decision.id, decision.fields, status, reason=decision.reason, message=decision.message)
