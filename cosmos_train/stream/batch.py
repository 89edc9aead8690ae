"""What a training sample and a batch are: the contract between the stream and the objectives.

Frames travel as uint8 and are normalised on the device. Shapes: B samples, T clips each, F frames a clip, L tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosmos_train.stream.tokenizer import Tokenizer

IGNORED = -100  # label of tokens that no loss is taken on


@dataclass(frozen=True)
class Sample:
    """Adjacent clips of one document, decoded. texts, frames ((f, 3, H, W) uint8), times (s): one item per clip."""

    key: str
    texts: tuple[str, ...]
    frames: tuple[NDArray[np.uint8], ...]
    times: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Hole:
    """The place of a sample that could not be read: it keeps its position, so that nothing after it shifts."""

    key: str
    reason: str


@dataclass(frozen=True)
class Batch:
    """Tensors of the readable samples; `holes` names the others.

    frames: (N, 3, H, W) uint8, those that frame_mask (B, T, F) marks, in its order. frame_times: (B, T, F) seconds
    since the clip's first frame. tokens, labels: (B, L); token_mask (B, L) is False on padding; first_clip_mask (B, L)
    is True on `<s>` and the first clip. clip_tokens, clip_token_mask: (C, Lc), every clip alone, sample by sample: the
    C True places of clip_mask (B, T) in order. caption_group: (C,), equal for clips whose texts are equal.
    """

    frames: Tensor
    frame_mask: Tensor
    frame_times: Tensor
    clip_mask: Tensor
    tokens: Tensor
    labels: Tensor
    token_mask: Tensor
    first_clip_mask: Tensor
    clip_tokens: Tensor
    clip_token_mask: Tensor
    caption_group: Tensor
    keys: tuple[str, ...] = ()
    texts: tuple[tuple[str, ...], ...] = ()
    holes: tuple[Hole, ...] = ()

    def __len__(self) -> int:
        """Readable samples."""
        return len(self.keys)

    def to(self, device: torch.device) -> Batch:
        moved = {f.name: value.to(device) for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)}
        return replace(self, **moved)  # type: ignore[arg-type]

    def digest(self) -> str:
        """sha256 of everything in it, to compare the batches of two runs."""
        found = hashlib.sha256(repr((self.keys, self.texts, self.holes)).encode())
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                found.update(value.contiguous().cpu().numpy().tobytes())
        return found.hexdigest()


def clip_ids(text: str, tokenizer: Tokenizer) -> list[int]:
    """`<visual>text<|endofchunk|>`: one clip as the language model sees it."""
    return [tokenizer.visual, *tokenizer.encode(text), tokenizer.end_of_chunk]


def collate(items: Sequence[Sample | Hole], tokenizer: Tokenizer, max_tokens: int) -> Batch:
    """`<s>` + `<visual>text<|endofchunk|>` per clip + `</s>`, cut at max_tokens and padded to the longest.

    Learned are words, `<|endofchunk|>` and `</s>`; not `<s>`, `<visual>` and padding (the paper's rule).
    """
    samples = [item for item in items if isinstance(item, Sample)]
    holes = tuple(item for item in items if isinstance(item, Hole))
    clips = [[clip_ids(text, tokenizer) for text in sample.texts] for sample in samples]
    rows = [[tokenizer.begin, *(i for ids in row for i in ids), tokenizer.end][:max_tokens] for row in clips]
    alone = [[tokenizer.begin, *ids][:max_tokens] for row in clips for ids in row]
    tokens, token_mask = _pad(rows, tokenizer.pad)
    clip_tokens, clip_token_mask = _pad(alone, tokenizer.pad)
    unlearned = ~token_mask | (tokens == tokenizer.visual)
    unlearned[:, :1] = True
    first_lengths = torch.tensor([1 + len(row[0]) for row in clips], dtype=torch.long)
    first_clip_mask = torch.arange(tokens.shape[1])[None] < first_lengths[:, None]
    most_clips = max((len(sample.texts) for sample in samples), default=0)
    most_frames = max((len(times) for sample in samples for times in sample.times), default=0)
    frame_mask = torch.zeros(len(samples), most_clips, most_frames, dtype=torch.bool)
    frame_times = torch.zeros(len(samples), most_clips, most_frames)
    groups: dict[str, int] = {}
    caption_group = []
    for row, sample in enumerate(samples):
        for clip, (text, times) in enumerate(zip(sample.texts, sample.times, strict=True)):
            frame_mask[row, clip, : len(times)] = True
            frame_times[row, clip, : len(times)] = torch.tensor([time - times[0] for time in times])
            caption_group.append(groups.setdefault(text.casefold(), len(groups)))
    stacked = [frames for sample in samples for frames in sample.frames]
    return Batch(
        frames=torch.from_numpy(np.concatenate(stacked)) if stacked else torch.zeros(0, 3, 1, 1, dtype=torch.uint8),
        frame_mask=frame_mask,
        frame_times=frame_times,
        clip_mask=frame_mask.any(-1) if most_frames else torch.zeros(len(samples), most_clips, dtype=torch.bool),
        tokens=tokens,
        labels=tokens.masked_fill(unlearned, IGNORED),
        token_mask=token_mask,
        first_clip_mask=first_clip_mask,
        clip_tokens=clip_tokens,
        clip_token_mask=clip_token_mask,
        caption_group=torch.tensor(caption_group, dtype=torch.long),
        keys=tuple(sample.key for sample in samples),
        texts=tuple(sample.texts for sample in samples),
        holes=holes,
    )


def _pad(rows: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    width = max((len(row) for row in rows), default=0)
    tokens = torch.full((len(rows), width), pad, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for number, row in enumerate(rows):
        tokens[number, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[number, : len(row)] = True
    return tokens, mask
