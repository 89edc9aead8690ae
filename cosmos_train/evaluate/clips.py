"""What evaluation looks at: every clip of the given shards once, in order, unaugmented, through the model in batches.

Costs one forward pass per clip; memory is the clips' tokens and latents, so a set is cut at a number of clips.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cosmos_train.losses.language import token_losses
from cosmos_train.models.cosmo import CosMo
from cosmos_train.recipe import DataSettings
from cosmos_train.stream.batch import IGNORED, Batch, Hole, Sample, collate
from cosmos_train.stream.corpus import Corpus
from cosmos_train.stream.loader import Samples
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
    """Per sample: loss summed over its learned tokens with its own frames and with another document's; their number."""

    own: Tensor
    other: Tensor
    tokens: Tensor


def batches(data: DataSettings, tokenizer: Tokenizer, max_samples: int) -> Iterator[Batch]:
    """Batches of the first `max_samples` readable samples of `data.shards`."""
    corpus = Corpus(data.shards, data.text, data.clips_per_sample)
    samples = Samples(corpus, data, seed=0, train=False)
    held: list[Sample | Hole] = []
    for number in range(min(len(samples), max_samples)):
        held.append(samples[number])
        if len(held) == _BATCH or number == min(len(samples), max_samples) - 1:
            batch = collate(held, tokenizer, data.max_tokens)
            held = []
            if len(batch):
                yield batch


@torch.inference_mode()
def embed(model: CosMo, data: DataSettings, tokenizer: Tokenizer, max_clips: int, device: torch.device) -> Embedded:
    """Embeddings of the first `max_clips` clips, each alone."""
    media, text = [], []
    texts: list[str] = []
    documents: list[str] = []
    single = data.model_copy(update={"clips_per_sample": 1})
    for batch in batches(single, tokenizer, max_clips):
        there = batch.to(device)
        encoded = model.encode_media(there.frames, there.frame_mask, there.frame_times)
        media.append(model.media_embedding(encoded.query).cpu())
        text.append(model.encode_text(there.clip_tokens, there.clip_token_mask).cpu())
        texts += [one for row in batch.texts for one in row]
        documents += list(batch.keys)
    if not media:
        raise _nothing(data)
    return Embedded(torch.cat(media), torch.cat(text), texts, documents)


@torch.inference_mode()
def language_losses(
    model: CosMo, data: DataSettings, tokenizer: Tokenizer, max_samples: int, device: torch.device
) -> LanguageLosses:
    """Losses of the first `max_samples` samples.

    Each also sees the frames of the next sample from another document that has as many clips; samples without such
    another are left out.
    """
    kept = list(batches(data, tokenizer, max_samples))
    if not kept:
        raise _nothing(data)
    media: list[Tensor] = []
    for batch in kept:
        there = batch.to(device)
        tokens = model.encode_media(there.frames, there.frame_mask, there.frame_times).tokens
        media += [row[mask] for row, mask in zip(tokens, there.clip_mask, strict=True)]
    partner = derangement([key for batch in kept for key in batch.keys], [len(one) for one in media])
    own, other, counts = [], [], []
    first = 0
    for batch in kept:
        there = batch.to(device)
        rows = range(first, first + len(batch))
        first += len(batch)
        usable = torch.tensor([partner[row] is not None for row in rows])
        right = _stack([media[row] for row in rows])
        wrong = _stack([media[row if partner[row] is None else partner[row]] for row in rows])  # type: ignore[index]
        own.append(token_losses(model(there.tokens, right)[0], there.labels).sum(1).cpu()[usable])
        other.append(token_losses(model(there.tokens, wrong)[0], there.labels).sum(1).cpu()[usable])
        counts.append((batch.labels[:, 1:] != IGNORED).sum(1)[usable])
    return LanguageLosses(torch.cat(own), torch.cat(other), torch.cat(counts))


def derangement(documents: list[str], clips: list[int]) -> list[int | None]:
    """For each sample the next one, cyclically, from another document with as many clips; None where there is none."""
    count = len(documents)
    found: list[int | None] = []
    for row in range(count):
        others = ((row + step) % count for step in range(1, count))
        found.append(next((o for o in others if documents[o] != documents[row] and clips[o] == clips[row]), None))
    return found


def _stack(rows: list[Tensor]) -> Tensor:
    """Samples of (T, n, D) with differing T to one (B, T, n, D), zero where there is no clip."""
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def _nothing(data: DataSettings) -> Exception:
    from cosmos_train.errors import UserError

    return UserError(f"no sample of {data.shards} can be read", "check the shards: interlink verify")
