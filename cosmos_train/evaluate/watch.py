"""The probe of a run in training: its held-out clips, read once, and what the model makes of them now.

Every process asks the same of the same clips, because sharded weights want all of them; one writes it down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cosmos_train import recipe as recipes
from cosmos_train.evaluate.slots import SAMPLE_WORLD, load_slots
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train import checkpoint, export
from cosmos_train.train.parallel import device_of
from cosmos_train.train.starting import load_any

Ask = Callable[[nn.Module, torch.device], dict[str, float]]


class Watch:
    def __init__(self, recipe: Recipe, tokenizer: Tokenizer) -> None:
        """Raises UserError where the recipe's probe has no shards or clips it can be asked about."""
        self.recipe = recipe
        self._ask: Ask | None = None
        settings = recipe.probe
        if settings.every:
            _, first = recipe.data.named()[0]  # how samples of a mixture are cut does not matter to single clips
            data = first.model_copy(update={"shards": settings.shards})
            table = load_slots(Path(settings.slots) if settings.slots else SAMPLE_WORLD)
            make = {"cosmo": _of_cosmo, "cosmos": _of_cosmos, "cumo": _of_cumo}[recipe.model.kind]
            self._ask = make(recipe, data, tokenizer, table)

    def due(self, step: int) -> bool:
        every = self.recipe.probe.every
        return bool(every) and (step % every == 0 or step == self.recipe.train.steps)

    def numbers(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """The scores, as metrics: probe/colour, probe/colour_shuffled, probe/colour_chance, …"""
        assert self._ask is not None
        return self._ask(model, device)


def kind_of(path: Path) -> str:
    """Of the model of a run, a checkpoint or an export. Raises UserError where there is none."""
    return export.kind_of(path) or checkpoint.load(path).recipe.model.kind


def ask_once(
    path: Path, settings: Sequence[str], slots: Path | None, clips: int, candidates: int, draws: int
) -> dict[str, float]:
    """What a run's probe would say now of the model at `path`, on the shards that `settings` (`data.shards=…`) name.

    Linear probes (probe.fit) are fitted on the shards that it learned from.
    """
    loaded, model = load_any(path)
    learned = loaded.recipe.data
    recipe = recipes.build(loaded.recipe.model_dump(), list(settings), str(loaded.folder))
    _, heldout = recipe.data.named()[0]
    asked = {"every": 1, "shards": heldout.shards, "clips": clips, "candidates": candidates, "draws": draws}
    probe = recipe.probe.model_copy(update=asked | ({"slots": str(slots)} if slots else {}))
    if recipe.train.threads:
        torch.set_num_threads(recipe.train.threads)
    device = device_of(recipe)
    watch = Watch(recipe.model_copy(update={"probe": probe, "data": learned}), loaded.tokenizer)
    return watch.numbers(model.to(device), device)


def _of_cosmo(recipe: Recipe, data: Any, tokenizer: Tokenizer, table: Any) -> Ask:
    from cosmos_train.evaluate.probe import Probe
    from cosmos_train.evaluate.subject import Subject
    from cosmos_train.families.cosmo.model import CosMo

    settings = recipe.probe
    probe = Probe(data, tokenizer, table, settings.clips)

    def ask(model: nn.Module, device: torch.device) -> dict[str, float]:
        assert isinstance(model, CosMo)
        subject = Subject(model, tokenizer, recipe, device)
        return probe.ask(subject, settings.max_tokens, settings.candidates, settings.draws).numbers()

    return ask


def _of_cosmos(recipe: Recipe, data: Any, tokenizer: Tokenizer, table: Any) -> Ask:
    from cosmos_train.evaluate import swaps
    from cosmos_train.evaluate.view_probe import ViewProbe
    from cosmos_train.families.cosmos.model import Cosmos

    settings = recipe.probe
    questions = Path(settings.questions) if settings.questions else swaps.SAMPLE_WORLD
    _, learned = recipe.data.named()[0]
    probe = ViewProbe(data, tokenizer, table.table, questions, settings.clips, learned, settings.fit)

    def ask(model: nn.Module, device: torch.device) -> dict[str, float]:
        assert isinstance(model, Cosmos)
        return probe.ask(model, settings.candidates, settings.draws)

    return ask


def _of_cumo(recipe: Recipe, data: Any, tokenizer: Tokenizer, table: Any) -> Ask:
    from cosmos_train.evaluate.talk_probe import TalkProbe
    from cosmos_train.evaluate.talker import Talker
    from cosmos_train.families.cumo.model import CuMo

    settings = recipe.probe
    _, learned = recipe.data.named()[0]
    probe = TalkProbe(data, table, settings.clips, learned, settings.fit)

    def ask(model: nn.Module, device: torch.device) -> dict[str, float]:
        assert isinstance(model, CuMo)
        return probe.ask(Talker(model, tokenizer, recipe, device), settings.max_tokens)

    return ask
