"""Symmetric InfoNCE (CLIP, Radford et al. 2021) with a guard against false negatives. Costs one C x C product."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def contrastive_loss(media: Tensor, text: Tensor, scale: Tensor, group: Tensor) -> Tensor:
    """The mean of both directions' cross-entropy over the diagonal of scale * media @ text.T.

    media, text: unit vectors (C, E); group: (C,). A pair of different clips with equal group says the same thing, so
    it is no negative: it is left out of the softmax.
    """
    logits = scale * media @ text.T
    same = (group[:, None] == group[None]) & ~torch.eye(len(group), dtype=torch.bool, device=group.device)
    logits = logits.masked_fill(same, float("-inf"))
    target = torch.arange(len(group), device=group.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
