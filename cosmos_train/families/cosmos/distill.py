"""COSMOS's losses (Kim et al. 2024, arXiv 2412.01814): 16 contrastive pairs of views and 64 distilled ones, at once.

With NCE(A, B; s) = ½ [CE(s A Bᵀ, diagonal) + CE(s B Aᵀ, diagonal)] over the rows of all processes:

    L_clip    = mean over 2 global images i and 8 texts m of NCE(v_i, t_m; s)
    L_distill = mean over 8 + 8 cross-modal features h and the teacher's 2 + 2 embeddings z of NCE(h, z; s_d)

The original calls NCE 80 times, each with two all-gathers. Here the views are gathered once, concatenated, and each
loss is one product; in one process its columns serve the other direction. Costs one all-gather (and its reverse), and
320 c C numbers of logits at the peak of a process with c of all C rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cosmos_train.losses.gather import gather_rows, world_size

_AT_ONCE = (1 << 18, 1 << 27)  # largest number of logits in a product, on a CPU (cache size) and on a GPU


class Views(NamedTuple):
    """Unit vectors (views, b, E) of b rows: `image`, `text` and the cross-modal features of the student (the first
    `GLOBAL` are of global views), and the teacher's of its global views; scales are factors, not logarithms."""

    image: Tensor
    text: Tensor
    cross_image: Tensor
    cross_text: Tensor
    teacher_image: Tensor
    teacher_text: Tensor
    scale: Tensor
    distill_scale: Tensor

    @property
    def features(self) -> tuple[Tensor, ...]:
        return tuple(self[:6])

    def with_features(self, features: Sequence[Tensor]) -> Views:
        """The same scales with other features, in the same order."""
        image, text, cross_image, cross_text, teacher_image, teacher_text = features
        return Views(image, text, cross_image, cross_text, teacher_image, teacher_text, self.scale, self.distill_scale)


class CosmosLosses(NamedTuple):
    """This process's share times the number of processes: the mean over processes is the loss."""

    clip: Tensor
    distill: Tensor


def cosmos_losses(views: Views) -> CosmosLosses:
    """Both losses. Processes may hold different numbers of rows, including none; the teacher gets no gradient.

    Only as many images as the teacher has views are contrasted: local crops of images are not (according to the
    original, they overfit). Without views of the teacher all images are, and nothing is distilled.
    """
    views = views._replace(teacher_image=views.teacher_image.detach(), teacher_text=views.teacher_text.detach())
    found, first = _gathered(views)
    seen = len(views.teacher_image) or len(views.image)
    clip = _mean_nce(
        views.image[:seen], views.text, found.image[:seen], found.text, views.scale, first
    )  # fmt: skip
    if not len(views.teacher_image):
        return CosmosLosses(clip, views.distill_scale.sum() * 0)
    distill = _mean_nce(
        torch.cat([views.cross_image, views.cross_text]),
        torch.cat([views.teacher_image, views.teacher_text]),
        torch.cat([found.cross_image, found.cross_text]),
        torch.cat([found.teacher_image, found.teacher_text]),
        views.distill_scale,
        first,
    )
    return CosmosLosses(clip, distill)


def _gathered(views: Views) -> tuple[Views, int]:
    """The rows of all processes, and the index of this one's first."""
    if world_size() == 1:
        return views, 0
    counts = [len(part) for part in views.features]
    rows = torch.cat(views.features).transpose(0, 1)  # (b, views, E)
    every, first = gather_rows(rows.flatten(1))
    split = torch.split(torch.unflatten(every, 1, rows.shape[1:]).transpose(0, 1), counts)
    return views.with_features(split), first


def _mean_nce(mine: Tensor, theirs: Tensor, all_mine: Tensor, all_theirs: Tensor, scale: Tensor, first: int) -> Tensor:
    """The mean of NCE over all pairs of a view of (K, c, E) and one of (I, c, E), c of the C rows being here.

    all_mine (K, C, E), all_theirs (I, C, E): those of all processes, ours from row `first` on.
    """
    rows, total = mine.shape[1], all_mine.shape[1]
    if not total:
        return (mine.sum() + theirs.sum() + scale.sum()) * 0
    matching = scale * torch.einsum("kce,ice->kic", mine, theirs)  # each row with its partner
    summed = -2 * matching.sum()
    views = max(1, _AT_ONCE[mine.device.type != "cpu"] // max(1, rows * len(theirs) * total))
    for part, all_part in zip(torch.split(mine, views), torch.split(all_mine, views), strict=True):
        logits = scale * torch.einsum("kce,iae->kcia", part, all_theirs)
        summed = summed + logits.logsumexp(-1).sum()
        if rows != total:  # this process's part for the rows of other processes
            logits = scale * torch.einsum("kae,ice->kaic", all_part, theirs)
        summed = summed + logits.logsumexp(1).sum()
    pairs = len(mine) * len(theirs)
    return summed / (2 * pairs) * (world_size() / total)
