"""COSMOS as the loop sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cosmos_train.errors import UserError
from cosmos_train.families.base import Follower
from cosmos_train.families.cosmo.flops import Operations
from cosmos_train.families.cosmos import objective as objective
from cosmos_train.families.cosmos.model import Cosmos, build_cosmos
from cosmos_train.families.cosmos.momentum import Teacher
from cosmos_train.families.routing import routing_numbers
from cosmos_train.models.moe import mixtures
from cosmos_train.recipe import Recipe
from cosmos_train.stream.stream import Data
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.stream.views.batch import ViewBatch
from cosmos_train.train.metrics import Numbers
from cosmos_train.train.parallel import whole

_UNDECAYED = ("bn", "ln", "bias", "logit_scale")


def decays(name: str, parameter: nn.Parameter) -> bool:
    """As released: matrices, and with them positions, token embeddings and projections; no norms, biases, scales."""
    return parameter.ndim >= 2 and not any(part in name for part in _UNDECAYED)


class CosmosFamily:
    parts: tuple[str, ...] = ("clip", "distill")
    compute = staticmethod(objective.compute)
    decays = staticmethod(decays)

    def tokenizer(self, recipe: Recipe, data: Data) -> Tokenizer:
        if recipe.model.language.name == "clip":
            return Tokenizer.clip()
        if recipe.model.language.name:
            raise UserError(
                f"a COSMOS has no language model {recipe.model.language.name}",
                "model.language.name: clip for CLIP's own tokenizer, or empty for one trained on the shards",
                2,
            )
        return Tokenizer.train(data.texts(), recipe.model.language.vocabulary)

    def build(self, recipe: Recipe, tokenizer: Tokenizer) -> Cosmos:
        return build_cosmos(recipe, tokenizer)

    def step(
        self, forward: Callable[..., Any], batches: Sequence[ViewBatch], recipe: Recipe, **around: Any
    ) -> dict[str, Tensor]:
        return objective.accumulate(forward, batches, recipe.objective, **around)

    def learned(self, batch: ViewBatch) -> int:
        return int(batch.token_mask.sum())

    def follower(self, model: nn.Module, recipe: Recipe) -> Follower:
        assert isinstance(model, Cosmos)
        return Teacher(model, recipe.objective.teacher, recipe.train.steps)

    def ledger(self, model: nn.Module, recipe: Recipe) -> CosmosLedger:
        assert isinstance(model, Cosmos)
        return CosmosLedger(model, recipe)

    def work(self, batch: ViewBatch, recipe: Recipe) -> tuple[Rows, Rows]:
        return rows_of(batch, False), rows_of(batch, True)

    def numbers(self, model: nn.Module) -> Numbers:
        assert isinstance(model, Cosmos)
        scales = {name: float(whole(getattr(model.student, name).detach()).exp()) for name in objective.SCALES}
        return scales | (routing_numbers(model.student) if mixtures(model.student) else {})


@dataclass(frozen=True)
class Rows:
    """Samples; tokens of their texts and pairs of tokens of one text: that the student reads, and the teacher."""

    rows: int
    tokens: int
    pairs: int
    taught_tokens: int
    taught_pairs: int


def rows_of(batch: ViewBatch, padded: bool) -> Rows:
    """What a batch gives to do. The first text is read whole, padding and all, since all its tokens are looked at.

    The others are read up to their ends, or (padded) to the end of the longest that is read with them: long ones
    together, and short ones.
    """
    if not len(batch):
        return Rows(0, 0, 0, 0, 0)
    lengths = batch.token_mask.long().mul(torch.arange(1, batch.texts.shape[2] + 1, device=batch.texts.device)).amax(-1)
    taught, others = lengths[: len(batch.images)], [lengths[1 : len(batch.images)], lengths[len(batch.images) :]]
    if padded:
        taught, *others = (part.max().expand_as(part) if len(part) else part for part in (taught, *others))
    read = torch.cat(list(others))
    whole, rows = batch.texts.shape[2], len(batch)
    return Rows(
        rows,
        int(read.sum()) + rows * whole,
        int(read.square().sum()) + rows * whole**2,
        int(taught.sum()),
        int(taught.square().sum()),
    )


class CosmosLedger:
    """Operations of a row, from the shapes of the weights: matrix products and attention, as in `flops`."""

    def __init__(self, model: Cosmos, recipe: Recipe) -> None:
        views, student = recipe.data.views, model.student
        visual, context = student.visual, student.context
        side, small = visual.size // visual.patch, views.local_size // visual.patch
        texts = views.global_views + views.local_views
        pixels = 2 * visual.conv1.weight.numel()
        large_image = (
            transformer_operations(visual.transformer, side**2 + 1) + pixels * side**2 + 2 * visual.proj.numel()
        )
        small_image = (
            transformer_operations(visual.transformer, small**2 + 1) + pixels * small**2 + 2 * visual.proj.numel()
        )
        self._images = views.global_views * large_image + views.local_views * small_image
        self._pixels = pixels * (views.global_views * side**2 + views.local_views * small**2)
        block = transformer_operations(student.transformer, 1)
        self._pair = 4 * student.ln_final.weight.shape[0] * len(student.transformer.resblocks)
        self._token = block - self._pair
        self._projected = 2 * student.text_projection.numel()
        self._views = texts, views.global_views
        self._taught = views.global_views * large_image
        maps = views.global_views * side**2 * student.image_token_mapping.weight.numel()
        maps += context * student.text_token_mapping.weight.numel()
        self._maps = 2 * maps
        self._poolers = sum(_pooler(texts, tokens, student.text_projection.shape[1]) for tokens in (side**2, context))

    def of(self, work: Rows) -> dict[str, Operations]:
        """The student forward and twice back, the teacher forward."""
        parts = {"token maps": self._maps, "poolers": self._poolers}
        found = {name: Operations(work.rows * cost, 2 * work.rows * cost) for name, cost in parts.items()}
        found["vision"] = Operations(work.rows * self._images, work.rows * (2 * self._images - self._pixels))
        texts, taught = (
            tokens * self._token + pairs * self._pair + work.rows * views * self._projected
            for tokens, pairs, views in zip(
                (work.tokens, work.taught_tokens), (work.pairs, work.taught_pairs), self._views, strict=True
            )
        )
        found["text"] = Operations(texts, 2 * texts)
        return found | {"teacher": Operations(work.rows * self._taught + taught, 0)}


def transformer_operations(transformer: Any, tokens: int) -> int:
    """Of one sequence. Of experts those in use."""
    total = 0
    for block in transformer.resblocks:
        weights = block.attn.in_proj_weight.numel() + block.attn.out_proj.weight.numel()
        mlp = block.mlp
        if hasattr(mlp, "gate"):
            experts = (mlp.first.numel() + mlp.second.numel()) * mlp.top_k // mlp.experts
            weights += experts + mlp.gate.weight.numel()
        else:
            weights += mlp.c_fc.weight.numel() + mlp.c_proj.weight.numel()
        total += 2 * weights * tokens + 4 * tokens**2 * block.attn.out_proj.weight.shape[0]
    return total


def _pooler(queries: int, tokens: int, width: int) -> int:
    """Two of four projections are of the queries, two of the tokens."""
    return 2 * width**2 * 2 * (queries + tokens) + 4 * queries * tokens * width
