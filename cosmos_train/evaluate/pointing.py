"""Where a COSMOS looks: attention of its pooler for sentences, against the boxes of the things they name.

The pointing game (Zhang et al. 2016): is the patch with the most attention in the box? And the overlap (IoU) of the box
with as many top patches as it has patches. Costs the image tower once per picture, the text tower once per sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import comb
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosmos_train.families.cosmos.model import Cosmos
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.stream.views.batch import PADDING, tokenize_caption
from cosmos_train.stream.views.pictures import Pixels

Box = tuple[float, float, float, float]  # left, top, right, bottom, as shares of the picture's sides
Grid = NDArray[np.float64]

UNNAMED = "untold"  # kind of sentences about things that no sentence of the picture names


@dataclass(frozen=True)
class Region:
    """A sentence, and the box of the thing it names; kind: of the sentence, "" if the shard gives none."""

    text: str
    box: Box
    kind: str = ""


def regions_of(about: object) -> list[tuple[Region, ...]]:
    """For each clip of a document, the things that its json names; and those without a sentence, as `UNNAMED`."""
    clips = about.get("clips") if isinstance(about, dict) else None
    found = []
    for clip in clips or ():
        named = [(one, str(one.get("kind", ""))) for one in clip.get("regions", ())]
        unnamed = [(one, UNNAMED) for one in clip.get("others", ())]
        found.append(tuple(Region(str(one["text"]), _box(one["box"]), kind) for one, kind in (*named, *unnamed)))
    return found


def _box(edges: object) -> Box:
    left, top, right, bottom = map(float, edges)  # type: ignore[call-overload]
    return left, top, right, bottom


@dataclass
class Pointed:
    """hits, overlaps of attention with the named boxes, chance levels, and overlaps with other boxes."""

    hits: list[float] = field(default_factory=list)
    overlaps: list[float] = field(default_factory=list)
    hits_by_chance: list[float] = field(default_factory=list)
    overlaps_by_chance: list[float] = field(default_factory=list)
    unnamed_hits: list[float] = field(default_factory=list)
    unnamed_overlaps: list[float] = field(default_factory=list)

    def add(self, looked: Grid, inside: Grid, named: bool) -> None:
        """named: whether the sentence names the thing in the box."""
        hit, shared = float(inside.flat[int(looked.argmax())]), overlap(looked, inside)
        if not named:
            self.unnamed_hits.append(hit)
            self.unnamed_overlaps.append(shared)
            return
        self.hits.append(hit)
        self.overlaps.append(shared)
        self.hits_by_chance.append(float(inside.mean()))
        self.overlaps_by_chance.append(overlap_by_chance(int(inside.sum()), inside.size))

    def numbers(self) -> dict[str, float]:
        parts = {
            "pointing": self.hits, "pointing_chance": self.hits_by_chance,
            "overlap": self.overlaps, "overlap_chance": self.overlaps_by_chance,
            "unnamed_pointing": self.unnamed_hits, "unnamed_overlap": self.unnamed_overlaps,
        }  # fmt: skip
        return {name: float(np.mean(part)) for name, part in parts.items() if part}


@torch.no_grad()
def attention(model: Cosmos, tokenizer: Tokenizer, pictures: Pixels, texts: Sequence[tuple[int, str]]) -> Grid:
    """(T, h, w): attention of the student's pooler in pictures (N, 3, S, S) for texts, each with its picture's row."""
    student, device = model.student, model.pixel_mean.device
    pooler: Any = student.visual.attn_cross_pool
    images = student.images(model.normalised(torch.from_numpy(pictures).to(device)))
    ids = written([text for _, text in texts], tokenizer, student.context).to(device)
    pooled, _ = student.read(ids, student.end)
    weights = pooler.weights(pooled[:, None], images.tokens[[row for row, _ in texts]])[:, 0]
    side = student.visual.size // student.visual.patch
    found: Tensor = torch.unflatten(weights.double().cpu(), 1, (side, side))
    return np.asarray(found.numpy(), np.float64)


def written(texts: Sequence[str], tokenizer: Tokenizer, context: int) -> Tensor:
    """(N, L) token ids, cut at the longest text."""
    tokenized = [tokenize_caption(text, tokenizer, context) for text in texts]
    rows = torch.full((len(texts), max(map(len, tokenized))), PADDING, dtype=torch.long)
    for row, ids in zip(rows, tokenized, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    return rows


def covered(box: Box, side: int) -> Grid:
    """(side, side): 1 if at least half of a patch is in the box, and at the patch with the largest cover, else 0."""
    edges = np.arange(side + 1) / side

    def share(low: float, high: float) -> Grid:
        both: Grid = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
        return side * both.clip(0)

    shares = share(box[1], box[3])[:, None] * share(box[0], box[2])[None]
    inside = (shares >= 0.5).astype(np.float64)
    inside.flat[int(shares.argmax())] = 1
    return inside


def overlap(looked: Grid, inside: Grid) -> float:
    """IoU of the patches of a box with the same number of top patches."""
    count = int(inside.sum())
    most = np.argsort(-looked, axis=None, kind="stable")[:count]
    both = float(inside.flat[most].sum())
    return both / (2 * count - both)


def overlap_by_chance(count: int, patches: int) -> float:
    """The mean IoU of `count` patches of a box with the same number of random patches."""
    ways = comb(patches, count)
    return sum(
        comb(count, both) * comb(patches - count, count - both) / ways * both / (2 * count - both)
        for both in range(count + 1)
    )
