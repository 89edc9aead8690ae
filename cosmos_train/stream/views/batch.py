"""The contents of a batch of views: the contract between the stream and COSMOS's objective."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from cosmos_train.stream.batch import BadSample, BatchBase, Sample, with_bad_samples
from cosmos_train.stream.tokenizer import Tokenizer

PADDING = 0  # the padding id of texts: CLIP's, and <pad> of a tokenizer trained here


@dataclass(frozen=True, kw_only=True)
class ViewBatch(BatchBase):
    """B readable samples.

    images (G, B, 3, S, S), crops (K, B, 3, s, s) uint8: large and small crops. texts (G + K, B, L): token ids of the
    captions, long ones first, `<begin> words <end>` cut at L and padded with PADDING.
    """

    images: Tensor
    crops: Tensor
    texts: Tensor
    captions: tuple[tuple[str, ...], ...] = ()

    @property
    def token_mask(self) -> Tensor:
        """(G + K, B, L): True where ids are not padding."""
        return self.texts != PADDING

    @property
    def num_tokens(self) -> int:
        return int(self.token_mask.sum())

    @property
    def num_images(self) -> int:
        """Number of large crops."""
        return self.images.shape[0] * self.images.shape[1]

    def row_digests(self) -> list[bytes]:
        """One digest per requested sample: of its pixels and ids; of a bad one, of its key and reason."""
        rows = []
        for row, (key, captions) in enumerate(zip(self.keys, self.captions, strict=True)):
            found = hashlib.sha256(repr((self.source, key, captions)).encode())
            for part in (self.images, self.crops, self.texts):
                found.update(part[:, row].cpu().contiguous().numpy().tobytes())
            rows.append(found.digest())
        return with_bad_samples(rows, self.bad_samples, lambda bad: (bad.key, bad.reason))


def collate_views(
    items: Sequence[Sample | BadSample],
    tokenizer: Tokenizer,
    length: int,
    sizes: tuple[int, int],
    counts: tuple[int, int],
    source: str = "",
) -> ViewBatch:
    """Collates samples with captions as `texts` and (large crops, small crops) as `frames`.

    length: of token rows; sizes: sides of large and small crops; counts: numbers of large and small crops per sample.
    """
    readable = [item for item in items if isinstance(item, Sample)]
    images, crops = (
        torch.from_numpy(np.stack([one.frames[kind] for one in readable], 1))
        if readable
        else torch.zeros(counts[kind], 0, 3, sizes[kind], sizes[kind], dtype=torch.uint8)
        for kind in (0, 1)
    )
    texts = torch.full((sum(counts), len(readable), length), PADDING, dtype=torch.long)
    for row, one in enumerate(readable):
        for view, caption in enumerate(one.texts):
            ids = tokenize_caption(caption, tokenizer, length)
            texts[view, row, : len(ids)] = torch.tensor(ids)
    return ViewBatch(
        images=images,
        crops=crops,
        texts=texts,
        keys=tuple(one.key for one in readable),
        captions=tuple(one.texts for one in readable),
        bad_samples=tuple(replace(one, place=place) for place, one in enumerate(items) if isinstance(one, BadSample)),
        source=source,
    )


def tokenize_caption(text: str, tokenizer: Tokenizer, length: int) -> list[int]:
    """`<begin> words <end>`, at most `length` ids: the end is kept, since texts are pooled there."""
    words = tokenizer.encode_words(text)
    return [tokenizer.begin, *words[: length - 2], tokenizer.end]
