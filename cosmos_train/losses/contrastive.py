"""Contrastive losses over clips and texts: symmetric InfoNCE (CLIP, Radford et al. 2021) or a sigmoid per pair
(SigLIP).

Both mask false negatives, and both count over all processes: a process returns its share times the number of processes,
so that the mean over processes, as of gradients, is the loss. Costs two c x C products of a process's c pairs with all
C.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cosmos_train.losses.gather import gather, world_size


def contrastive_loss(media: Tensor, text: Tensor, scale: Tensor, group: Tensor, everywhere: bool = True) -> Tensor:
    """The mean of both directions' cross-entropy over the diagonal of scale * media @ text.T.

    media, text: unit vectors (c, E); group: (c,). Different clips with equal group have the same text, so they are not
    negatives of each other: the softmax leaves such pairs out. everywhere: candidates are the pairs of all processes,
    not only of this one. 0 if there are no pairs.
    """
    found = gather(media, text, group, everywhere)
    rows = torch.arange(len(group), device=group.device)
    own = rows + found.first
    same = group[:, None] == found.group
    same[rows, own] = False
    summed = media.new_zeros(())
    for queries, keys in ((media, found.text), (text, found.media)):
        logits = (scale * queries @ keys.T).masked_fill(same, float("-inf"))
        summed = summed + F.cross_entropy(logits, own, reduction="sum")
    return summed / 2 * _share(len(group), len(found.group), everywhere)


def siglip_loss(
    media: Tensor, text: Tensor, scale: Tensor, bias: Tensor, group: Tensor, everywhere: bool = True
) -> Tensor:
    """-log sigmoid(± (scale * media @ text.T + bias)), summed over candidates, mean over clips (Zhai et al. 2023).

    Arguments as of `contrastive_loss`; pairs of different clips with equal group are left out.
    """
    found = gather(media, text, group, everywhere)
    rows = torch.arange(len(group), device=group.device)
    own = torch.zeros(len(group), len(found.group), dtype=torch.bool, device=group.device)
    own[rows, rows + found.first] = True
    counts = own | (group[:, None] != found.group)
    logits = scale * media @ found.text.T + bias
    losses = -F.logsigmoid(torch.where(own, logits, -logits))
    return torch.where(counts, losses, 0).sum() * _share(len(group), len(found.group), everywhere)


def _share(mine: int, all_pairs: int, everywhere: bool) -> float:
    """Factor on a sum over a process's pairs."""
    return world_size() / max(1, all_pairs) if everywhere else 1 / max(1, mine)
