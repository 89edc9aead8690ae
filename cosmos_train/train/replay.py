"""Recomputes a step that the loss guard recorded: to look at it in a debugger, or after a change.

Costs that step. With the original number of processes the result is bit-equal.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cosmos_train import recipe as recipes
from cosmos_train.train import checkpoint, guard
from cosmos_train.train.guard import Report
from cosmos_train.train.parallel import world_of
from cosmos_train.train.trainer import Trainer


@dataclass(frozen=True)
class Replayed:
    """The numbers of a recorded step, then and now."""

    recorded: Report
    loss: float
    gradient_norm: float
    world: int


def replay(folder: Path, settings: Sequence[str], console: Console) -> Replayed:
    """Recomputes the step of `OUT/guard/step-…`, with `key=value` settings changed (path of the shards, precision, …).

    Writes nothing. Raises UserError if the folder is not a record, or the shards are not those of the run.
    """
    report = guard.read_report(folder)
    saved = checkpoint.load(folder)
    recipe = recipes.build(saved.recipe.model_dump(mode="json"), settings, str(saved.folder / "recipe.yaml"))
    with world_of(recipe) as world, tempfile.TemporaryDirectory() as empty:
        trainer = Trainer(recipe, Path(empty), False, console, world, start=saved.folder)
        loss, norm = trainer.replay()
        return Replayed(report, loss, norm, world.size)
