"""CosMo as the loop sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from cosmos_train.families.base import Follower, Still
from cosmos_train.families.cosmo import flops
from cosmos_train.families.cosmo import objective as objective
from cosmos_train.families.cosmo.accumulate import accumulate
from cosmos_train.families.cosmo.model import CosMo, build_cosmo
from cosmos_train.families.routing import routing_numbers
from cosmos_train.models.moe import mixtures
from cosmos_train.recipe import Recipe
from cosmos_train.stream.batch import Batch
from cosmos_train.stream.stream import Data
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train import optim
from cosmos_train.train.metrics import Numbers
from cosmos_train.train.optim import is_gate
from cosmos_train.train.parallel import whole


class CosMoFamily:
    parts: tuple[str, ...] = ("language", "contrastive")
    compute = staticmethod(objective.compute)
    decays = staticmethod(optim.decays)
    learned = staticmethod(objective.learned_tokens)

    def tokenizer(self, recipe: Recipe, data: Data) -> Tokenizer:
        if recipe.model.language.name:
            return Tokenizer.pretrained(recipe.model.language.name)
        return Tokenizer.train(data.texts(), recipe.model.language.vocabulary)

    def build(self, recipe: Recipe, tokenizer: Tokenizer) -> CosMo:
        return build_cosmo(recipe, tokenizer)

    def step(
        self, forward: Callable[..., Any], batches: Sequence[Batch], recipe: Recipe, **around: Any
    ) -> dict[str, Tensor]:
        found = accumulate(forward, batches, recipe.objective, **around)
        losses = {"loss": found.total, "language": found.language, "contrastive": found.contrastive}
        return losses if found.routing is None else losses | {"routing": found.routing}

    def follower(self, model: nn.Module, recipe: Recipe) -> Follower:
        return Still()

    def ledger(self, model: nn.Module, recipe: Recipe) -> flops.Ledger:
        assert isinstance(model, CosMo)
        return flops.Ledger(model, recipe.objective)

    def work(self, batch: Batch, recipe: Recipe) -> tuple[flops.Work, flops.Work]:
        return flops.useful(batch, recipe.objective), flops.padded(batch, recipe.objective)

    def numbers(self, model: nn.Module) -> Numbers:
        assert isinstance(model, CosMo)
        gates = [abs(float(whole(p.detach()).tanh())) for name, p in model.named_parameters() if is_gate(name)]
        found = {
            "logit_scale": float(whole(model.log_scale.detach()).exp()),
            "mean_gate": sum(gates) / max(1, len(gates)),
        }
        return found | (routing_numbers(model) if any(block.routing for block in mixtures(model)) else {})
