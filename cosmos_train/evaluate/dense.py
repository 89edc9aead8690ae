"""Where in a picture a text is: similarities of places with texts, from sliding windows (SCLIP, Wang et al. 2024).

A window has the size of the tower's training pictures; overlapping windows are averaged. Costs one pass of the tower
per window, about 8 per picture at the usual stride.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cosmos_train.evaluate.embedder import Pair
from cosmos_train.stream.decode import Frame

_WINDOWS = 16  # in one pass
_CLASSES = 8  # maps of full size in memory at once


def similarities(
    pair: Pair, frame: Frame, queries: Tensor, short_side: int, stride: int, correlative: bool = True
) -> Tensor:
    """Cosines (Q, H', W') of a picture's places with unit vectors (Q, E); its shorter side is short_side pixels.

    Call it inside `pair.asked()`.
    """
    pixels = torch.from_numpy(frame.copy()).permute(2, 0, 1)[None].float().to(pair.device)
    size = pair.half.visual.size
    scale = max(short_side, size) / min(pixels.shape[-2:])
    wanted = [max(size, round(side * scale)) for side in pixels.shape[-2:]]
    # Bilinear without antialiasing, like mmsegmentation's Resize, by which SCLIP scores.
    resized = F.interpolate(pixels, wanted, mode="bilinear")
    whole = pair.normalised(resized)[0]
    total = torch.zeros(len(queries), *wanted, device=pair.device)
    count = torch.zeros(wanted, device=pair.device)
    corners = [(top, left) for top in starts(wanted[0], size, stride) for left in starts(wanted[1], size, stride)]
    side = size // pair.half.visual.patch
    for first in range(0, len(corners), _WINDOWS):
        some = corners[first : first + _WINDOWS]
        windows = torch.stack([whole[:, top : top + size, left : left + size] for top, left in some])
        features = F.normalize(pair.half.visual.dense(windows, correlative).float(), dim=-1)
        found = torch.unflatten((features @ queries.T.to(features)).transpose(1, 2), -1, (side, side))
        large = F.interpolate(found, (size, size), mode="bilinear")
        for (top, left), one in zip(some, large, strict=True):
            total[:, top : top + size, left : left + size] += one
            count[top : top + size, left : left + size] += 1
    return total / count


def starts(length: int, window: int, stride: int) -> list[int]:
    """The starts of the windows: every `stride`, the last one flush with the end."""
    if length <= window:
        return [0]
    return [*range(0, length - window, stride), length - window]


def assign(
    found: Tensor, size: tuple[int, int], owner: Tensor, scale: float, probability: float = 0.0, area: float = 0.0
) -> Tensor:
    """The class (H, W) of each place of a picture of `size`, from similarities (Q, H', W') with Q texts.

    owner (Q,): the class of each text; a class is as likely as its likeliest text. With probability or area, class 0 is
    the background: it gets places with a class less likely than `probability`, and classes with less than the share
    `area` of all foreground places.
    """
    classes = int(owner.max()) + 1
    alive = torch.ones(classes, dtype=torch.bool, device=found.device)
    best, likely = _likeliest(found, size, owner, scale, alive)
    if area:
        counts = torch.bincount(best.flatten(), minlength=classes)[1:]
        alive[1:] = counts > area * counts.sum()
        if not bool(alive.all()):
            best, likely = _likeliest(found, size, owner, scale, alive)
    return torch.where(likely < probability, 0, best) if probability else best


def _likeliest(
    found: Tensor, size: tuple[int, int], owner: Tensor, scale: float, alive: Tensor
) -> tuple[Tensor, Tensor]:
    """The likeliest of the alive classes, and its probability among all; a few maps at a time."""
    total = torch.full(size, float("-inf"), device=found.device)
    most = total.clone()
    best = torch.zeros(size, dtype=torch.long, device=found.device)
    for first in range(0, len(found), _CLASSES):
        part = scale * F.interpolate(found[first : first + _CLASSES][None], size, mode="bilinear")[0]
        total = torch.logaddexp(total, part.logsumexp(0))
        for number, one in enumerate(part, first):
            if alive[owner[number]]:
                better = one > most
                best = torch.where(better, owner[number], best)
                most = torch.where(better, one, most)
    return best, (most - total).exp()
