"""The contents of a batch: the contract between the stream and the objectives, for plain and for packed rows.

B rows of L tokens. A plain row is one sample; a packed row is several, concatenated, that must not see each other.
D samples ("documents"), C clips with frames (one `<visual>` each), P clips with frames and text, S samples where the
first clip with frames has text. Frames travel as uint8 and are normalised on the device.

What a token may see:
  of other tokens: those before it (and itself) with the same `document`; padding (document -1) sees nothing and nothing
  sees it. A packed row may be all padding (its samples were bad): models must stay finite there.
  of media, numbered along its own row (the T of media.mask, `<visual>` tokens in order):
    immediate:  the one numbered media_upto - 1, if media_upto > media_from
    all:        those numbered media_from, ..., media_upto - 1
  So a row without packing has document 0, position 0, 1, ..., media_from 0, and media_upto the number of `<visual>`
  at or before the token.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosmos_train.stream.records import map_leaves
from cosmos_train.stream.tokenize import IGNORED as IGNORED

Self = TypeVar("Self", bound="BatchBase")


@dataclass(frozen=True)
class Sample:
    """Adjacent clips of one document, decoded. texts, frames ((f, 3, H, W) uint8), times (s): one item per clip.

    A clip without frames (f = 0) is only text and has no `<visual>`; a clip without text is only `<visual>`. page:
    whether it comes from a web page, where other rules for labels apply (`tokenize_sample`).
    """

    key: str
    texts: tuple[str, ...]
    frames: tuple[NDArray[np.uint8], ...]
    times: tuple[tuple[float, ...], ...]
    page: bool = False


@dataclass(frozen=True)
class BadSample:
    """The placeholder of a sample that could not be read: it keeps its position, so that nothing after it shifts.

    place: its row in the requested batch, which `digest` uses.
    """

    key: str
    reason: str
    place: int = field(default=0, compare=False)


@dataclass(frozen=True, kw_only=True)
class BatchBase(ABC):
    """The fields of a batch of any `data.form`. All samples come from one `source`.

    keys: of the readable samples, in order; bad_samples: the others.
    """

    keys: tuple[str, ...] = ()
    bad_samples: tuple[BadSample, ...] = ()
    source: str = ""

    def __len__(self) -> int:
        """Number of readable samples."""
        return len(self.keys)

    def to(self: Self, device: torch.device) -> Self:
        return map_leaves(self, Tensor, lambda tensor: tensor.to(device))

    @property
    @abstractmethod
    def num_tokens(self) -> int:
        """Number of tokens without padding."""

    @property
    @abstractmethod
    def num_images(self) -> int:
        """Number of pictures that the model sees."""

    @abstractmethod
    def row_digests(self) -> list[bytes]:
        """One digest per requested row, including bad samples."""

    def digest(self) -> str:
        """`digest` of this batch alone."""
        return digest(self)


@dataclass(frozen=True)
class Rows:
    """Tokens (B, L), long; see the module for document, position, media_from, media_upto: -1, 0, 0, 0 on padding.

    labels (B, L): IGNORED where there is no loss. mask (B, L): False on padding. position restarts at 0 in each
    document.
    """

    tokens: Tensor
    labels: Tensor
    mask: Tensor
    document: Tensor
    position: Tensor
    media_from: Tensor
    media_upto: Tensor


@dataclass(frozen=True)
class Media:
    """frames (N, 3, H, W) uint8: those where mask (B, T, F) is True, in its order.

    times (B, T, F): seconds since the clip's first frame. clip_mask (B, T): its C True positions, in order, are the
    clips with frames.
    """

    frames: Tensor
    mask: Tensor
    times: Tensor
    clip_mask: Tensor


@dataclass(frozen=True)
class Pairs:
    """The P clips with frames and text, for the contrastive loss.

    tokens, mask (P, Lc): each clip alone, as `<s><visual>text<|endofchunk|>`. clip (P,): its number among the C clips.
    group (P,): equal for equal texts, in any batch of any process. first (S,): the pairs that begin a sample.
    first_span (S, 3): row, begin, end of the tokens of such a sample up to the end of its first clip with frames.
    Without packing, and if every sample begins with a pair, S = B.
    """

    tokens: Tensor
    mask: Tensor
    clip: Tensor
    group: Tensor
    first: Tensor
    first_span: Tensor


@dataclass(frozen=True, kw_only=True)
class Batch(BatchBase):
    """Interleaved samples. texts: of the D readable samples, row by row, as `keys`. row_of (D,): the row of each."""

    rows: Rows
    media: Media
    pairs: Pairs
    row_of: Tensor
    texts: tuple[tuple[str, ...], ...] = ()
    packed: bool = False

    @property
    def num_tokens(self) -> int:
        return int(self.rows.mask.sum())

    @property
    def num_images(self) -> int:
        return len(self.media.frames)

    def row_digests(self) -> list[bytes]:
        """A digest per row: of its tokens, labels, masks and frames, or the key of a bad sample."""
        found = [_row_digest(self, *row) for row in _keyed_rows(self)]
        if not self.packed:
            return with_bad_samples(found, self.bad_samples, lambda bad: bad.key)
        for bad in self.bad_samples:
            found[bad.place] = hashlib.sha256(found[bad.place] + repr(bad.key).encode()).digest()
        return found


def digest(*batches: BatchBase) -> str:
    """sha256 of the samples of concatenated batches, to compare the input of two runs.

    The ranks' parts of a global batch, in order of rank, have the digest of the whole. Padding and the split into
    batches have no effect.
    """
    found = hashlib.sha256()
    for batch in batches:
        for row in batch.row_digests():
            found.update(row)
    return found.hexdigest()


def with_bad_samples(
    rows: list[bytes], bad_samples: Iterable[BadSample], name: Callable[[BadSample], object]
) -> list[bytes]:
    """The digests of readable rows, with those of bad samples (of their key) at their positions."""
    for bad in sorted(bad_samples, key=lambda bad: bad.place):
        rows.insert(bad.place, hashlib.sha256(repr(name(bad)).encode()).digest())
    return rows


_Keyed = list[tuple[str, tuple[str, ...]]]  # key and texts of the samples of a row


def _keyed_rows(batch: Batch) -> Iterator[tuple[int, _Keyed, slice]]:
    """Each row, the keys and texts of its samples, and a mask of its frames in the batch."""
    keyed: list[_Keyed] = [[] for _ in range(len(batch.rows.tokens))]
    for row, key, texts in zip(batch.row_of.tolist(), batch.keys, batch.texts, strict=True):
        keyed[row].append((key, texts))
    ends = batch.media.mask.flatten(1).sum(1).cumsum(0).tolist()
    for row, names in enumerate(keyed):
        yield row, names, slice(ends[row - 1] if row else 0, ends[row])


def _row_digest(batch: Batch, row: int, names: _Keyed, frames: slice) -> bytes:
    rows, media = batch.rows, batch.media
    mask = rows.mask[row]
    found = hashlib.sha256(repr((batch.source, names)).encode())
    for grid in (rows.tokens, rows.labels, rows.document, rows.position, rows.media_from, rows.media_upto):
        found.update(_bytes(grid[row][mask]))
    found.update(_bytes(mask.nonzero()))
    frames_of_clip = media.mask[row].sum(-1)
    found.update(_bytes(frames_of_clip[frames_of_clip > 0]))
    found.update(_bytes(media.times[row][media.mask[row]]))
    found.update(_bytes(media.frames[frames]))
    return found.digest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.cpu().numpy().tobytes()
