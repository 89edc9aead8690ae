"""Collates samples to a batch: rows of tokens, their media, and the pairs to contrast. See `stream.batch`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosmos_train.stream.batch import BadSample, Batch, Media, Pairs, Rows, Sample
from cosmos_train.stream.tokenize import IGNORED, TokenizedSample, tokenize_sample
from cosmos_train.stream.tokenizer import Tokenizer


@dataclass(frozen=True)
class Placed:
    """A sample and its slot in a packed row: tokens [start, start + size) of row `row`."""

    row: int
    start: int
    size: int
    item: Sample | BadSample


def collate(
    items: Sequence[Sample | BadSample],
    tokenizer: Tokenizer,
    max_tokens: int,
    source: str = "",
    learn_lead: bool = False,
) -> Batch:
    """One sample per row, cut at max_tokens, padded to the longest; bad samples have no row.

    A row is `<s>` + `<visual>text<|endofchunk|>` per clip + `</s>`; see `tokenize_sample` for its labels.
    """
    rows = count()
    placed = [Placed(next(rows), 0, max_tokens, one) for one in items if isinstance(one, Sample)]
    bad = tuple(replace(one, place=place) for place, one in enumerate(items) if isinstance(one, BadSample))
    laid = _lay_out(placed, tokenizer, learn_lead)
    width = max((len(one.tokenized.tokens) for one in laid), default=0)
    return _batch(laid, (len(laid), width), max_tokens, tokenizer, source, bad, packed=False)


def collate_packed(
    placed: Sequence[Placed],
    rows: int,
    tokenizer: Tokenizer,
    row_tokens: int,
    source: str = "",
    learn_lead: bool = False,
) -> Batch:
    """`rows` rows of exactly row_tokens tokens, laid out as by `collate`.

    A sample longer than its slot is cut; a bad sample's slot stays padding.
    """
    bad = tuple(replace(one.item, place=one.row) for one in placed if isinstance(one.item, BadSample))
    laid = _lay_out(placed, tokenizer, learn_lead)
    return _batch(laid, (rows, row_tokens), row_tokens, tokenizer, source, bad, packed=True)


@dataclass(frozen=True)
class _Laid:
    """A readable sample in its row. document: its number in the row; media_from: clips with frames before it in the
    row."""

    slot: Placed
    sample: Sample
    tokenized: TokenizedSample
    document: int
    media_from: int

    def media(self) -> Iterator[tuple[int, int]]:
        """(clip of the sample, number in its row) of each clip that has frames."""
        return zip(
            (clip for clip, times in enumerate(self.sample.times) if times), count(self.media_from), strict=False
        )


def _lay_out(placed: Sequence[Placed], tokenizer: Tokenizer, learn_lead: bool) -> list[_Laid]:
    """Tokenizes the readable samples and numbers them along their rows."""
    found = []
    documents: dict[int, int] = {}
    media: dict[int, int] = {}
    for slot in placed:
        sample = slot.item
        if isinstance(sample, BadSample):
            continue
        has_frames = [bool(times) for times in sample.times]
        tokenized = tokenize_sample(sample.texts, has_frames, sample.page, tokenizer, slot.size, learn_lead)
        found.append(_Laid(slot, sample, tokenized, documents.get(slot.row, 0), media.get(slot.row, 0)))
        documents[slot.row] = found[-1].document + 1
        media[slot.row] = found[-1].media_from + sum(has_frames)
    return found


def _batch(
    laid: Sequence[_Laid],
    shape: tuple[int, int],
    longest: int,
    tokenizer: Tokenizer,
    source: str,
    bad: tuple[BadSample, ...],
    packed: bool,
) -> Batch:
    """shape: of the rows; longest: number of tokens of a pair's text."""
    media = _media(laid, shape[0])
    return Batch(
        rows=_rows(laid, shape, tokenizer),
        media=media,
        pairs=_pairs(laid, media.clip_mask, longest, tokenizer),
        row_of=torch.tensor([one.slot.row for one in laid], dtype=torch.long),
        keys=tuple(one.sample.key for one in laid),
        texts=tuple(one.sample.texts for one in laid),
        bad_samples=bad,
        source=source,
        packed=packed,
    )


def _rows(laid: Sequence[_Laid], shape: tuple[int, int], tokenizer: Tokenizer) -> Rows:
    tokens, labels = np.full(shape, tokenizer.pad, np.int64), np.full(shape, IGNORED, np.int64)
    document, position = np.full(shape, -1, np.int64), np.zeros(shape, np.int64)
    media_from, media_upto = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for one in laid:
        words, start = one.tokenized, one.slot.start
        here = one.slot.row, slice(start, start + len(words.tokens))
        tokens[here] = words.tokens
        labels[here] = words.labels
        document[here] = one.document
        position[here] = np.arange(len(words.tokens))
        media_from[here] = one.media_from
        media_upto[here] = one.media_from + np.cumsum(words.tokens == tokenizer.visual)
    grids = (tokens, labels, document >= 0, document, position, media_from, media_upto)
    return Rows(*(torch.from_numpy(grid) for grid in grids))


def _media(laid: Sequence[_Laid], rows: int) -> Media:
    times: list[list[tuple[float, ...]]] = [[] for _ in range(rows)]
    frames: list[list[NDArray[np.uint8]]] = [[] for _ in range(rows)]
    for one in laid:
        for clip, _ in one.media():
            shown = one.sample.times[clip]
            times[one.slot.row].append(tuple(time - shown[0] for time in shown))
            frames[one.slot.row].append(one.sample.frames[clip])
    most_clips = max(map(len, times), default=0)
    most_frames = max((len(shown) for row in times for shown in row), default=0)
    mask = np.zeros((rows, most_clips, most_frames), bool)
    seconds = np.zeros((rows, most_clips, most_frames), np.float32)
    for row, clips in enumerate(times):
        for number, shown in enumerate(clips):
            mask[row, number, : len(shown)] = True
            seconds[row, number, : len(shown)] = shown
    return Media(
        frames=_frames([clip for row in frames for clip in row]),
        mask=torch.from_numpy(mask),
        times=torch.from_numpy(seconds),
        clip_mask=torch.from_numpy(mask.any(-1)),
    )


def _pairs(laid: Sequence[_Laid], clip_mask: Tensor, longest: int, tokenizer: Tokenizer) -> Pairs:
    """clip_mask (B, T): the clips of the rows that have frames."""
    ends_of_rows = clip_mask.sum(1).cumsum(0).tolist()
    alone: list[list[int]] = []
    clips, groups, firsts, spans = [], [], [], []
    for one in laid:
        slot, words = one.slot, one.tokenized
        for clip, number in one.media():
            text = one.sample.texts[clip]
            if not text:
                continue
            if number == one.media_from:
                end = min(words.ends[clip], slot.size)
                spans.append((slot.row, slot.start, slot.start + end))
                firsts.append(len(alone))
            clips.append((ends_of_rows[slot.row - 1] if slot.row else 0) + number)
            groups.append(caption_group_of(text))
            alone.append([tokenizer.begin, *words.clips[clip]][:longest])
    tokens, mask = _padded(alone, tokenizer.pad)
    return Pairs(
        tokens=tokens,
        mask=mask,
        clip=torch.tensor(clips, dtype=torch.long),
        group=torch.tensor(groups, dtype=torch.long),
        first=torch.tensor(firsts, dtype=torch.long),
        first_span=torch.tensor(spans, dtype=torch.long).reshape(-1, 3),
    )


def caption_group_of(text: str) -> int:
    """A number that is equal for equal texts, ignoring case, in any process."""
    return int.from_bytes(hashlib.sha256(text.casefold().encode()).digest()[:7], "big")


def _frames(clips: list[NDArray[np.uint8]]) -> Tensor:
    """(N, 3, H, W) with the channels last in memory, as decoders give them."""
    if not clips:
        return torch.zeros(0, 3, 1, 1, dtype=torch.uint8)
    return torch.from_numpy(np.concatenate([clip.transpose(0, 2, 3, 1) for clip in clips])).permute(0, 3, 1, 2)


def _padded(rows: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Token ids and their mask (n, longest)."""
    width = max((len(row) for row in rows), default=0)
    tokens = torch.full((len(rows), width), pad, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for number, row in enumerate(rows):
        tokens[number, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[number, : len(row)] = True
    return tokens, mask
