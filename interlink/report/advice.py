"""The next step for a build whose items end without text: what is missing, and the command that adds it."""

from __future__ import annotations

from interlink.recipe import Recipe
from interlink.report.lines import count
from interlink.report.status import Status

MOST = 0.5  # share of the items that interleave dropped as `no_text` from which advice is given


def advice(recipe: Recipe, status: Status) -> str:
    """One line with the remedy, or empty: given where at least half of the finished videos have no text."""
    if (listed := status.stages.get("annotations")) and listed.reasons["not_annotated"] > listed.ok:
        return (
            f"{listed.reasons['not_annotated']} items have no text in the columns or files that annotations reads; "
            "`interlink status ROOT --rows` names the columns that are there: --set 'annotations.clips.columns=[NAME]'"
        )
    stage = status.stages.get("interleave")
    if stage is None:
        return ""
    silent, finished = stage.reasons["no_text"], stage.ok + stage.dropped
    if not silent or silent < MOST * finished:
        return ""
    what, options = (
        f"{silent} of {count(finished, 'video')} {'has' if silent == 1 else 'have'} no text",
        remedies(recipe),
    )
    return f"{what}; {'; or '.join(options)}" if options else f"{what}; `interlink status ROOT --rows` lists them"


def remedies(recipe: Recipe, speech: bool = True) -> list[str]:
    """What adds text to videos without subtitles, with the settings to add. speech: whether somebody speaks in them."""
    found = []
    if speech and _reads(recipe, "transcribe", "recogniser", "none"):
        found.append("recognise speech: --set transcribe.recogniser=faster-whisper --set transcribe.speech.model=small")
    if _reads(recipe, "caption", "engine", "transcript"):
        found.append(
            "caption the pictures: --set caption.engine=transformers --set caption.transformers.model=HUB_ID, or "
            "--set caption.engine=openai --set caption.openai.base_url=URL --set caption.openai.model=NAME"
        )
    return found


def _reads(recipe: Recipe, stage: str, key: str, value: str) -> bool:
    """Whether a stage of the recipe has this value."""
    block = next((block for block in recipe.blocks if block.name == stage), None)
    return block is not None and bool(getattr(block.settings, key, None) == value)
