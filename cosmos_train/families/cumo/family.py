"""CuMo as the loop sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from cosmos_train.families.base import Follower, Still
from cosmos_train.families.cosmo.flops import Operations, per_token
from cosmos_train.families.cosmos.family import transformer_operations
from cosmos_train.families.cumo import objective as objective
from cosmos_train.families.cumo.model import CuMo, build_cumo
from cosmos_train.families.routing import routing_numbers
from cosmos_train.models.language import find_stack
from cosmos_train.models.moe import MixtureMlp, routed
from cosmos_train.recipe import Recipe
from cosmos_train.stream.stream import Data
from cosmos_train.stream.talk.batch import TalkBatch
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train import optim
from cosmos_train.train.metrics import Numbers


class CuMoFamily:
    parts: tuple[str, ...] = ("language", "balance", "router_z")
    compute = staticmethod(objective.compute)
    decays = staticmethod(optim.decays)
    learned = staticmethod(objective.learned_tokens)

    def tokenizer(self, recipe: Recipe, data: Data) -> Tokenizer:
        if recipe.model.language.name:
            return Tokenizer.pretrained(recipe.model.language.name)
        return Tokenizer.train(data.texts(), recipe.model.language.vocabulary)

    def build(self, recipe: Recipe, tokenizer: Tokenizer) -> CuMo:
        return build_cumo(recipe, tokenizer)

    def step(
        self, forward: Callable[..., Any], batches: Sequence[TalkBatch], recipe: Recipe, **around: Any
    ) -> dict[str, Tensor]:
        return objective.accumulate(forward, batches, recipe.objective, **around)

    def follower(self, model: nn.Module, recipe: Recipe) -> Follower:
        return Still()

    def ledger(self, model: nn.Module, recipe: Recipe) -> CuMoLedger:
        assert isinstance(model, CuMo)
        return CuMoLedger(model)

    def work(self, batch: TalkBatch, recipe: Recipe) -> tuple[Talked, Talked]:
        lengths = batch.token_mask.sum(1)
        rows, width = batch.tokens.shape
        frames = batch.num_images
        return (
            Talked(frames, int(lengths.sum()), int(lengths.square().sum())),
            Talked(frames, rows * width, rows * width**2),
        )

    def numbers(self, model: nn.Module) -> Numbers:
        return routing_numbers(model) if routed(model) else {}


@dataclass(frozen=True)
class Talked:
    """Pictures, tokens, and pairs of tokens that may attend to each other."""

    frames: int
    tokens: int
    pairs: int


class CuMoLedger:
    """Operations by part, from the shapes of the weights; of experts those in use."""

    def __init__(self, model: CuMo) -> None:
        tower, config = model.vision, model.lm.config
        patches = model.image_tokens
        self._frame = sum(
            scale**2
            * (transformer_operations(tower.transformer, patches + 1) + 2 * tower.conv1.weight.numel() * patches)
            for scale in model.scales
        )
        self._connector = patches * _mlp(model.connector)
        layers = find_stack(model.lm).layers
        self._token = sum(
            per_token(layer, config) + sum(_mlp(one) for one in layer.modules() if isinstance(one, MixtureMlp))
            - sum(2 * one.gate.weight.numel() for one in layer.modules() if isinstance(one, MixtureMlp))
            for layer in layers
        )  # fmt: skip
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._pair = 4 * width * config.num_attention_heads * len(layers)
        self._head = 2 * model.lm.get_output_embeddings().weight.numel()
        self._vision_learns = not model.vision_frozen
        self._lm_learns = next(model.lm.parameters()).requires_grad

    def of(self, work: Talked) -> dict[str, Operations]:
        vision, connector = work.frames * self._frame, work.frames * self._connector
        weights, attention = work.tokens * (self._token + self._head), work.pairs * self._pair
        return {
            "vision": Operations(vision, 2 * vision * self._vision_learns),
            "connector": Operations(connector, connector * (1 + self._vision_learns)),
            "language": Operations(weights + attention, weights * (1 + self._lm_learns) + 2 * attention),
        }


def _mlp(module: nn.Module) -> int:
    """Operations per token of a connector or a mixture."""
    if isinstance(module, MixtureMlp):
        experts = (module.first.numel() + module.second.numel()) * module.top_k // module.experts
        return 2 * (experts + module.gate.weight.numel())
    return sum(2 * layer.weight.numel() for layer in module.modules() if isinstance(layer, nn.Linear))
