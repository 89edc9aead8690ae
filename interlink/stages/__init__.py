"""One file a stage; this module only knows their names, so that nothing heavy is imported to list them."""

from __future__ import annotations

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

OURS = Group("", "stage", STAGES)
OTHERS = Group("interlink.stages", "entry point in interlink.stages", {})  # `name=entry` in a recipe names one


def implementation(name: str, other: str = "") -> str:
    """`module:Class` of a stage, or of the entry point `other` that stands in for it."""
    return OTHERS.value(other) if other else OURS.value(name)


def stage_class(name: str, other: str = "") -> type[Stage]:
    """The class behind a stage's name. UserError where it cannot be imported, naming whose it is."""
    OURS.check(name)
    found: type[Stage] = OTHERS.load(other) if other else OURS.load(name)
    return found
