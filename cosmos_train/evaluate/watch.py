"""The probe of a run in training: reads its held-out clips once, and scores the current model on them.

Every process runs the same probe, because sharded weights need all of them; one process logs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from cosmos_train import recipe as recipes
from cosmos_train.evaluate.functions import Ask, MakeProbe, Probed, resolve
from cosmos_train.evaluate.slots import SAMPLE_WORLD, load_slots
from cosmos_train.families.base import Trained
from cosmos_train.families.registry import family_of
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train.parallel import device_of
from cosmos_train.train.starting import load_any


class Watch:
    def __init__(self, recipe: Recipe, tokenizer: Tokenizer) -> None:
        """Raises UserError if the recipe's probe has no shards or no usable clips."""
        self.recipe = recipe
        self._ask: Ask | None = None
        settings = recipe.probe
        if settings.every:
            _, first = recipe.data.named()[0]  # the cutting of samples in a mixture has no effect on single clips
            data = first.model_copy(update={"shards": settings.shards})
            table = load_slots(Path(settings.slots) if settings.slots else SAMPLE_WORLD)
            make: MakeProbe = resolve(family_of(recipe).evaluation.probe)
            self._ask = make(recipe, data, tokenizer, table)

    def due(self, step: int) -> bool:
        every = self.recipe.probe.every
        return bool(every) and (step % every == 0 or step == self.recipe.train.steps)

    def ask(self, model: nn.Module, device: torch.device) -> Probed:
        """The scores, as metrics (probe/colour, probe/colour_shuffled, probe/colour_chance, …), and some captions."""
        assert self._ask is not None
        found = self._ask(model, device)
        return found if isinstance(found, Probed) else Probed(found)


def ask_once(
    path: Path, settings: Sequence[str], slots: Path | None, clips: int, candidates: int, draws: int
) -> tuple[Trained, dict[str, float]]:
    """A trained model and the scores of its run's probe at `path`, on the shards in `settings` (`data.shards=…`).

    Linear probes (probe.fit) are fitted on its training shards.
    """
    trained, model = load_any(path)
    learned = trained.recipe.data
    recipe = recipes.build(trained.recipe.model_dump(), list(settings), str(trained.folder))
    _, heldout = recipe.data.named()[0]
    asked = {"every": 1, "shards": heldout.shards, "clips": clips, "candidates": candidates, "draws": draws}
    probe = recipe.probe.model_copy(update=asked | ({"slots": str(slots)} if slots else {}))
    if recipe.train.threads:
        torch.set_num_threads(recipe.train.threads)
    device = device_of(recipe)
    watch = Watch(recipe.model_copy(update={"probe": probe, "data": learned}), trained.tokenizer)
    return trained, watch.ask(model.to(device), device).numbers
