"""align: by how much the words of a video go before its picture, or follow it. About a millisecond a clip.

It only says so: no stage shifts words by it. Filter on `confidence`, or shift in a stage of your own.
"""

from __future__ import annotations

from typing import ClassVar

from interlink.settings import Settings
from interlink.stage import Item, PerItem, Resources, Row
from interlink.subtitles.lead import estimate


class AlignSettings(Settings):
    """Nothing to choose."""


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
        changes = sorted(clip["start"] for clip in item.rows["keyframes"]["clips"])[1:]  # the first is no change
        found = estimate(onsets, changes)
        fields = {
            "lead": found.lead,
            "confidence": found.confidence,
            "onsets": found.onsets,
            "changes": found.changes,
        }
        return Row(item.id, fields)
