"""The stream of batches. Its whole state is one integer: how many samples came before.

Position p of the stream is sample p % units of epoch p // units, whatever the number of workers: each position names
its document, clips, frames and augmentation by itself, so a stream restarts anywhere at the cost of one read.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from cosmos_train.recipe import DataSettings
from cosmos_train.stream.batch import Batch, Hole, Sample, collate
from cosmos_train.stream.corpus import BadSample, Clip, Corpus
from cosmos_train.stream.decode import Frame, choose, crop, decode
from cosmos_train.stream.order import Order
from cosmos_train.stream.tokenizer import Tokenizer

Decoded = list[tuple[Clip, dict[int, Frame]]]  # a document's clips, with the frames decoded so far


class Samples(Dataset[Sample | Hole]):
    """Training samples by position, without end, or (train=False) every unit once, in order, unaugmented."""

    def __init__(self, corpus: Corpus, data: DataSettings, seed: int, train: bool = True) -> None:
        self.corpus = corpus
        self.data = data
        self.seed = seed
        self.train = train
        self._order: tuple[int, Order] | None = None
        self._cache: dict[int, Decoded] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        """Samples in an epoch."""
        return self.corpus.units

    def __getitem__(self, position: int) -> Sample | Hole:
        epoch, inside = divmod(position, self.corpus.units)
        unit = self.corpus.unit(self._order_of(epoch)[inside] if self.train else inside)
        random = np.random.default_rng((self.seed, epoch, unit.document, unit.window)) if self.train else None
        try:
            return self._sample(unit.document, unit.window, epoch, random)
        except BadSample as bad:
            return Hole(bad.key, bad.reason)

    def _sample(self, document: int, window: int, epoch: int, random: np.random.Generator | None) -> Sample:
        key = self.corpus.key(document)
        clips = self._document(document)
        take = min(self.data.clips_per_sample, len(clips))
        shift = np.random.default_rng((self.seed, epoch, document)).integers(take) if self.train else 0
        first = min(window * take + int(shift), len(clips) - take)
        frames, times, texts = [], [], []
        for clip, decoded in clips[first : first + take]:
            chosen = choose(len(clip.images), self.data.frames_per_clip, random)
            stored = [self._frame(key, clip, decoded, number) for number in chosen]
            frames.append(crop(stored, self.data.image, random))
            times.append(tuple(clip.times[number] for number in chosen))
            texts.append(clip.text)
        return Sample(key, tuple(texts), tuple(frames), tuple(times))

    def _document(self, document: int) -> Decoded:
        if document in self._cache:
            return self._cache[document]
        clips: Decoded = [(clip, {}) for clip in self.corpus.clips(document)]
        size = sum(len(image) for clip, _ in clips for image in clip.images)
        if self._keep(size):
            self._cache[document] = clips
        return clips

    def _frame(self, key: str, clip: Clip, decoded: dict[int, Frame], number: int) -> Frame:
        if number in decoded:
            return decoded[number]
        try:
            frame = decode(clip.images[number], self.data.image)
        except ValueError as error:
            raise BadSample(key, f"frame at {clip.times[number]:.3f} s: {error}") from error
        if self._keep(frame.nbytes):
            decoded[number] = frame
        return frame

    def _keep(self, size: int) -> bool:
        """Whether the cache has room for `size` more bytes. It never evicts: in a random order that gains nothing."""
        if self._cached_bytes + size > self.data.cache_megabytes * 1_000_000:
            return False
        self._cached_bytes += size
        return True

    def _order_of(self, epoch: int) -> Order:
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, Order(self.corpus.units, self.seed, epoch))
        return self._order[1]


class Stream:
    """Batches without end. `position` counts samples given out, holes included: save it, and go on from there."""

    def __init__(self, samples: Samples, tokenizer: Tokenizer, batch_size: int, position: int = 0) -> None:
        self.position = position
        self.batch_size = batch_size
        data = samples.data
        self._batches: Iterator[Batch] = iter(
            DataLoader(
                samples,
                batch_sampler=_Positions(position, batch_size),
                num_workers=data.workers,
                generator=torch.Generator(),  # the default draws from the state that a resume restores
                collate_fn=partial(collate, tokenizer=tokenizer, max_tokens=data.max_tokens),
                multiprocessing_context="spawn" if data.workers else None,
            )
        )

    def next(self) -> Batch:
        batch = next(self._batches)
        self.position += self.batch_size
        return batch


class _Positions:
    """[position, …, position + size - 1], then the next ones, for ever."""

    def __init__(self, position: int, size: int) -> None:
        self.position = position
        self.size = size

    def __iter__(self) -> Iterator[list[int]]:
        position = self.position
        while True:
            yield list(range(position, position + self.size))
            position += self.size
