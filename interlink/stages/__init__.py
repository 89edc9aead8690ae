"""One file a stage; this module only knows their names, so that nothing heavy is imported to list them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from interlink.errors import UserError
from interlink.plugins import Group
from interlink.stage import Stage

# In the order of the pipeline. `collect` makes the generations that all others read; it is no Stage itself.
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

# What a recipe runs that names no stages: all that need neither a model nor an optional package.
DEFAULT_STAGES = ("download", "transcribe", "keyframes", "caption", "interleave", "shard")

_NAME = re.compile(r"[a-z][a-z0-9_]*")
RESERVED = ("collect", "executor", "filter", "max_failed_share", "name", "retry", "seed", "source", "stages")
BASE = "interlink.stage:Stage"
OURS = Group("", "stage", STAGES, BASE)
ENTRIES = Group("interlink.stages", "entry point in interlink.stages", {}, BASE)  # `name=entry` in a recipe names one


def implementation(name: str, entry: str = "") -> str:
    """`module:Class` of a stage, or of the entry point `entry` that stands in for it."""
    return ENTRIES.value(entry) if entry else OURS.value(name)


def stage_class(name: str, entry: str = "") -> type[Stage]:
    """The class behind a stage's name. UserError where it cannot be imported or used, naming the distribution.

    With `entry` the name may be a new one: then it is that of a new table and of a new block of the recipe.
    """
    if not entry:
        found: type[Stage] = OURS.load(name)
        return found
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise UserError(f"a stage cannot be called {name!r}", "take another name of small letters, digits and _", 2)
    found = ENTRIES.load(entry)
    found.table_schema(name)
    return found


def amounts(name: str, stage: Stage, rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """What `stage` counts in its rows (`Stage.amounts`).

    A class that stands in for one of ours and declares no amounts is counted like ours: its rows have our columns.
    """
    declares = type(stage).amounts is not Stage.amounts
    cls = type(stage) if declares or name not in STAGES else stage_class(name)
    return cls.amounts(rows)
