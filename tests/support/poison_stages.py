"""The real keyframes stage, with items that bring native code to grief: what their file is called says how."""

from __future__ import annotations

import os
from pathlib import Path

from interlink.stage import Item, Row
from interlink.stages.keyframes import Keyframes
from toy_stages import misbehave


class PoisonKeyframes(Keyframes):
    """Keyframes whose items may be poison."""

    def deadline(self, item: Item) -> float:
        return 5.0 if item.id.startswith("hang") else super().deadline(item)

    def process(self, item: Item) -> Row:
        misbehave(item.id)
        return super().process(item)


class JournalKeyframes(Keyframes):
    """Keyframes that write down each id they work on."""

    def process(self, item: Item) -> Row:
        with Path(os.environ["JOURNAL"]).open("a") as journal:
            journal.write(f"{item.id}\n")
        return super().process(item)
