"""What a batch is: the contract between the stream and the objectives, for plain and for packed rows alike.

B rows of L tokens. A plain row is one sample; a packed row is several, laid end to end, that must not see each other.
D samples ("documents"), C clips that have frames (one `<visual>` each), P clips that have frames and text, S samples
whose first clip with frames has text. Frames travel as uint8 and are normalised on the device.

What a token may see:
  of other tokens: those before it (and itself) with the same `document`; padding (document -1) sees and is seen by
  nothing, and a packed row may be all padding (its samples were bad): models must stay finite there.
  of media, numbered along its own row (the T of frame_mask, `<visual>` tokens in order):
    immediate:  the one numbered media_upto - 1, if media_upto > media_from
    all:        those numbered media_from, ..., media_upto - 1
  So a row without packing has document 0, position 0, 1, ..., media_from 0, and media_upto the number of `<visual>`
  at or before the token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosmos_train.stream.spell import IGNORED as IGNORED
from cosmos_train.stream.spell import spell
from cosmos_train.stream.tokenizer import Tokenizer


@dataclass(frozen=True)
class Sample:
    """Adjacent clips of one document, decoded. texts, frames ((f, 3, H, W) uint8), times (s): one item per clip.

    A clip without frames (f = 0) is text alone and has no `<visual>`; a clip without text is `<visual>` alone.
    page: whether it is cut out of a web page, whose labels have a rule of their own (`spell`).
    """

    key: str
    texts: tuple[str, ...]
    frames: tuple[NDArray[np.uint8], ...]
    times: tuple[tuple[float, ...], ...]
    page: bool = False


@dataclass(frozen=True)
class Hole:
    """The place of a sample that could not be read: it keeps its position, so that nothing after it shifts.

    place: its row in the batch as asked for, by which `digest` tells where it was.
    """

    key: str
    reason: str
    place: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Batch:
    """Tensors of the readable samples; `holes` names the others. All samples are of one `source`.

    frames (N, 3, H, W) uint8: those that frame_mask (B, T, F) marks, in its order. frame_times (B, T, F): seconds
    since the clip's first frame. clip_mask (B, T): its C True places, in order, are the clips that have frames.
    tokens, labels (B, L); token_mask (B, L) is False on padding. document, position, media_from, media_upto (B, L)
    long: see above; -1, 0, 0, 0 on padding; position restarts at 0 in each document.
    Pairs for the contrastive loss: clip_tokens, clip_token_mask (P, Lc): the clips that have frames and text, each
    alone as `<s><visual>text<|endofchunk|>`; pair_clip (P,): which of the C clips; caption_group (P,): equal where
    texts are equal, in any batch of any process. first_span (S, 3): row, begin, end of the tokens of a document up to
    the end of its first clip with frames, which has text; first_clip_mask (S, L): the same as a mask over the row;
    first_pair (S,): which of the P pairs that is. Without packing, and where every sample begins with a pair, S = B.
    keys, texts: of the D readable samples, in order, row by row. row_of (D,): the row of each.
    """

    frames: Tensor
    frame_mask: Tensor
    frame_times: Tensor
    clip_mask: Tensor
    tokens: Tensor
    labels: Tensor
    token_mask: Tensor
    document: Tensor
    position: Tensor
    media_from: Tensor
    media_upto: Tensor
    clip_tokens: Tensor
    clip_token_mask: Tensor
    pair_clip: Tensor
    caption_group: Tensor
    first_clip_mask: Tensor
    first_span: Tensor
    first_pair: Tensor
    row_of: Tensor
    keys: tuple[str, ...] = ()
    texts: tuple[tuple[str, ...], ...] = ()
    holes: tuple[Hole, ...] = ()
    source: str = ""
    packed: bool = False

    def __len__(self) -> int:
        """Readable samples."""
        return len(self.keys)

    def to(self, device: torch.device) -> Batch:
        moved = {f.name: value.to(device) for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)}
        return replace(self, **moved)  # type: ignore[arg-type]

    def row_digests(self) -> list[bytes]:
        """One per row as asked for."""
        return _row_digests(self)

    def digest(self) -> str:
        """`digest` of this batch alone."""
        return digest(self)


@dataclass(frozen=True)
class Placed:
    """A sample and its slot in a packed row: tokens [start, start + size) of row `row`."""

    row: int
    start: int
    size: int
    item: Sample | Hole


def collate(
    items: Sequence[Sample | Hole], tokenizer: Tokenizer, max_tokens: int, source: str = "", learn_lead: bool = False
) -> Batch:
    """One sample a row, cut at max_tokens, padded to the longest; holes take no row.

    A row is `<s>` + `<visual>text<|endofchunk|>` per clip + `</s>`; what of it is learned: `spell`.
    """
    rows = count()
    placed = [Placed(next(rows) if isinstance(one, Sample) else -1, 0, max_tokens, one) for one in items]
    holes = tuple(replace(one, place=n) for n, one in enumerate(items) if isinstance(one, Hole))
    return _assemble(placed, tokenizer, next(rows), False, max_tokens, source, holes, learn_lead)


def collate_packed(
    placed: Sequence[Placed],
    rows: int,
    tokenizer: Tokenizer,
    row_tokens: int,
    source: str = "",
    learn_lead: bool = False,
) -> Batch:
    """`rows` rows of exactly row_tokens tokens, spelled as by `collate`.

    A sample longer than its slot is cut; a hole's slot stays padding.
    """
    holes = tuple(replace(one.item, place=one.row) for one in placed if isinstance(one.item, Hole))
    return _assemble(placed, tokenizer, rows, True, row_tokens, source, holes, learn_lead)


def _assemble(
    placed: Sequence[Placed],
    tokenizer: Tokenizer,
    rows: int,
    packed: bool,
    longest: int,
    source: str,
    holes: tuple[Hole, ...],
    learn_lead: bool,
) -> Batch:
    readable = [(one, one.item) for one in placed if isinstance(one.item, Sample)]
    spelled = [
        spell(sample.texts, [bool(times) for times in sample.times], sample.page, tokenizer, one.size, learn_lead)
        for one, sample in readable
    ]
    width = longest if packed else max((len(words.tokens) for words in spelled), default=0)
    grid = {name: np.full((rows, width), fill, np.int64) for name, fill in _grids(tokenizer.pad)}
    media_in_row = [0] * rows
    documents_in_row = [0] * rows
    media: list[list[tuple[float, ...]]] = [[] for _ in range(rows)]
    frames: list[list[NDArray[np.uint8]]] = [[] for _ in range(rows)]
    clip_of_pair: list[tuple[int, int]] = []  # row, number of the clip in it
    alone: list[list[int]] = []
    caption_group, spans, first_pair = [], [], []
    for (one, sample), words in zip(readable, spelled, strict=True):
        row, before = one.row, media_in_row[one.row]
        here = slice(one.start, one.start + len(words.tokens))
        grid["tokens"][row, here] = words.tokens
        grid["labels"][row, here] = words.labels
        grid["document"][row, here] = documents_in_row[row]
        grid["position"][row, here] = np.arange(len(words.tokens))
        grid["media_from"][row, here] = before
        grid["media_upto"][row, here] = before + np.cumsum(words.tokens == tokenizer.visual)
        documents_in_row[row] += 1
        first_media = True
        for text, ids, end, pictures, times in zip(
            sample.texts, words.clips, words.ends, sample.frames, sample.times, strict=True
        ):
            if not len(times):
                continue
            if text:
                if first_media:
                    spans.append((row, one.start, min(one.start + end, one.start + one.size)))
                    first_pair.append(len(alone))
                clip_of_pair.append((row, media_in_row[row]))
                alone.append([tokenizer.begin, *ids][:longest])
                caption_group.append(caption_group_of(text))
            first_media = False
            media[row].append(tuple(time - times[0] for time in times))
            frames[row].append(pictures)
            media_in_row[row] += 1
    most_clips = max(media_in_row, default=0)
    most_frames = max((len(times) for row in media for times in row), default=0)
    frame_mask = np.zeros((rows, most_clips, most_frames), bool)
    frame_times = np.zeros((rows, most_clips, most_frames), np.float32)
    for row, clips in enumerate(media):
        for number, times in enumerate(clips):
            frame_mask[row, number, : len(times)] = True
            frame_times[row, number, : len(times)] = times
    stacked = [pictures for row in frames for pictures in row]
    first_of_row = np.concatenate([[0], np.cumsum(media_in_row)]).astype(np.int64)
    clip_tokens, clip_token_mask = _pad(alone, tokenizer.pad)
    span = torch.tensor(spans, dtype=torch.long).reshape(-1, 3)
    column = torch.arange(width)
    tensors = {name: torch.from_numpy(values) for name, values in grid.items()}
    return Batch(
        frames=_frames(stacked),
        frame_mask=torch.from_numpy(frame_mask),
        frame_times=torch.from_numpy(frame_times),
        clip_mask=torch.from_numpy(frame_mask.any(-1)),
        token_mask=tensors["document"] >= 0,
        clip_tokens=clip_tokens,
        clip_token_mask=clip_token_mask,
        pair_clip=torch.tensor([int(first_of_row[row]) + number for row, number in clip_of_pair], dtype=torch.long),
        caption_group=torch.tensor(caption_group, dtype=torch.long),
        first_clip_mask=(column >= span[:, 1:2]) & (column < span[:, 2:3]),
        first_span=span,
        first_pair=torch.tensor(first_pair, dtype=torch.long),
        row_of=torch.tensor([one.row for one, _ in readable], dtype=torch.long),
        keys=tuple(sample.key for _, sample in readable),
        texts=tuple(sample.texts for _, sample in readable),
        holes=holes,
        source=source,
        packed=packed,
        **tensors,
    )


def caption_group_of(text: str) -> int:
    """A number that is the same for the same text, upper or lower case, in any process."""
    return int.from_bytes(hashlib.sha256(text.casefold().encode()).digest()[:7], "big")


def _frames(clips: list[NDArray[np.uint8]]) -> Tensor:
    """(N, 3, H, W) with the channels last in memory, as decoders give them."""
    if not clips:
        return torch.zeros(0, 3, 1, 1, dtype=torch.uint8)
    return torch.from_numpy(np.concatenate([clip.transpose(0, 2, 3, 1) for clip in clips])).permute(0, 3, 1, 2)


def _grids(pad: int) -> tuple[tuple[str, int], ...]:
    return (
        ("tokens", pad), ("labels", IGNORED), ("document", -1), ("position", 0), ("media_from", 0), ("media_upto", 0),
    )  # fmt: skip


def _pad(rows: list[list[int]], pad: int) -> tuple[Tensor, Tensor]:
    width = max((len(row) for row in rows), default=0)
    tokens = torch.full((len(rows), width), pad, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for number, row in enumerate(rows):
        tokens[number, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[number, : len(row)] = True
    return tokens, mask


def digest(*batches: Batch) -> str:
    """sha256 of the samples of batches laid end to end, to compare what two runs saw.

    The ranks' parts of a global batch, in order of rank, have the digest of the whole: how far rows are padded and how
    they are cut into batches do not count.
    """
    found = hashlib.sha256()
    for batch in batches:
        for row in batch.row_digests():
            found.update(row)
    return found.hexdigest()


def _row_digests(batch: Batch) -> list[bytes]:
    """One digest per row as asked for: of a readable row its tokens, labels, masks and frames; of a hole its key."""
    rows = []
    frames_before = np.concatenate([[0], np.cumsum(batch.frame_mask.flatten(1).sum(1).cpu().numpy())]).astype(int)
    keys: list[list[tuple[str, tuple[str, ...]]]] = [[] for _ in range(len(batch.tokens))]
    for row, key, texts in zip(batch.row_of.tolist(), batch.keys, batch.texts, strict=True):
        keys[row].append((key, texts))
    for row in range(len(batch.tokens)):
        mask = batch.token_mask[row]
        found = hashlib.sha256(repr((batch.source, keys[row])).encode())
        for grid in (batch.tokens, batch.labels, batch.document, batch.position, batch.media_from, batch.media_upto):
            found.update(grid[row][mask].cpu().numpy().tobytes())
        found.update(mask.nonzero().cpu().numpy().tobytes())
        frames_of_clip = batch.frame_mask[row].sum(-1)
        found.update(frames_of_clip[frames_of_clip > 0].cpu().numpy().tobytes())
        found.update(batch.frame_times[row][batch.frame_mask[row]].cpu().numpy().tobytes())
        found.update(batch.frames[frames_before[row] : frames_before[row + 1]].cpu().numpy().tobytes())
        rows.append(found.digest())
    if batch.packed:
        for hole in batch.holes:
            rows[hole.place] = hashlib.sha256(rows[hole.place] + repr(hole.key).encode()).digest()
    else:
        for hole in sorted(batch.holes, key=lambda hole: hole.place):
            rows.insert(hole.place, hashlib.sha256(repr(hole.key).encode()).digest())
    return rows
