"""The contents of a batch of conversations: the contract between the stream and CuMo's objective."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from cosmos_train.stream.batch import IGNORED, BadSample, BatchBase, Sample, with_bad_samples
from cosmos_train.stream.talk.prompts import TokenizedTurns, Turn, tokenize_turns
from cosmos_train.stream.talk.settings import TalkSettings
from cosmos_train.stream.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class TalkBatch(BatchBase):
    """B readable samples.

    frames (N, 3, S, S) uint8: the pictures, in the order of rows; at most one per row. tokens, labels (B, L), right
    padded; a picture is a run of `<visual>`. token_mask (B, L): False on padding. pictured (B,): rows with a picture.
    """

    frames: Tensor
    tokens: Tensor
    labels: Tensor
    token_mask: Tensor
    pictured: Tensor
    texts: tuple[tuple[str, ...], ...] = ()

    @property
    def num_tokens(self) -> int:
        return int(self.token_mask.sum())

    @property
    def num_images(self) -> int:
        return len(self.frames)

    def row_digests(self) -> list[bytes]:
        """One digest per requested sample: of its pixels, ids and labels; of a bad one, of its key and reason."""
        rows, before = [], 0
        for row, (key, texts) in enumerate(zip(self.keys, self.texts, strict=True)):
            found = hashlib.sha256(repr((self.source, key, texts)).encode())
            mask = self.token_mask[row]
            for grid in (self.tokens, self.labels):
                found.update(grid[row][mask].cpu().numpy().tobytes())
            if self.pictured[row]:
                found.update(self.frames[before].cpu().contiguous().numpy().tobytes())
                before += 1
            rows.append(found.digest())
        return with_bad_samples(rows, self.bad_samples, lambda bad: (bad.key, bad.reason))


def collate_talk(
    items: Sequence[Sample | BadSample],
    tokenizer: Tokenizer,
    settings: TalkSettings,
    longest: int,
    size: int,
    source: str,
) -> TalkBatch:
    """Collates samples of `TalkSamples`. One with a picture or answers that do not fit becomes a bad sample."""
    readable: list[Sample] = []
    tokenized: list[TokenizedTurns] = []
    bad: list[BadSample] = []
    for place, item in enumerate(items):
        if isinstance(item, BadSample):
            bad.append(replace(item, place=place))
            continue
        turns = [Turn(*pair) for pair in zip(item.texts[::2], item.texts[1::2], strict=True)]
        try:
            tokenized.append(tokenize_turns(turns, tokenizer, settings, longest))
            readable.append(item)
        except ValueError as error:
            bad.append(BadSample(item.key, str(error), place))
    tokens, labels, mask = _rows(tokenized, tokenizer.pad)
    pictures = [one.frames[0] for one in readable]
    return TalkBatch(
        frames=torch.from_numpy(np.concatenate([*pictures, np.zeros((0, 3, size, size), np.uint8)])),
        tokens=tokens,
        labels=labels,
        token_mask=mask,
        pictured=torch.tensor([len(one) > 0 for one in pictures], dtype=torch.bool),
        keys=tuple(one.key for one in readable),
        texts=tuple(one.texts for one in readable),
        bad_samples=tuple(bad),
        source=source,
    )


def _rows(tokenized: Sequence[TokenizedTurns], pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """tokens, labels and their mask (B, L)."""
    width = max((len(one.ids) for one in tokenized), default=0)
    tokens = torch.full((len(tokenized), width), pad, dtype=torch.long)
    labels = torch.full_like(tokens, IGNORED)
    mask = torch.zeros_like(tokens, dtype=torch.bool)
    for row, one in enumerate(tokenized):
        ids, learned = torch.tensor(one.ids), torch.tensor(one.learned)
        tokens[row, : len(ids)] = ids
        labels[row, : len(ids)] = torch.where(learned, ids, IGNORED)
        mask[row, : len(ids)] = True
    return tokens, labels, mask
