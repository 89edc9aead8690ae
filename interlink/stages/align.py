"""align: estimates by how much speech precedes or follows the picture. Costs about a millisecond per clip.

It only estimates the shift. `interleave.lead: correct` applies it.
"""

from __future__ import annotations

from typing import ClassVar

from interlink.settings import Settings
from interlink.stage import Item, PerItem, Resources, Row
from interlink.subtitles.lead import estimate


class AlignSettings(Settings):
    """The stage has no settings."""


class Align(PerItem):
    """One row per video. The schema is tables.ALIGN."""

    name: ClassVar[str] = "align"
    settings_class: ClassVar[type[Settings]] = AlignSettings

    @staticmethod
    def needs(settings: AlignSettings) -> tuple[str, ...]:
        return ("transcribe", "keyframes")

    @staticmethod
    def resources(settings: AlignSettings) -> Resources:
        return Resources(cpus=0.25)

    def process(self, item: Item) -> Row:
        onsets = sorted(sentence["start"] for sentence in item.rows["transcribe"]["sentences"])
        changes = sorted(clip["start"] for clip in item.rows["keyframes"]["clips"])[
            1:
        ]  # the first clip begins without a change
        found = estimate(onsets, changes)
        fields = {
            "lead": found.lead,
            "confidence": found.confidence,
            "onsets": found.onsets,
            "changes": found.changes,
        }
        return Row(item.id, fields)
