"""The next step for a build whose items end without text: what is missing, and the command that adds it."""

from __future__ import annotations

from interlink.recipe import Recipe
from interlink.report.status import Status

MOST = 0.5  # share of the items that interleave dropped as `no_text` from which advice is given


def advice(recipe: Recipe, status: Status) -> str:
    """One line with the remedy, or empty: given where at least half of the finished videos have no text."""
    stage = status.stages.get("interleave")
    if stage is None:
        return ""
    silent, finished = stage.reasons["no_text"], stage.ok + stage.dropped
    if not silent or silent < MOST * finished:
        return ""
    remedies = []
    if _reads(recipe, "transcribe", "recogniser", "none"):
        remedies.append(
            "recognise speech: --set transcribe.recogniser=faster-whisper --set transcribe.speech.model=small"
        )
    if _reads(recipe, "caption", "engine", "transcript"):
        remedies.append(
            "caption the pictures: --set caption.engine=transformers --set caption.transformers.model=HUB_ID, or "
            "--set caption.engine=openai --set caption.openai.base_url=URL --set caption.openai.model=NAME"
        )
    what = f"{silent} of {finished} videos have no text"
    return f"{what}; {'; or '.join(remedies)}" if remedies else f"{what}; `interlink status --rows` lists them"


def _reads(recipe: Recipe, stage: str, key: str, value: str) -> bool:
    """Whether a stage of the recipe has this value."""
    block = next((block for block in recipe.blocks if block.name == stage), None)
    return block is not None and bool(getattr(block.settings, key, None) == value)
