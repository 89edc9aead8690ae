"""The probe of a run in training: its held-out clips, read once, and what the model makes of them now.

Every process asks the same of the same clips, because sharded weights want all of them; one writes it down.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from cosmos_train.evaluate.probe import Probe
from cosmos_train.evaluate.slots import SAMPLE_WORLD, load_slots
from cosmos_train.evaluate.subject import Subject
from cosmos_train.models.cosmo import CosMo
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer


class Watch:
    def __init__(self, recipe: Recipe, tokenizer: Tokenizer) -> None:
        """Raises UserError where the recipe's probe has no shards or clips it can be asked about."""
        self.recipe = recipe
        self.tokenizer = tokenizer
        settings = recipe.probe
        self.probe: Probe | None = None
        if settings.every:
            _, first = recipe.data.named()[0]  # how samples of a mixture are cut does not matter to single clips
            data = first.model_copy(update={"shards": settings.shards})
            table = load_slots(Path(settings.slots) if settings.slots else SAMPLE_WORLD)
            self.probe = Probe(data, tokenizer, table, settings.clips)

    def due(self, step: int) -> bool:
        every = self.recipe.probe.every
        return bool(every) and (step % every == 0 or step == self.recipe.train.steps)

    def numbers(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """The scores, as metrics: probe/object, probe/object_shuffled, probe/object_chance, …, probe/retrieval."""
        assert self.probe is not None and isinstance(model, CosMo)  # a recipe of another kind has no probe
        settings = self.recipe.probe
        subject = Subject(model, self.tokenizer, self.recipe, device)
        return self.probe.ask(subject, settings.max_tokens, settings.candidates, settings.draws).numbers()
