"""Probes: whether captions of held-out clips are right, slot by slot, and what they are worth with other clips' frames.

The truth of a clip is what its own text in the shards says, read by the same table of slots; clips whose text leaves a
slot open are not asked. Costs two captions per clip; made once, a probe holds its clips and can be asked during
training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cosmos_train.errors import UserError
from cosmos_train.evaluate.clips import alone, batches
from cosmos_train.evaluate.generate import caption
from cosmos_train.evaluate.metrics.ranking import mean
from cosmos_train.evaluate.slots import Said, Slots
from cosmos_train.evaluate.subject import Subject
from cosmos_train.models.cosmo import Media
from cosmos_train.stream.settings import DataSettings
from cosmos_train.stream.tokenizer import Tokenizer

EVERY = "all"  # the name of all slots being right at once

_BATCH = 32  # clips


@dataclass(frozen=True)
class SlotScore:
    """right, error: share of clips whose caption says the truth in a slot, and its s.e.

    shuffled: the same with the frames of a clip of another document; chance: the most a caption that never looks can
    get: the share of the commonest truth.
    """

    right: float
    error: float
    shuffled: float
    shuffled_error: float
    chance: float


@dataclass(frozen=True)
class ProbeScores:
    """By slot, and `all` for every slot at once. asked: clips; open: those passed over, whose own text leaves a
    slot open or that have no frames."""

    slots: dict[str, SlotScore]
    asked: int
    open: int
    examples: tuple[tuple[str, str], ...]  # (truth, said) of the first few clips

    def numbers(self) -> dict[str, float]:
        """Flat, as metrics of a training run."""
        found: dict[str, float] = {}
        for name, one in self.slots.items():
            found |= {f"probe_{name}": one.right, f"probe_{name}_shuffled": one.shuffled}
        return found


@dataclass(frozen=True)
class _Clip:
    frames: Tensor  # (F, 3, H, W) uint8
    times: Tensor  # (F,)
    text: str
    truth: Said
    document: str


class Probe:
    """Clips of shards that are not trained on, kept decoded: 3 F H W bytes each."""

    def __init__(self, data: DataSettings, tokenizer: Tokenizer, slots: Slots, max_clips: int = 512) -> None:
        """Raises UserError where no clip's text fills every slot."""
        self.slots = slots
        self.open = 0
        self.clips: list[_Clip] = []
        for batch in batches(alone(data), tokenizer, max_clips):
            counts = batch.frame_mask.flatten(1).sum(1).tolist()
            for row, frames in enumerate(torch.split(batch.frames, counts)):
                text = " ".join(batch.texts[row])
                truth = slots.read(text)
                if None in truth or not len(frames):
                    self.open += 1
                    continue
                times = batch.frame_times[row][batch.frame_mask[row]]
                self.clips.append(_Clip(frames, times, text, truth, batch.keys[row]))
        if not self.clips:
            raise UserError(
                f"no clip of the shards has frames and a text that says all of {', '.join(slots.names)}",
                "give held-out shards of the sample world, or a table of slots that fits: --slots FILE",
            )

    def ask(self, subject: Subject, max_tokens: int = 40, seed: int = 0) -> ProbeScores:
        """Captions every clip with its own frames and with another document's."""
        own, other = [], []
        with subject.asked():
            for first in range(0, len(self.clips), _BATCH):
                own += self._captions(subject, self.clips[first : first + _BATCH], max_tokens)
            moved = [self.clips[number] for number in self._moved(seed)]
            for first in range(0, len(moved), _BATCH):
                other += self._captions(subject, moved[first : first + _BATCH], max_tokens)
        truth = [clip.truth for clip in self.clips]
        said, blind = [self.slots.read(one) for one in own], [self.slots.read(one) for one in other]
        scores = {
            name: _score([one[n] for one in truth], [one[n] for one in said], [one[n] for one in blind])
            for n, name in enumerate(self.slots.names)
        }
        scores[EVERY] = _score(truth, said, blind)
        examples = tuple((clip.text, one) for clip, one in zip(self.clips[:5], own, strict=False))
        return ProbeScores(scores, len(self.clips), self.open, examples)

    def _captions(self, subject: Subject, clips: Sequence[_Clip], max_tokens: int) -> list[str]:
        most = max(len(clip.times) for clip in clips)
        mask, times = torch.zeros(len(clips), 1, most, dtype=torch.bool), torch.zeros(len(clips), 1, most)
        for row, clip in enumerate(clips):
            mask[row, 0, : len(clip.times)] = True
            times[row, 0, : len(clip.times)] = clip.times
        frames = torch.cat([clip.frames for clip in clips])
        device = subject.device
        media: Media = subject.model.encode_media(frames.to(device), mask.to(device), times.to(device))
        return caption(subject.model, subject.tokenizer, media, max_tokens)

    def _moved(self, seed: int) -> list[int]:
        """For each clip one of another document, drawn at random (the same draw at every call)."""
        random = np.random.default_rng(seed)
        documents = np.array([clip.document for clip in self.clips])
        found = []
        for document in documents:
            others = np.flatnonzero(documents != document)
            if not len(others):
                raise UserError("a probe needs clips of at least two documents", "give more documents")
            found.append(int(random.choice(others)))
        return found


def _score(truth: Sequence[object], said: Sequence[object], blind: Sequence[object]) -> SlotScore:
    own = mean([float(a == b) for a, b in zip(truth, said, strict=True)])
    other = mean([float(a == b) for a, b in zip(truth, blind, strict=True)])
    commonest = Counter(truth).most_common(1)[0][1] / len(truth)
    return SlotScore(own.value, own.error, other.value, other.error, commonest)
