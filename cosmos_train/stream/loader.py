"""Training samples by position. A sample depends only on its position, so a stream can resume anywhere at once.

Position p of a source is sample p % units of epoch p // units, for any number of ranks and workers. The position gives
document, clips, frames and augmentation, at the cost of one read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset

from cosmos_train.stream import video
from cosmos_train.stream.batch import BadSample, Sample
from cosmos_train.stream.corpus import BadDocument, Corpus
from cosmos_train.stream.decode import Frame, choose, choose_times, crop, decode
from cosmos_train.stream.formats import Clip, Document
from cosmos_train.stream.index import Lengths
from cosmos_train.stream.order import Order
from cosmos_train.stream.settings import DataSettings
from cosmos_train.stream.shards import OnRead, unwatched
from cosmos_train.stream.tar import Members


@dataclass(frozen=True)
class Place:
    """The meaning of a position: a run of clips of a document in an epoch."""

    epoch: int
    document: int
    window: int


@dataclass(frozen=True)
class Decoded:
    """A clip of a sample before augmentation: times in seconds, frames (H, W, 3)."""

    text: str
    times: tuple[float, ...]
    frames: list[Frame]


class Samples(Dataset[Sample | BadSample]):
    """Training samples by position, without end, or (train=False) every unit once, in order, unaugmented."""

    def __init__(self, corpus: Corpus, data: DataSettings, seed: int, train: bool = True) -> None:
        self.corpus = corpus
        self.data = data
        self.seed = seed
        self.train = train
        self._order: tuple[int, Order] | None = None
        self._documents: dict[int, Document] = {}
        self._frames: dict[tuple[int, int, int], Frame] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        """Number of samples in an epoch."""
        return self.corpus.units

    def __getitem__(self, position: int) -> Sample | BadSample:
        return self.at(self.place(position))

    def many(
        self, positions: Sequence[int], images: Sequence[int] | None = None, on_read: OnRead = unwatched
    ) -> list[Sample | BadSample]:
        """The samples at positions, with their documents read together; each with at most `images` frames."""
        places = [self.place(position) for position in positions]
        absent = sorted({place.document for place in places} - self._documents.keys())
        read = dict(zip(absent, self.corpus.reader.read_many(absent, on_read), strict=True))
        limits = [None] * len(places) if images is None else images
        return [self.at(place, read.get(place.document), most) for place, most in zip(places, limits, strict=True)]

    def place(self, position: int) -> Place:
        epoch, inside = divmod(position, self.corpus.units)
        unit = self.corpus.unit(self._order_of(epoch)[inside] if self.train else inside)
        return Place(epoch, unit.document, unit.window)

    def at(
        self, place: Place, members: Members | Exception | None = None, most: int | None = None
    ) -> Sample | BadSample:
        try:
            return self._sample(place, members, most)
        except BadDocument as bad:
            return BadSample(bad.key, f"{bad.reason} (in {self.corpus.shard(place.document)})")

    def size(self, position: int, lengths: Lengths) -> tuple[int, int]:
        """(tokens, frames) of the sample at a position, if its document can be read."""
        place = self.place(position)
        first, last = lengths.first[place.document : place.document + 2]
        run = self._run(place, int(last - first))
        clips = slice(int(first) + run.start, int(first) + run.stop)
        tokens = 2 + int(lengths.tokens[clips].sum())
        return min(tokens, self.data.max_tokens), int(
            np.minimum(lengths.frames[clips], self.data.frames_per_clip).sum()
        )

    def _run(self, place: Place, clips: int) -> range:
        """The numbers of a document's clips to use: the start of runs shifts from epoch to epoch.

        A document may have fewer usable clips than its shard's index says. In training, the surplus runs start at
        random clips, so that the last clips are not seen more often than others; else they repeat the last run. Runs
        that would start before the first clip or end after the last are moved inside, so the outer clips get their
        share.
        """
        take = min(self.data.clips_per_sample, clips)
        first = place.window * take
        if self.train and first >= clips:
            drawn = np.random.default_rng((self.seed, place.epoch, place.document, place.window))
            first = int(drawn.integers(1 - take, clips))
        elif self.train and take > 1:
            first += int(np.random.default_rng((self.seed, place.epoch, place.document)).integers(1 - take, take))
        first = min(max(0, first), clips - take)
        return range(first, first + take)

    def _sample(self, place: Place, members: Members | Exception | None, most: int | None) -> Sample:
        document = self._document(place.document, members)
        return self.augment(place, self.decode(place, document, most), document.page)

    def decode(self, place: Place, document: Document, most: int | None = None) -> list[Decoded]:
        """The clips of a sample with the frames to use, up to a limit. Raises BadDocument."""
        random = self._random(place, 0)
        clips = document.clips(self._random(place, 2) if document.matching is not None else None)
        found = []
        left = most
        for number in self._run(place, len(clips)):
            times, frames = self._stored(place.document, document, number, clips[number], random)
            if left is not None:
                if len(times) > left:
                    break  # the document or its matching has changed: leave out what does not fit
                left -= len(times)
            found.append(Decoded(clips[number].text, times, frames))
        return found

    def augment(self, place: Place, decoded: Sequence[Decoded], page: bool = False) -> Sample:
        """Crops and jitters. page: as of the document."""
        random = self._random(place, 1)
        size = self.data.image.size
        frames = [
            crop(clip.frames, self.data.image, random) if clip.frames else np.zeros((0, 3, size, size), np.uint8)
            for clip in decoded
        ]
        key = self.corpus.key(place.document)
        return Sample(key, tuple(c.text for c in decoded), tuple(frames), tuple(c.times for c in decoded), page)

    def _random(self, place: Place, purpose: int) -> np.random.Generator | None:
        """purpose: 0 which frames, 1 their augmentation, 2 MMC4's matching (the same for all runs of a document)."""
        if not self.train:
            return None
        window = place.window if purpose < 2 else 0
        return np.random.default_rng((self.seed, place.epoch, place.document, window, purpose))

    def _stored(
        self, number: int, document: Document, of: int, clip: Clip, random: np.random.Generator | None
    ) -> tuple[tuple[float, ...], list[Frame]]:
        """Times and decoded frames of a clip, as many as needed."""
        wanted, key = self.data.frames_per_clip, self.corpus.key(number)
        if clip.span is not None:
            try:
                end = min(clip.span[1], video.duration(document.video))
                at = choose_times(clip.span[0], end, wanted, random)
                image = self.data.image
                return at, video.frames_at(document.video, at, round(image.size * image.stored_scale))
            except ValueError as error:
                raise BadDocument(key, f"its video {error}") from error
        chosen = choose(len(clip.images), wanted, random)
        fixed = document.matching is None
        return (
            tuple(clip.times[n] for n in chosen),
            [self._frame(key, (number, of, n) if fixed else None, clip, n) for n in chosen],
        )

    def _document(self, number: int, members: Members | Exception | None) -> Document:
        if number in self._documents:
            return self._documents[number]
        document = self.corpus.document(number, members)
        size = len(document.video) + sum(len(image) for clip in document.fixed for image in clip.images)
        if document.matching is not None:
            size += sum(len(image) for image in document.matching.images)
        if self._keep(size):
            self._documents[number] = document
        return document

    def _frame(self, key: str, cached_as: tuple[int, int, int] | None, clip: Clip, number: int) -> Frame:
        if cached_as in self._frames:
            return self._frames[cached_as]
        try:
            frame = decode(clip.images[number], self.data.image)
        except ValueError as error:
            raise BadDocument(key, f"frame at {clip.times[number]:.3f} s: {error}") from error
        if cached_as is not None and self._keep(frame.nbytes):
            self._frames[cached_as] = frame
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
