"""What a build does about `source.exclude_ids`: stores the file's content, and readmits what it no longer names.

Excluding costs a run of `interleave` and `shard`; nothing before them is computed again. A video that was not fetched
yet is not fetched: its row of `download` is dropped as `excluded`, and opened again once the file no longer names it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from interlink.errors import UserError
from interlink.recipe import Recipe
from interlink.runtime.planning import partition_of
from interlink.runtime.workspace import Workspace
from interlink.select.excluded import REASON, Excluded

_STAGES = ("download", "interleave")
_FIELD = "excluded"  # of their settings
_NEAR_AMONG = 20_000  # items; among more, the nearest names take too long to find


def exclude(workspace: Workspace, recipe: Recipe) -> Recipe:
    """The recipe with what its file of ids names at this moment. Raises UserError where the file cannot be used."""
    path = recipe.base.source.exclude_ids
    digest = Excluded.read(path).store(workspace.storage) if path else ""
    for block in recipe.blocks:
        if block.name not in _STAGES:
            continue
        if _FIELD in type(block.settings).model_fields:
            recipe = recipe.with_settings(block.name, **{_FIELD: digest})
        elif digest:
            raise UserError(
                f"the stage {block.name} of {block.implementation} cannot exclude ids",
                f"give its settings a field `{_FIELD}`, or leave source.exclude_ids empty",
                2,
            )
    return recipe


def readmit(
    workspace: Workspace, recipe: Recipe, old: Mapping[str, Any], prints: Mapping[str, str], epoch: int
) -> None:
    """Opens the rows of `download` that an earlier file excluded and this one does not.

    old: the recipe in the lock. Costs a small read a partition where the file's content has changed.
    """
    before, now = (old.get("download") or {}).get(_FIELD), _digest(recipe, "download")
    if not before or before == now:
        return
    block = next(block for block in recipe.blocks if block.name == "download")
    excluded = Excluded.load(workspace.storage, now)
    for name, _ in workspace.partitions():
        partition = partition_of(workspace, block, prints[block.name], name)
        summary = partition.summary()
        if summary is not None and not summary.reasons.get(REASON):
            continue
        dropped = [key for key, entry in partition.load().entries.items() if entry.row["reason"] == REASON]
        source = workspace.source_rows(name) if dropped else {}
        if again := [key for key in dropped if not excluded.has(key, source[key])]:
            partition.reopen(epoch, again)


def unknown(workspace: Workspace, recipe: Recipe) -> list[str]:
    """Names of the file that no item has, each with the nearest name that one has. Costs three columns of every
    generation."""
    digest = _digest(recipe, "interleave") or _digest(recipe, "download")
    if not digest:
        return []
    rows = list(workspace.source_columns(["id", "video_id", "path"]))
    missing = Excluded.load(workspace.storage, digest).unknown(rows)
    known = {name for row in rows for name in row.values() if name} if missing and len(rows) <= _NEAR_AMONG else set()
    return [_with_nearest(name, known) for name in missing]


def _digest(recipe: Recipe, stage: str) -> str:
    """Of the file that the stage's settings name; empty where there is none."""
    return next((str(b.settings.model_dump().get(_FIELD, "")) for b in recipe.blocks if b.name == stage), "")


def _with_nearest(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"{name} (did you mean {near[0]}?)" if near else name
