"""The stages, one file each. This module only holds their names, so that listing them imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from interlink.errors import UserError
from interlink.plugins import Group
from interlink.stage import Stage

# In the order of the pipeline. `collect` makes the generations that all stages read; it is not a Stage.
STAGES: dict[str, str] = {
    "download": "interlink.stages.download:Download",
    "annotations": "interlink.stages.annotations:Annotations",
    "transcribe": "interlink.stages.transcribe:Transcribe",
    "keyframes": "interlink.stages.keyframes:Keyframes",
    "align": "interlink.stages.align:Align",
    "ocr": "interlink.stages.ocr:Ocr",
    "regions": "interlink.stages.regions:Regions",
    "caption": "interlink.stages.caption:Caption",
    "narrate": "interlink.stages.narrate:Narrate",
    "score": "interlink.stages.score:Score",
    "sketch": "interlink.stages.sketch:Sketch",
    "select": "interlink.stages.select:Select",
    "interleave": "interlink.stages.interleave:Interleave",
    "shard": "interlink.stages.shard:Shard",
}

# The stages of a recipe that names none: those that need neither a model nor an optional package.
DEFAULT_STAGES = ("download", "transcribe", "keyframes", "caption", "interleave", "shard")

_NAME = re.compile(r"[a-z][a-z0-9_]*")
RESERVED = ("collect", "executor", "filter", "max_failed_share", "name", "retry", "seed", "source", "stages")
BASE = "interlink.stage:Stage"
OURS = Group("", "stage", STAGES, BASE)
ENTRIES = Group("interlink.stages", "entry point in interlink.stages", {}, BASE)  # for `name=entry` in a recipe


def implementation(name: str, entry: str = "") -> str:
    """`module:Class` of a stage, or of the entry point `entry` that replaces it."""
    return ENTRIES.value(entry) if entry else OURS.value(name)


def stage_class(name: str, entry: str = "") -> type[Stage]:
    """The class of a stage. Raises UserError, with the distribution, where it cannot be imported or used.

    With `entry` the name may be new: it then names a new table and a new block of the recipe.
    """
    if not entry:
        found: type[Stage] = OURS.load(name)
        return found
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise UserError(f"a stage cannot be called {name!r}", "choose a name of lowercase letters, digits and _", 2)
    found = ENTRIES.load(entry)
    found.table_schema(name)
    return found


def amounts(name: str, stage: Stage, rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The amounts of `stage` (`Stage.amounts`), which makes the table `name`.

    A class that replaces a built-in stage and declares no amounts is counted like that stage: its rows have the same
    columns.
    """
    declares = type(stage).amounts is not Stage.amounts
    cls = type(stage) if declares or name not in STAGES else stage_class(name)
    return cls.amounts(rows)
