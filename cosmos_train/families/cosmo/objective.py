"""CosMo's objective: next-token loss on interleaved text plus contrastive loss between clips and their texts.

    L = language_weight * L_lm + contrastive_weight * L_c        (CosMo, equation 2; with experts CuMo's L_b and L_z)

`compute` is one forward pass: what a wrapper (DDP, FSDP) must see. What its outputs cost is decided afterwards, over
all batches of a step and all processes (`accumulate`), and outside mixed precision.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from cosmos_train.families.cosmo.model import CosMo, Layout
from cosmos_train.losses.contrastive import contrastive_loss, siglip_loss
from cosmos_train.losses.language import language_loss
from cosmos_train.losses.settings import ObjectiveSettings
from cosmos_train.models.moe import mixtures, router_losses
from cosmos_train.stream.batch import IGNORED, Batch


class Outputs(NamedTuple):
    """language: summed over the learned tokens, so that batches add up. media, text: unit vectors (P, E) of the pairs
    to contrast, group (P,) of them; scale, bias: of similarities; routing: the routers' own loss, None without experts.
    """

    language: Tensor
    media: Tensor
    text: Tensor
    group: Tensor
    scale: Tensor
    bias: Tensor
    routing: Tensor | None = None


def learned_tokens(batch: Batch) -> int:
    return int((batch.labels[:, 1:] != IGNORED).sum())


def compute(model: CosMo, batch: Batch, settings: ObjectiveSettings, language: bool = True) -> Outputs:
    """What the model makes of one batch. Every part of it runs, also where the batch holds nothing readable.

    language=False: only the pairs; the language loss is 0 and the LM's second half does not run. Random numbers are
    drawn in the same order either way.
    """
    batch = _with_a_row(batch)
    layout = Layout(batch.document, batch.position, batch.media_from, batch.media_upto) if batch.packed else None
    media = model.encode_media(batch.frames, batch.frame_mask, batch.frame_times)
    summed = media.query.new_zeros((), dtype=torch.float32)
    only = _single(batch) if settings.paper_compat.single_pairs else slice(None)
    if settings.pairs == "first":
        pair = batch.first_pair[only]
        if language:
            logits, states = model(batch.tokens, media.tokens, layout)
            summed, _ = language_loss(logits, batch.labels)
        else:
            states = model.first_half(batch.tokens, layout)
        # Causality makes the first clip's states the same as if it stood alone: its text embedding is free.
        text = model.text_embedding(*_cut(states, batch.first_span[only]))
    else:
        every = torch.arange(len(batch.caption_group), device=batch.tokens.device)
        pair = batch.first_pair[only] if settings.paper_compat.single_pairs else every
        text = model.encode_text(batch.clip_tokens, batch.clip_token_mask)[pair]
        if language:
            summed, _ = language_loss(model(batch.tokens, media.tokens, layout)[0], batch.labels)
    query = model.media_embedding(media.query[batch.pair_clip[pair]])
    scale = model.scale()
    bias = scale.new_zeros(()) if model.logit_bias is None else model.logit_bias.clone()
    return Outputs(summed, query, text, batch.caption_group[pair], scale, bias, _routing(model, settings))


def _routing(model: CosMo, settings: ObjectiveSettings) -> Tensor | None:
    """Of experts that are ours (a Mixtral has its own, which learn by the language loss)."""
    if not model.training or not any(block.routing for block in mixtures(model)):
        return None
    balance, z = router_losses(model)
    return settings.balance_weight * balance + settings.router_z_weight * z


def contrast(outputs: Outputs, settings: ObjectiveSettings) -> Tensor:
    """The contrastive loss of pairs, as this process's share times the number of processes."""
    compat = settings.paper_compat
    group = torch.arange(len(outputs.group), device=outputs.group.device) if compat.no_guard else outputs.group
    media, text, everywhere = outputs.media.float(), outputs.text.float(), not compat.own_process
    if settings.contrastive == "siglip":
        return siglip_loss(media, text, outputs.scale.float(), outputs.bias.float(), group, everywhere)
    return contrastive_loss(media, text, outputs.scale.float(), group, everywhere)


def _with_a_row(batch: Batch) -> Batch:
    """The batch with at least one row and one clip's text, of padding: sharded weights want every process's call."""
    if not len(batch.tokens):
        blank = batch.tokens.new_zeros(1, 1)
        batch = replace(
            batch,
            tokens=blank,
            labels=blank + IGNORED,
            document=blank - 1,
            position=blank,
            media_from=blank,
            media_upto=blank,
            token_mask=blank.bool(),
            frame_mask=batch.frame_mask.new_zeros(1, 0, 0),
            frame_times=batch.frame_times.new_zeros(1, 0, 0),
        )
    if not len(batch.clip_tokens):
        blank = batch.tokens.new_zeros(1, 1)
        batch = replace(batch, clip_tokens=blank, clip_token_mask=~blank.bool())
    return batch


def _cut(states: Tensor, span: Tensor) -> tuple[Tensor, Tensor]:
    """The states (S, l, D) of spans (S, 3: row, begin, end) of rows (B, L, D), and which of them count (S, l)."""
    row, begin, end = span.unbind(1)
    place = torch.arange(int((end - begin).max()) if len(span) else 1, device=span.device)
    column = (begin[:, None] + place).clamp(max=states.shape[1] - 1)
    return states[row[:, None], column], place < (end - begin)[:, None]


def _single(batch: Batch) -> Tensor:
    """(S,): whether the sample of each first pair has no other pair."""
    following = torch.cat([batch.first_pair[1:], batch.first_pair.new_tensor([len(batch.caption_group)])])
    return following[: len(batch.first_pair)] - batch.first_pair == 1
