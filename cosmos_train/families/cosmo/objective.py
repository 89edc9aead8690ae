"""CosMo's objective: next-token loss on interleaved text plus contrastive loss between clips and their texts.

    L = language_weight * L_lm + contrastive_weight * L_c        (CosMo, equation 2; with experts CuMo's L_b and L_z)

`compute` is one forward pass, which a wrapper (DDP, FSDP) must see. The loss is computed afterwards from its outputs,
over all batches of a step and all processes (`accumulate`), and outside mixed precision.
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
from cosmos_train.models.routing import RoutingPass, record_routing
from cosmos_train.stream.batch import IGNORED, Batch, Pairs, Rows


class Outputs(NamedTuple):
    """language: summed over the learned tokens, so that batches add up. media, text: unit vectors (P, E) of the pairs
    to contrast; group (P,): their groups; scale, bias: of similarities; routing: the routers' loss, None without
    experts.
    """

    language: Tensor
    media: Tensor
    text: Tensor
    group: Tensor
    scale: Tensor
    bias: Tensor
    routing: Tensor | None = None


def learned_tokens(batch: Batch) -> int:
    return int((batch.rows.labels[:, 1:] != IGNORED).sum())


def compute(model: CosMo, batch: Batch, settings: ObjectiveSettings, language: bool = True) -> Outputs:
    """The model's outputs for one batch. Every part of the model runs, even if nothing in the batch is readable.

    language=False: the pairs only; the language loss is 0 and the LM's second half does not run. Random numbers are
    drawn in the same order either way.
    """
    with record_routing(model) as calls:
        outputs = _outputs(model, _with_a_row(batch), settings, language)
    return outputs._replace(routing=_routing(calls, settings))


def _outputs(model: CosMo, batch: Batch, settings: ObjectiveSettings, language: bool) -> Outputs:
    rows, pairs = batch.rows, batch.pairs
    layout = Layout(rows.document, rows.position, rows.media_from, rows.media_upto) if batch.packed else None
    media = model.encode_media(batch.media.frames, batch.media.mask, batch.media.times)
    summed = media.query.new_zeros((), dtype=torch.float32)
    only = _single(pairs) if settings.paper_compat.single_pairs else slice(None)
    if settings.pairs == "first":
        pair = pairs.first[only]
        if language:
            logits, states = model(rows.tokens, media.tokens, layout)
            summed, _ = language_loss(logits, rows.labels)
        else:
            states = model.first_half(rows.tokens, layout)
        # By causality the first clip's states are the same as those of the clip alone: its text embedding costs
        # nothing.
        text = model.text_embedding(*_cut(states, pairs.first_span[only]))
    else:
        every = torch.arange(len(pairs.group), device=pairs.group.device)
        pair = pairs.first[only] if settings.paper_compat.single_pairs else every
        text = model.encode_text(pairs.tokens, pairs.mask)[pair]
        if language:
            summed, _ = language_loss(model(rows.tokens, media.tokens, layout)[0], rows.labels)
    query = model.media_embedding(media.query[pairs.clip[pair]])
    scale = model.scale()
    bias = scale.new_zeros(()) if model.logit_bias is None else model.logit_bias.clone()
    return Outputs(summed, query, text, pairs.group[pair], scale, bias)


def _routing(calls: RoutingPass, settings: ObjectiveSettings) -> Tensor | None:
    """The loss of our own experts (a Mixtral's experts learn by the language loss)."""
    losses = calls.losses()
    return None if losses is None else settings.balance_weight * losses[0] + settings.router_z_weight * losses[1]


def contrast(outputs: Outputs, settings: ObjectiveSettings) -> Tensor:
    """The contrastive loss of pairs, as this process's share times the number of processes."""
    compat = settings.paper_compat
    group = torch.arange(len(outputs.group), device=outputs.group.device) if compat.no_guard else outputs.group
    media, text, everywhere = outputs.media.float(), outputs.text.float(), not compat.own_process
    if settings.contrastive == "siglip":
        return siglip_loss(media, text, outputs.scale.float(), outputs.bias.float(), group, everywhere)
    return contrastive_loss(media, text, outputs.scale.float(), group, everywhere)


def _with_a_row(batch: Batch) -> Batch:
    """The batch with at least one row and one clip's text, of padding: sharded weights need a call on every process."""
    blank = batch.rows.tokens.new_zeros(1, 1)
    if not len(batch.rows.tokens):
        media = batch.media
        batch = replace(
            batch,
            rows=Rows(
                tokens=blank,
                labels=blank + IGNORED,
                mask=blank.bool(),
                document=blank - 1,
                position=blank,
                media_from=blank,
                media_upto=blank,
            ),
            media=replace(media, mask=media.mask.new_zeros(1, 0, 0), times=media.times.new_zeros(1, 0, 0)),
        )
    if not len(batch.pairs.tokens):
        batch = replace(batch, pairs=replace(batch.pairs, tokens=blank, mask=~blank.bool()))
    return batch


def _cut(states: Tensor, span: Tensor) -> tuple[Tensor, Tensor]:
    """The states (S, l, D) of spans (S, 3: row, begin, end) of rows (B, L, D), and a mask of valid ones (S, l)."""
    row, begin, end = span.unbind(1)
    place = torch.arange(int((end - begin).max()) if len(span) else 1, device=span.device)
    column = (begin[:, None] + place).clamp(max=states.shape[1] - 1)
    return states[row[:, None], column], place < (end - begin)[:, None]


def _single(pairs: Pairs) -> Tensor:
    """(S,): whether the sample of each first pair has no other pair."""
    following = torch.cat([pairs.first[1:], pairs.first.new_tensor([len(pairs.group)])])
    return following[: len(pairs.first)] - pairs.first == 1
