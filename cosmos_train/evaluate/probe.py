"""Probes: are captions of held-out clips right slot by slot, and do frames find their text among others?

A clip's own text in the shards gives the truth, parsed by the same table of slots; clips with a text that leaves a slot
open are skipped. Next to each score: the score with the frames of other clips, and chance. Costs a caption and two
embeddings per clip; a probe keeps its clips and can be asked repeatedly during training.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosmos_train.errors import UserError
from cosmos_train.evaluate.clips import Embedded, alone, batches
from cosmos_train.evaluate.functions import Ask, Captioned, Probed
from cosmos_train.evaluate.generate import caption
from cosmos_train.evaluate.metrics.ranking import mean
from cosmos_train.evaluate.scores import Retrieval, retrieval
from cosmos_train.evaluate.slots import Said, Slots
from cosmos_train.evaluate.subject import Subject
from cosmos_train.families.cosmo.model import CosMo, Media
from cosmos_train.recipe import Recipe
from cosmos_train.stream.settings import DataSettings
from cosmos_train.stream.tokenizer import Tokenizer

EVERY = "all"  # name of the score for all slots at once

SHOWN = 5  # samples that a probe shows with their captions

_BATCH = 32  # clips


@dataclass(frozen=True)
class SlotScore:
    """right, error: share of clips with a caption that is right in a slot, and its s.e.

    shuffled: the same with the frames of a clip of another document; chance: the best score without looking, the share
    of the commonest truth.
    """

    right: float
    error: float
    shuffled: float
    shuffled_error: float
    chance: float


@dataclass(frozen=True)
class ProbeScores:
    """By slot, and `all` for every slot at once; retrieval among texts that differ in a slot. asked: number of clips;
    open: number of skipped clips, with a text that leaves a slot open or without frames."""

    slots: dict[str, SlotScore]
    retrieval: Retrieval
    asked: int
    open: int
    examples: tuple[tuple[str, str], ...]  # (truth, caption) of the first few clips

    def numbers(self) -> dict[str, float]:
        """Flat, as metrics of a training run; `slots` is the mean over the slots."""
        found = slot_numbers(self.slots)
        ranked = self.retrieval
        found |= {
            "retrieval": ranked.recall,
            "retrieval_shuffled": ranked.shuffled,
            "retrieval_chance": ranked.chance,
            "retrieval_error": ranked.error,
        }
        return {f"probe/{name}": value for name, value in found.items()}


@dataclass(frozen=True)
class _Clip:
    frames: Tensor  # (F, 3, H, W) uint8
    times: Tensor  # (F,)
    tokens: list[int]  # the text as input of the language model's first half
    text: str
    truth: Said
    document: str


class Probe:
    """Clips of held-out shards, kept decoded: 3 F H W bytes each."""

    def __init__(self, data: DataSettings, tokenizer: Tokenizer, slots: Slots, max_clips: int = 512) -> None:
        """Raises UserError if no clip's text fills every slot."""
        self.slots = slots
        self.open = 0
        self.clips: list[_Clip] = []
        for batch in batches(alone(data), tokenizer, max_clips):
            counts = batch.media.mask.flatten(1).sum(1).tolist()
            pairs = zip(batch.pairs.tokens, batch.pairs.mask, strict=True)  # for rows with frames and text
            for row, frames in enumerate(torch.split(batch.media.frames, counts)):
                text = " ".join(batch.texts[row])
                truth = slots.read(text)
                tokens, there = next(pairs) if text and len(frames) else (None, None)
                if None in truth or tokens is None:
                    self.open += 1
                    continue
                times = batch.media.times[row][batch.media.mask[row]]
                self.clips.append(_Clip(frames, times, tokens[there].tolist(), text, truth, batch.keys[row]))
        if not self.clips:
            raise UserError(
                f"no clip of the shards has frames and a text with all of {', '.join(slots.names)}",
                "give held-out shards of the sample world, or a fitting table of slots: --slots FILE",
            )

    def ask(
        self, subject: Subject, max_tokens: int = 40, candidates: int = 64, draws: int = 10, seed: int = 0
    ) -> ProbeScores:
        """Captions every clip, and searches its text among `candidates`."""
        captions: list[str] = []
        media, texts = [], []
        with subject.asked():
            for first in range(0, len(self.clips), _BATCH):
                clips = self.clips[first : first + _BATCH]
                seen = self._media(subject, clips)
                captions += self._captions(subject, clips, seen, max_tokens)
                media.append(subject.model.media_embedding(seen.query).float().cpu())
                texts.append(self._texts(subject, clips).float().cpu())
        truth = [clip.truth for clip in self.clips]
        said = [self.slots.read(one) for one in captions]
        # A caption depends only on the frames: with another clip's frames it is the other clip's caption.
        blind = [said[number] for number in self._moved(seed)]
        scores = {
            name: slot_score([one[n] for one in truth], [one[n] for one in said], [one[n] for one in blind])
            for n, name in enumerate(self.slots.names)
        }
        scores[EVERY] = slot_score(truth, said, blind)
        own = [clip.text for clip in self.clips]
        embedded = Embedded(torch.cat(media), torch.cat(texts), own, [clip.document for clip in self.clips])
        examples = tuple(zip(own[:SHOWN], captions[:SHOWN], strict=True))
        found = retrieval(embedded, candidates, draws, seed, truth)
        return ProbeScores(scores, found, len(self.clips), self.open, examples)

    def samples(self, scores: ProbeScores) -> tuple[Captioned, ...]:
        """The examples of `scores`, each with the frame in the middle of its clip."""
        return tuple(
            Captioned(clip.document, truth, said, jpeg(clip.frames[len(clip.frames) // 2].numpy()))
            for clip, (truth, said) in zip(self.clips, scores.examples, strict=False)
        )

    def _media(self, subject: Subject, clips: Sequence[_Clip]) -> Media:
        most = max(len(clip.times) for clip in clips)
        mask, times = torch.zeros(len(clips), 1, most, dtype=torch.bool), torch.zeros(len(clips), 1, most)
        for row, clip in enumerate(clips):
            mask[row, 0, : len(clip.times)] = True
            times[row, 0, : len(clip.times)] = clip.times
        frames = torch.cat([clip.frames for clip in clips])
        device = subject.device
        return subject.model.encode_media(frames.to(device), mask.to(device), times.to(device))

    def _captions(self, subject: Subject, clips: Sequence[_Clip], media: Media, max_tokens: int) -> list[str]:
        return caption(subject.model, subject.tokenizer, media, max_tokens)

    def _texts(self, subject: Subject, clips: Sequence[_Clip]) -> Tensor:
        """Unit vectors (C, E) of the clips' own texts."""
        tokens = torch.full((len(clips), max(len(clip.tokens) for clip in clips)), subject.tokenizer.pad)
        mask = torch.zeros_like(tokens, dtype=torch.bool)
        for row, clip in enumerate(clips):
            tokens[row, : len(clip.tokens)] = torch.tensor(clip.tokens)
            mask[row, : len(clip.tokens)] = True
        return subject.model.encode_text(tokens.to(subject.device), mask.to(subject.device))

    def _moved(self, seed: int) -> list[int]:
        """For each clip one of another document, drawn at random (the same in every call)."""
        random = np.random.default_rng(seed)
        documents = np.array([clip.document for clip in self.clips])
        found = []
        for document in documents:
            others = np.flatnonzero(documents != document)
            if not len(others):
                raise UserError("a probe needs clips of at least two documents", "give more documents")
            found.append(int(random.choice(others)))
        return found


def make_probe(recipe: Recipe, heldout: DataSettings, tokenizer: Tokenizer, slots: Slots) -> Ask:
    """The probe of a CosMo in training."""
    settings = recipe.probe
    probe = Probe(heldout, tokenizer, slots, settings.clips)

    def ask(model: CosMo, device: torch.device) -> Probed:
        subject = Subject(model, tokenizer, recipe, device)
        scores = probe.ask(subject, settings.max_tokens, settings.candidates, settings.draws)
        return Probed(scores.numbers(), probe.samples(scores))

    return ask


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """(3, H, W) as a file. Costs about a millisecond."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(file, "JPEG", quality=85)
    return file.getvalue()


def slot_numbers(slots: Mapping[str, SlotScore]) -> dict[str, float]:
    """Flat; `slots` is the mean over the slots."""
    found: dict[str, float] = {}
    for name, one in slots.items():
        found |= {name: one.right, f"{name}_shuffled": one.shuffled, f"{name}_chance": one.chance}
    single = [one for name, one in slots.items() if name != EVERY]
    for name, part in (("slots", "right"), ("slots_shuffled", "shuffled"), ("slots_chance", "chance")):
        found[name] = sum(getattr(one, part) for one in single) / len(single)
    return found


def slot_score(truth: Sequence[object], said: Sequence[object], blind: Sequence[object]) -> SlotScore:
    own = mean([float(a == b) for a, b in zip(truth, said, strict=True)])
    other = mean([float(a == b) for a, b in zip(truth, blind, strict=True)])
    commonest = Counter(truth).most_common(1)[0][1] / len(truth)
    return SlotScore(own.value, own.error, other.value, other.error, commonest)
