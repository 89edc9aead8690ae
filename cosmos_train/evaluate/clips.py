"""The input of evaluation: every clip of the given shards once, in order, unaugmented, through the model in batches.

Costs one forward pass per clip. Memory holds the clips' tokens and latents, so the number of clips is limited.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cosmos_train.families.cosmo.model import CosMo
from cosmos_train.losses.language import token_losses
from cosmos_train.stream.batch import IGNORED, BadSample, Batch, Sample
from cosmos_train.stream.collate import collate
from cosmos_train.stream.corpus import Corpus
from cosmos_train.stream.loader import Samples
from cosmos_train.stream.settings import DataSettings
from cosmos_train.stream.tokenizer import Tokenizer

_BATCH = 32  # samples in a forward pass


@dataclass(frozen=True)
class Embedded:
    """C clips: unit vectors media and text (C, E), their texts and the documents they are from."""

    media: Tensor
    text: Tensor
    texts: list[str]
    documents: list[str]


@dataclass(frozen=True)
class LanguageLosses:
    """Per sample: loss summed over learned tokens, with its own frames and with another document's; number of
    tokens."""

    own: Tensor
    other: Tensor
    tokens: Tensor


def batches(data: DataSettings, tokenizer: Tokenizer, max_samples: int) -> Iterator[Batch]:
    """Batches of the first `max_samples` samples of the shards, source by source.

    If a document has fewer usable clips than its shard's index says, its last clip repeats: repeats are skipped.
    """
    for name, own in data.named():
        corpus = Corpus(own.shards, own.text, own.clips_per_sample, own.match_threshold, own.match_noise)
        samples = Samples(corpus, own, seed=0, train=False)
        count = min(len(samples), max_samples)
        max_samples -= count
        last: Sample | BadSample | None = None
        for first in range(0, count, _BATCH):
            held: list[Sample | BadSample] = []
            for one in samples.many(range(first, min(first + _BATCH, count))):
                if not _same(last, one):
                    held.append(one)
                last = one
            batch = collate(held, tokenizer, own.max_tokens, name)
            if len(batch):
                yield batch


@torch.inference_mode()
def embed(model: CosMo, data: DataSettings, tokenizer: Tokenizer, max_clips: int, device: torch.device) -> Embedded:
    """Embeddings of those of the first `max_clips` clips that have frames and text, each alone."""
    media, text = [], []
    texts: list[str] = []
    documents: list[str] = []
    for batch in batches(alone(data), tokenizer, max_clips):
        there = batch.to(device)
        encoded = model.encode_media(there.media.frames, there.media.mask, there.media.times)
        media.append(model.media_embedding(encoded.query[there.pairs.clip]).cpu())
        text.append(model.encode_text(there.pairs.tokens, there.pairs.mask).cpu())
        row_of_clip = batch.media.clip_mask.nonzero()[:, 0]
        for row in row_of_clip[batch.pairs.clip].tolist():
            texts.append(batch.texts[row][0])
            documents.append(batch.keys[row])
    if not texts:
        raise _nothing(data)
    return Embedded(torch.cat(media), torch.cat(text), texts, documents)


def _same(one: Sample | BadSample | None, other: Sample | BadSample) -> bool:
    return (
        isinstance(one, Sample)
        and isinstance(other, Sample)
        and (one.key, one.texts, one.times) == (other.key, other.texts, other.times)
        and all(np.array_equal(a, b) for a, b in zip(one.frames, other.frames, strict=True))
    )


def alone(data: DataSettings) -> DataSettings:
    """The same shards, one clip a sample."""
    sources = {name: one.model_copy(update={"clips_per_sample": None}) for name, one in data.sources.items()}
    return data.model_copy(update={"clips_per_sample": 1, "sources": sources})


@torch.inference_mode()
def language_losses(
    model: CosMo, data: DataSettings, tokenizer: Tokenizer, max_samples: int, device: torch.device
) -> LanguageLosses:
    """Losses of the first `max_samples` samples.

    Each also runs with the frames of the next sample of another document with the same number of clips; samples without
    such a partner are left out.
    """
    kept = list(batches(data, tokenizer, max_samples))
    if not kept:
        raise _nothing(data)
    media: list[Tensor] = []
    for batch in kept:
        there = batch.to(device)
        tokens = model.encode_media(there.media.frames, there.media.mask, there.media.times).tokens
        media += [row[mask] for row, mask in zip(tokens, there.media.clip_mask, strict=True)]
    partner = derangement([key for batch in kept for key in batch.keys], [len(one) for one in media])
    own, other, counts = [], [], []
    first = 0
    for batch in kept:
        tokens, labels = batch.rows.tokens.to(device), batch.rows.labels.to(device)
        rows = range(first, first + len(batch))
        first += len(batch)
        usable = torch.tensor([partner[row] is not None for row in rows])
        right = _stack([media[row] for row in rows])
        wrong = _stack([media[row if partner[row] is None else partner[row]] for row in rows])  # type: ignore[index]
        own.append(token_losses(model(tokens, right)[0], labels).sum(1).cpu()[usable])
        other.append(token_losses(model(tokens, wrong)[0], labels).sum(1).cpu()[usable])
        counts.append((batch.rows.labels[:, 1:] != IGNORED).sum(1)[usable])
    return LanguageLosses(torch.cat(own), torch.cat(other), torch.cat(counts))


def derangement(documents: list[str], clips: list[int]) -> list[int | None]:
    """For each sample the next one, cyclically, of another document with the same number of clips; None if there is
    none."""
    count = len(documents)
    found: list[int | None] = []
    for row in range(count):
        others = ((row + step) % count for step in range(1, count))
        found.append(next((o for o in others if documents[o] != documents[row] and clips[o] == clips[row]), None))
    return found


def _stack(rows: list[Tensor]) -> Tensor:
    """Samples of (T, n, D) with different T as one (B, T, n, D), zero where there is no clip."""
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def _nothing(data: DataSettings) -> Exception:
    from cosmos_train.errors import UserError

    shards = ", ".join(str(own.shards) for _, own in data.named())
    return UserError(f"no sample of {shards} can be read", "check the shards: interlink verify")
