"""CosMo's objective: next-token loss on interleaved text plus contrastive loss between clips and their texts.

L = language_weight * L_lm + contrastive_weight * L_c        (CosMo, equation 2)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cosmos_train.losses.contrastive import contrastive_loss
from cosmos_train.losses.language import language_loss
from cosmos_train.models.cosmo import CosMo
from cosmos_train.recipe import ObjectiveSettings
from cosmos_train.stream.batch import IGNORED, Batch


@dataclass(frozen=True)
class Losses:
    """language: summed over `tokens` learned tokens, so that a step's batches add up to its mean; contrastive: mean."""

    language: Tensor
    tokens: int
    contrastive: Tensor


def learned_tokens(batch: Batch) -> int:
    return int((batch.labels[:, 1:] != IGNORED).sum())


def compute(model: CosMo, batch: Batch, settings: ObjectiveSettings) -> Losses:
    """The losses of one batch with at least one sample."""
    media = model.encode_media(batch.frames, batch.frame_mask, batch.frame_times)
    logits, states = model(batch.tokens, media.tokens)
    language, tokens = language_loss(logits, batch.labels)
    query, group = media.query, batch.caption_group
    if settings.pairs == "first":
        # Causality makes the first clip's states the same as if it stood alone: its text embedding is free.
        text = model.text_embedding(states, batch.first_clip_mask)
        clips = batch.clip_mask.sum(1)
        firsts = clips.cumsum(0) - clips
        query, group = query[firsts], group[firsts]
    else:
        text = model.encode_text(batch.clip_tokens, batch.clip_token_mask)
    contrastive = contrastive_loss(model.media_embedding(query), text, model.scale(), group)
    return Losses(language, tokens, contrastive)


def total(losses: Losses, settings: ObjectiveSettings, step_tokens: int, accumulation: int) -> Tensor:
    """This batch's part of its step's loss: the language loss is the mean over all step_tokens of the step."""
    zero = torch.zeros_like(losses.contrastive)
    language = losses.language / step_tokens if step_tokens else zero
    return settings.language_weight * language + settings.contrastive_weight * losses.contrastive / accumulation
