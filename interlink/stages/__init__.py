"""One file a stage; this module only knows their names, so that nothing heavy is imported to list them."""

from __future__ import annotations

import difflib
from importlib import import_module, metadata

from interlink.errors import UserError
from interlink.stage import Stage

# In the order of the pipeline. `collect` makes the generations that all others read; it is no Stage itself.
STAGES: dict[str, str] = {
    "download": "interlink.stages.download:Download",
    "transcribe": "interlink.stages.transcribe:Transcribe",
    "keyframes": "interlink.stages.keyframes:Keyframes",
    "align": "interlink.stages.align:Align",
    "ocr": "interlink.stages.ocr:Ocr",
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

ENTRY_POINTS = "interlink.stages"  # the group under which other packages offer implementations


def implementation(name: str, other: str = "") -> str:
    """`module:Class` of a stage, or of the entry point `other` that stands in for it."""
    if not other:
        return _choose("stage", name, STAGES)
    offered = {entry.name: entry.value for entry in metadata.entry_points(group=ENTRY_POINTS)}
    return _choose(f"entry point in {ENTRY_POINTS}", other, offered)


def stage_class(name: str, other: str = "") -> type[Stage]:
    """The class behind a stage's name."""
    module, _, attribute = implementation(name, other).partition(":")
    try:
        found: type[Stage] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"stage {other or name} cannot be imported: {error}", "install what it needs", 2) from error
    return found


def _choose(kind: str, name: str, offered: dict[str, str]) -> str:
    if name not in offered:
        near = difflib.get_close_matches(name, offered, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(offered) or 'none'}"
        raise UserError(f"there is no {kind} {name!r}", hint, code=2)
    return offered[name]
