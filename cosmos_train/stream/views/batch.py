"""What a batch of views is: the contract between the stream and COSMOS's objective."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from cosmos_train.stream.batch import Hole, Sample
from cosmos_train.stream.tokenizer import Tokenizer

PADDING = 0  # the id that texts are filled up with: CLIP's, and <pad> of a tokenizer trained here


@dataclass(frozen=True)
class ViewBatch:
    """B readable samples; `holes` names the others.

    images (G, B, 3, S, S), crops (K, B, 3, s, s) uint8: large and small crops. texts (G + K, B, L): token ids of the
    captions, long ones first, `<begin> words <end>` cut at L and filled up with PADDING.
    """

    images: Tensor
    crops: Tensor
    texts: Tensor
    keys: tuple[str, ...] = ()
    captions: tuple[tuple[str, ...], ...] = ()
    holes: tuple[Hole, ...] = ()
    source: str = ""

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def token_mask(self) -> Tensor:
        """(G + K, B, L): ids that are no padding."""
        return self.texts != PADDING

    @property
    def frames(self) -> Tensor:
        """The large crops, one by one: what is counted as pictures seen."""
        return self.images.flatten(0, 1)

    def to(self, device: torch.device) -> ViewBatch:
        moved = {f.name: value.to(device) for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)}
        return replace(self, **moved)  # type: ignore[arg-type]

    def row_digests(self) -> list[bytes]:
        """One per sample as asked for, holes among them: of its pixels and ids, or of its name."""
        rows = []
        for row, (key, captions) in enumerate(zip(self.keys, self.captions, strict=True)):
            found = hashlib.sha256(repr((self.source, key, captions)).encode())
            for part in (self.images, self.crops, self.texts):
                found.update(part[:, row].cpu().contiguous().numpy().tobytes())
            rows.append(found.digest())
        for hole in sorted(self.holes, key=lambda hole: hole.place):
            rows.insert(hole.place, hashlib.sha256(repr((hole.key, hole.reason)).encode()).digest())
        return rows

    def digest(self) -> str:
        return hashlib.sha256(b"".join(self.row_digests())).hexdigest()


def collate_views(
    items: Sequence[Sample | Hole], tokenizer: Tokenizer, length: int, sizes: tuple[int, int], counts: tuple[int, int],
    source: str = "",
) -> ViewBatch:  # fmt: skip
    """Samples whose `texts` are captions and whose `frames` are (large crops, small crops).

    length: of token rows; sizes: sides of large and small crops; counts: how many of each a sample has.
    """
    readable = [item for item in items if isinstance(item, Sample)]
    pixels = [
        torch.from_numpy(np.stack([one.frames[kind] for one in readable], 1))
        if readable
        else torch.zeros(counts[kind], 0, 3, sizes[kind], sizes[kind], dtype=torch.uint8)
        for kind in (0, 1)
    ]
    texts = torch.full((sum(counts), len(readable), length), PADDING, dtype=torch.long)
    for row, one in enumerate(readable):
        for view, caption in enumerate(one.texts):
            ids = spell(caption, tokenizer, length)
            texts[view, row, : len(ids)] = torch.tensor(ids)
    return ViewBatch(
        pixels[0],
        pixels[1],
        texts,
        tuple(one.key for one in readable),
        tuple(one.texts for one in readable),
        tuple(replace(one, place=place) for place, one in enumerate(items) if isinstance(one, Hole)),
        source,
    )


def spell(text: str, tokenizer: Tokenizer, length: int) -> list[int]:
    """`<begin> words <end>`, at most `length` ids: the end stays."""
    if "<" in text:  # words that look like markers must not become them: a text is pooled where it ends
        for marker in tokenizer.names.values():
            text = text.replace(marker, " ")
    return [tokenizer.begin, *tokenizer.encode(text)[: length - 2], tokenizer.end]
