"""The cost of a batch of views: floating-point operations of student and teacher, from the shapes of their weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cosmos_train.families.cosmos.model import Cosmos
from cosmos_train.models.flops import Operations, transformer
from cosmos_train.recipe import Recipe
from cosmos_train.stream.views.batch import ViewBatch


@dataclass(frozen=True)
class Rows:
    """Samples; tokens of their texts, and pairs of tokens of one text: for the student, and for the teacher."""

    rows: int
    tokens: int
    pairs: int
    taught_tokens: int
    taught_pairs: int


def rows_of(batch: ViewBatch, padded: bool) -> Rows:
    """The work in a batch. The first text is encoded to its full length, with padding: all its tokens are used.

    The others are encoded up to their ends, or (padded) to the end of the longest in their pass: long ones share one
    pass, short ones another.
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


def longest(recipe: Recipe) -> Rows:
    """A row of texts of the largest length that the recipe allows."""
    views, length = recipe.data.views, recipe.data.max_tokens
    texts, taught = views.global_views + views.local_views, views.global_views
    return Rows(1, texts * length, texts * length**2, taught * length, taught * length**2)


class CosmosFlopCount:
    """Operations of a row, from the shapes of the weights: counted as in `models.flops`."""

    def __init__(self, model: Cosmos, recipe: Recipe) -> None:
        views, student = recipe.data.views, model.student
        visual, context = student.visual, student.context
        side, small = visual.size // visual.patch, views.local_size // visual.patch
        texts = views.global_views + views.local_views
        pixels = 2 * visual.conv1.weight.numel()
        large_image = transformer(visual.transformer, side**2 + 1) + pixels * side**2 + 2 * visual.proj.numel()
        small_image = transformer(visual.transformer, small**2 + 1) + pixels * small**2 + 2 * visual.proj.numel()
        self._plain = not recipe.objective.distill_weight  # see `objective`
        crops = 0 if self._plain else views.local_views
        self._images = views.global_views * large_image + crops * small_image
        self._pixels = pixels * (views.global_views * side**2 + crops * small**2)
        block = transformer(student.transformer, 1)
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
        """The student forward and twice back, the teacher forward (a plain CLIP has none)."""
        parts = {} if self._plain else {"token maps": self._maps, "poolers": self._poolers}
        found = {name: Operations(work.rows * cost, 2 * work.rows * cost) for name, cost in parts.items()}
        found["vision"] = Operations(work.rows * self._images, work.rows * (2 * self._images - self._pixels))
        texts, taught = (
            tokens * self._token + pairs * self._pair + work.rows * views * self._projected
            for tokens, pairs, views in zip(
                (work.tokens, work.taught_tokens), (work.pairs, work.taught_pairs), self._views, strict=True
            )
        )
        found["text"] = Operations(texts, 2 * texts)
        if self._plain:
            return found
        return found | {"teacher": Operations(work.rows * self._taught + taught, 0)}


def _pooler(queries: int, tokens: int, width: int) -> int:
    """Two of four projections apply to the queries, two to the tokens."""
    return 2 * width**2 * 2 * (queries + tokens) + 4 * queries * tokens * width
