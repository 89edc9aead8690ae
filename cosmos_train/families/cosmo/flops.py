"""The cost of a batch: floating-point operations of each part of CosMo, counted as in `models.flops`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cosmos_train.families.cosmo.model import CosMo
from cosmos_train.losses.settings import ObjectiveSettings
from cosmos_train.models.flops import Operations, in_use, linear, per_pair, per_token
from cosmos_train.models.language import find_stack
from cosmos_train.recipe import Recipe
from cosmos_train.stream.batch import Batch


@dataclass(frozen=True)
class Work:
    """The work in a batch. Pairs are pairs of positions: for each token, the positions it attends to.

    frames: through the tower; clips, slots: through the resampler, where every clip has as many frame slots as the
    longest; media: clips visible to text, including empty places of rows; tokens and token_pairs: of rows; sight: pairs
    of tokens and media. texts, text_tokens, text_pairs: of the contrastive loss.
    """

    frames: int
    clips: int
    slots: int
    media: int
    tokens: int
    token_pairs: int
    sight: int
    texts: int
    text_tokens: int
    text_pairs: int


def padded(batch: Batch, settings: ObjectiveSettings) -> Work:
    """What the kernels compute, padding included."""
    rows, length = batch.rows.tokens.shape
    clips, slots = int(batch.media.clip_mask.sum()), batch.media.mask.shape[2]
    media = batch.media.mask.shape[1]
    texts, text_length = batch.pairs.tokens.shape
    if settings.pairs == "first":
        spans = batch.pairs.first_span[:, 2] - batch.pairs.first_span[:, 1]
        texts, text_length = len(spans), int(spans.max()) if len(spans) else 0
    return Work(
        frames=batch.num_images,
        clips=clips,
        slots=clips * slots,
        media=rows * media,
        tokens=rows * length,
        token_pairs=rows * length * length,
        sight=rows * length * media,
        texts=texts,
        text_tokens=texts * text_length,
        text_pairs=texts * text_length**2,
    )


def useful(batch: Batch, settings: ObjectiveSettings) -> Work:
    """What is needed without padding: each sample's tokens with each other and with its own media."""
    mask = batch.rows.mask
    row = torch.arange(len(mask), device=mask.device)[:, None].expand_as(mask)
    place = torch.stack([row[mask], batch.rows.document[mask]], 1)
    samples, sample, lengths = torch.unique(place, dim=0, return_inverse=True, return_counts=True)
    media = lengths.new_zeros(len(samples)).scatter_reduce(
        0, sample, (batch.rows.media_upto - batch.rows.media_from)[mask], "amax"
    )
    frames, clips = int(batch.media.mask.sum()), int(batch.media.clip_mask.sum())
    texts = batch.pairs.mask.sum(1)
    if settings.pairs == "first":
        texts = batch.pairs.first_span[:, 2] - batch.pairs.first_span[:, 1]
    return Work(
        frames=frames,
        clips=clips,
        slots=frames,
        media=clips,
        tokens=int(lengths.sum()),
        token_pairs=int(lengths.square().sum()),
        sight=int((lengths * media).sum()),
        texts=len(texts),
        text_tokens=int(texts.sum()),
        text_pairs=int(texts.square().sum()),
    )


def longest(recipe: Recipe) -> Work:
    """A sample of the largest size that the recipe allows (of its last source), without padding."""
    _, data = recipe.data.named()[-1]
    clips, frames, tokens = data.clips_per_sample, data.clips_per_sample * data.frames_per_clip, data.max_tokens
    texts = 1 if recipe.objective.pairs == "first" else clips
    text = tokens // clips
    return Work(
        frames=frames,
        clips=clips,
        slots=frames,
        media=clips,
        tokens=tokens,
        token_pairs=tokens**2,
        sight=tokens * clips,
        texts=texts,
        text_tokens=texts * text,
        text_pairs=texts * text**2,
    )


@dataclass(frozen=True)
class _Part:
    """Operations of products with weights, and of attention; whether weights learn, and whether gradients flow through
    to the inputs. data: the operations of `weights` with data as input, which needs no gradient."""

    weights: int
    attention: int
    learns: bool
    flows: bool
    data: int = 0

    def operations(self) -> Operations:
        through = (self.weights - self.data + 2 * self.attention) * self.flows
        backward = self.weights * self.learns + through
        return Operations(self.weights + self.attention, backward)


class CosMoFlopCount:
    """Counts operations of a model, which may be on `meta`."""

    def __init__(self, model: CosMo, settings: ObjectiveSettings) -> None:
        self.model = model
        self.settings = settings
        self.frame, self.frame_attention, self.frame_data, self.patches = _tower(model)
        stack = find_stack(model.language.lm)
        depth = model.language.depth
        self.first = sum(per_token(layer, model.language.lm.config) for layer in stack.layers[:depth])
        self.second = sum(per_token(layer, model.language.lm.config) for layer in stack.layers[depth:])
        self.attention = per_pair(model.language.lm.config)
        self.layers = (depth, len(stack.layers) - depth)

    def of(self, work: Work) -> dict[str, Operations]:
        """Forward and backward operations of each part."""
        return {name: part.operations() for name, part in self._parts(work)}

    def _parts(self, work: Work) -> Iterator[tuple[str, _Part]]:
        model, language = self.model, self.model.language
        learns = {
            "vision": not model.vision.frozen,
            "resampler": model.resampler.latents.requires_grad,
            "lm": language.learns == "all",
            "fusion": next(language.blocks.parameters()).requires_grad,
            "query": model.text_query.query.requires_grad,
        }
        into_first = language.learns != "none"  # then gradients reach the input embeddings
        into_second = into_first or learns["fusion"] or learns["resampler"] or learns["vision"]
        media = learns["resampler"] or learns["vision"]
        yield (
            "vision",
            _Part(
                work.frames * self.frame,
                work.frames * self.frame_attention,
                learns["vision"],
                learns["vision"],
                work.frames * self.frame_data,
            ),
        )
        yield "resampler", self._resampler(work, learns["resampler"], media)
        depth, rest = self.layers
        contrasts = self.settings.pairs == "every"
        first_tokens = work.tokens + contrasts * work.text_tokens
        first_pairs = work.token_pairs + contrasts * work.text_pairs
        yield (
            "language, first half",
            _Part(first_tokens * self.first, depth * first_pairs * self.attention, learns["lm"], into_first),
        )
        yield (
            "language, second half",
            _Part(work.tokens * self.second, rest * work.token_pairs * self.attention, learns["lm"], into_second),
        )
        head = language.lm.get_output_embeddings().weight
        new = language.new_rows
        if new is not None:
            rows = new.input if new.output is None else new.output
            yield "new tokens", _Part(2 * work.tokens * rows.numel(), 0, True, into_second)
        yield "head", _Part(2 * work.tokens * head.numel(), 0, head.requires_grad, into_second)
        yield "cross-attention", self._fusion(work, learns["fusion"], into_second)
        yield "text query", self._query(work, learns["query"], into_first or learns["query"])
        products = work.texts * (model.project_media.weight.numel() + model.project_text.weight.numel())
        yield "projections", _Part(2 * products, 0, model.project_media.weight.requires_grad, True)

    def _resampler(self, work: Work, learns: bool, flows: bool) -> _Part:
        resampler = self.model.resampler
        queries = len(resampler.latents)
        keys = work.slots * self.patches + work.clips * queries
        weights = attention = 0
        layer: Any
        for layer in resampler.layers:
            own, shared = _perceiver(layer.attention)
            weights += work.clips * queries * (own + linear(layer.feed_forward)) + keys * shared
            attention += 4 * queries * keys * _inner(layer.attention)
        if resampler.frame_time is not None:
            times = work.slots * linear(resampler.frame_time)
            return _Part(weights + times, attention, learns, flows, times)
        return _Part(weights, attention, learns, flows)

    def _fusion(self, work: Work, learns: bool, flows: bool) -> _Part:
        latents = self.model.resampler.latents.shape[0] - 1
        weights = attention = 0
        block: Any
        for block in self.model.language.blocks.values():
            own, shared = _perceiver(block.attention)
            weights += work.tokens * (own + linear(block.feed_forward)) + work.media * latents * shared
            attention += 4 * work.sight * latents * _inner(block.attention)
        return _Part(weights, attention, learns, flows)

    def _query(self, work: Work, learns: bool, flows: bool) -> _Part:
        query = self.model.text_query
        own, shared = _perceiver(query.attention)
        keys = work.text_tokens + work.texts
        weights = work.texts * (own + linear(query.feed_forward)) + keys * shared
        return _Part(weights, 4 * keys * _inner(query.attention), learns, flows)


def _perceiver(attention: Any) -> tuple[int, int]:
    """Operations per query, and per key."""
    return 2 * (attention.to_q.weight.numel() + attention.to_out.weight.numel()), 2 * attention.to_kv.weight.numel()


def _inner(attention: Any) -> int:
    return int(attention.to_q.weight.shape[0])


def _tower(model: CosMo) -> tuple[int, int, int, int]:
    """Per frame: operations of the tower's weights, of its attention, of weights on pixels; the number of patch tokens.

    For a transformer, from its shapes. For other towers, one frame is run and counted, without weights.
    """
    tower: Any = model.vision.tower
    size = model.vision.size
    if not hasattr(tower, "output_tokens"):
        return _counted(tower, size)
    patches = int(tower.positional_embedding.shape[0]) - 1
    weights = pixels = 2 * tower.conv1.weight.numel() * patches
    attention = 0
    for block in tower.transformer.resblocks:
        weights += (patches + 1) * (2 * block.attn.in_proj_weight.numel() + linear(block) + in_use(block))
        attention += 4 * (patches + 1) ** 2 * block.attn.embed_dim
    return weights, attention, pixels, patches


def _counted(tower: nn.Module, size: int) -> tuple[int, int, int, int]:
    import copy

    from torch.utils.flop_counter import FlopCounterMode

    from cosmos_train.models.vision import patch_tokens

    blank = copy.deepcopy(tower).to("meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        found: Tensor = patch_tokens(blank, torch.empty(1, 3, size, size, device="meta"))
    return int(counter.get_total_flops()), 0, 0, found.shape[1]
