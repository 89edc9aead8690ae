"""The documents of a set of shards by number, and the samples (units) that they give.

Reading costs one range read per document. A document of n clips gives ceil(n / clips_per_sample) units per epoch: runs
of adjacent clips that together cover every clip about once; their start shifts from epoch to epoch.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from cosmos_train.errors import UserError
from cosmos_train.stream.formats import Clip, Document, read
from cosmos_train.stream.index import Lengths, identity, lengths_of
from cosmos_train.stream.shards import Reader
from cosmos_train.stream.tar import Members
from cosmos_train.stream.tokenize import tokenize_clip
from cosmos_train.stream.tokenizer import Tokenizer
from interlink.shards.tar import Notes

__all__ = ["BadDocument", "Clip", "Corpus", "Unit"]

log = logging.getLogger(__name__)

_OF_VIDEO = 1 << 15  # number of frames that a span of video counts as: no limit
_MEASURED_AT_OPENING = 20_000  # documents; more need the sidecars of `cosmos_train index`


class BadDocument(Exception):
    """A document that cannot be used: `key` names it, the message gives the reason."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key
        self.reason = reason


@dataclass(frozen=True)
class Unit:
    """One training sample of an epoch: the `window`-th run of clips of a document."""

    document: int
    window: int


class Corpus:
    """All documents below the given paths, in the order of the sorted shards."""

    def __init__(
        self,
        paths: str | Sequence[str],
        text: Sequence[str],
        clips_per_sample: int,
        match_threshold: float = 0.24,
        match_noise: float = 0.04,
        setting: str = "data.shards",
    ) -> None:
        """setting: the recipe's key for `paths`, for the error if there are none."""
        wanted = [paths] if isinstance(paths, str) else list(paths)
        if not any(wanted):
            raise UserError(f"the recipe has no {setting}", f"give the shards: --set {setting}=PATH", 2)
        self.text = tuple(text)
        self.clips_per_sample = clips_per_sample
        self._matching = (match_threshold, match_noise)
        self.reader = Reader(wanted)
        self.size = len(self.reader)
        if not self.size:
            raise UserError(f"there are no documents in {', '.join(wanted)}", "build shards first: interlink build")
        counts = self.reader.clips().astype(np.int64)
        notes: dict[str, Notes] = {}
        for document in np.flatnonzero(counts == 0):  # not in the index: read the documents, at one read each
            counts[document] = self._clip_count(int(document), notes)
        for shard, noted in notes.items():
            for note in noted.lines():
                log.warning("%s: %s", shard, note)
        self._ends = np.cumsum(np.maximum(1, -(-counts // clips_per_sample)))

    @property
    def units(self) -> int:
        """Number of samples in an epoch."""
        return int(self._ends[-1])

    def unit(self, number: int) -> Unit:
        """The unit with that number, 0 to units - 1."""
        document = int(np.searchsorted(self._ends, number, side="right"))
        return Unit(document, number - (int(self._ends[document - 1]) if document else 0))

    def units_of(self, document: int) -> int:
        """Number of units of a document."""
        return int(self._ends[document] - (self._ends[document - 1] if document else 0))

    def signature(self) -> str:
        """A digest of an epoch's contents: other shards give another digest."""
        digest = hashlib.sha256(f"{self.clips_per_sample} {self.text} {self._matching}".encode())
        for columns in self.reader.columns:
            digest.update(columns.digest())
        return digest.hexdigest()

    def key(self, document: int) -> str:
        return self.reader.key(document)

    def shard(self, document: int) -> str:
        """The name of the shard with a document."""
        return PurePosixPath(self.reader.shards[self.reader.locate(document)[0]]).name

    def document(self, number: int, members: Members | Exception | None = None) -> Document:
        """Parses a document, from its members if they have been read already. Raises BadDocument if it is not
        usable."""
        if members is None:
            members = self.reader.read_many([number])[0]
        if isinstance(members, Exception):
            raise BadDocument(self.key(number), str(members) or type(members).__name__) from members
        try:
            found = read(members, self.text, *self._matching, self.key(number))
            usable = any(clip.seen and clip.text for clip in found.clips(None))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            reason = f"is no interleaved document ({type(error).__name__}: {error})"
            raise BadDocument(self.key(number), reason) from error
        if not usable:
            why = f"; {found.lost[0]}" if found.lost else ""
            raise BadDocument(self.key(number), f"no clip has both frames and text ({', '.join(self.text)}){why}")
        return found

    def clips(self, document: int) -> list[Clip]:
        """The clips of a document. Raises BadDocument if it is damaged or has no clip with frames and text."""
        return list(self.document(document).clips(None))

    def texts(self) -> Iterator[str]:
        """The text of every usable clip, in order; skips documents that cannot be read."""
        for document in range(self.size):
            try:
                clips = self.clips(document)
            except BadDocument:
                continue  # the stream counts it
            yield from (clip.text for clip in clips if clip.text)

    def lengths(self, tokenizer: Tokenizer) -> Lengths:
        """Tokens and frames of every clip: from the sidecars, or counted now if there are few documents.

        Raises UserError if counting would take long.
        """
        found = self.reader.lengths(identity(tokenizer, self.text))
        if found is not None:
            return found
        if self.size > _MEASURED_AT_OPENING:
            raise UserError(
                f"packing, and weights by tokens, need the lengths of all {self.size} samples",
                "count them once: cosmos_train index RECIPE",
            )
        return lengths_of([self._counted(document, tokenizer) for document in range(self.size)])

    def count(self, clips: Sequence[Clip], tokenizer: Tokenizer) -> list[tuple[int, int]]:
        """(tokens, frames) of each clip."""
        return [
            (len(tokenize_clip(clip.text, tokenizer, clip.seen)), len(clip.images) or (_OF_VIDEO if clip.seen else 0))
            for clip in clips
        ]

    def _counted(self, document: int, tokenizer: Tokenizer) -> list[tuple[int, int]]:
        try:
            return self.count(self.clips(document), tokenizer)
        except BadDocument:
            return [(1, 0)]  # keeps its position

    def _clip_count(self, document: int, notes: dict[str, Notes]) -> int:
        """The clips of a document. notes: takes the images that its page lacks, by shard."""
        try:
            found = self.document(document)
        except BadDocument:
            return 1  # keeps its position; the stream counts it
        for why in found.lost:
            notes.setdefault(self.shard(document), Notes()).add(
                f"pictures missing from pages: {why}", self.key(document)
            )
        return len(found.clips(None))
