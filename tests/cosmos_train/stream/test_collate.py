"""Rows, media and pairs of samples, plain and packed, written out by hand."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch

from cosmos_train.stream.batch import IGNORED, BadSample, Batch, Sample, digest, with_bad_samples
from cosmos_train.stream.collate import Placed, caption_group_of, collate, collate_packed
from cosmos_train.stream.tokenize import tokenize_clip, tokenize_sample
from cosmos_train.stream.tokenizer import Tokenizer

A, B, C = "fold", "the paper", "paper"


def pictures(*counts: int) -> tuple[np.ndarray, ...]:
    """As many frames per clip, each of one colour, all different; the channels last in memory, as decoders do."""
    first = np.cumsum([0, *counts])
    return tuple(
        np.arange(at, at + count, dtype=np.uint8)[:, None].repeat(12, 1).reshape(count, 2, 2, 3).transpose(0, 3, 1, 2)
        for at, count in zip(first, counts, strict=False)
    )


def sample(key: str, *clips: tuple[str, int], page: bool = False) -> Sample:
    """Clips as (text, number of frames); the frames are 1.5 s apart and begin at 10 s."""
    counts = [count for _, count in clips]
    times = tuple(tuple(10 + 1.5 * n for n in range(count)) for count in counts)
    return Sample(key, tuple(text for text, _ in clips), pictures(*counts), times, page)


@pytest.fixture(scope="module")
def tokens() -> Tokenizer:
    return Tokenizer.train([A, B, C], 320)


def clip(text: str, tokens: Tokenizer) -> list[int]:
    return [tokens.visual, *tokens.encode(text), tokens.end_of_chunk]


def test_a_row_is_laid_out_and_learned_as_documented(tokens: Tokenizer) -> None:
    found = tokenize_sample([A, B, "", C], [True, False, True, True], False, tokens, 99, False)
    a, b, c = (tokens.encode(text) for text in (A, B, C))
    parts = [[tokens.begin], clip(A, tokens), b, [tokens.visual], clip(C, tokens), [tokens.end]]
    assert found.tokens.tolist() == [*chain(*parts)]
    quiet = IGNORED
    ignored = [quiet] * len(b)  # between an end of chunk and the next picture
    labels = [[quiet, quiet], a, [tokens.end_of_chunk], ignored, [quiet, quiet], c, [tokens.end_of_chunk, tokens.end]]
    assert found.labels.tolist() == [*chain(*labels)]
    assert found.clips == parts[1:5]
    assert found.ends == np.cumsum([len(part) for part in parts])[1:5].tolist()


def test_text_without_frames_is_learned_on_request_and_a_pages_end_never(tokens: Tokenizer) -> None:
    led = tokenize_sample([B, A], [False, True], False, tokens, 99, True)
    assert led.labels.tolist() == [IGNORED, *tokens.encode(B), IGNORED, *clip(A, tokens)[1:], tokens.end]
    silent = tokenize_sample([B, A], [False, True], False, tokens, 99, False)
    assert silent.labels.tolist() == [IGNORED] * (2 + len(tokens.encode(B))) + [*clip(A, tokens)[1:], tokens.end]
    page = tokenize_sample([A], [True], True, tokens, 99, False)
    assert page.tokens[-1] == tokens.end and page.labels[-1] == IGNORED
    assert page.labels[-2] == tokens.end_of_chunk
    cut = tokenize_sample([A, B], [True, True], False, tokens, 3, False)
    assert cut.tokens.tolist() == [tokens.begin, *clip(A, tokens)][:3]
    assert len(cut.labels) == 3 and cut.ends[0] == 1 + len(clip(A, tokens))


def test_a_clip_without_text_is_a_picture_and_one_without_frames_is_words(tokens: Tokenizer) -> None:
    assert tokenize_clip("", tokens) == [tokens.visual]
    assert tokenize_clip(A, tokens) == clip(A, tokens)
    assert tokenize_clip(A, tokens, has_frames=False) == tokens.encode(A)
    assert tokenize_clip("", tokens, has_frames=False) == []


def test_rows_are_padded_to_the_longest_and_bad_samples_have_none(tokens: Tokenizer) -> None:
    long, short = sample("long", (A, 2), ("", 1), (B, 0), (C, 1)), sample("short", (A, 1))
    batch = collate([BadSample("bad", "gone"), long, BadSample("worse", "cut"), short], tokens, 99, "films")
    whole = tokenize_sample(long.texts, [True, True, False, True], False, tokens, 99, False)
    width, few = len(whole.tokens), 2 + len(clip(A, tokens))
    assert batch.rows.tokens.shape == (2, width)
    assert batch.rows.tokens[0].tolist() == whole.tokens.tolist()
    assert batch.rows.tokens[1, few:].tolist() == [tokens.pad] * (width - few)
    assert batch.rows.labels[1, few:].tolist() == [IGNORED] * (width - few)
    assert batch.rows.document.tolist() == [[0] * width, [0] * few + [-1] * (width - few)]
    assert batch.rows.mask.tolist() == (batch.rows.document == 0).tolist()
    assert batch.rows.position[0].tolist() == list(range(width))
    assert batch.rows.position[1].tolist() == [*range(few), *[0] * (width - few)]
    assert not batch.rows.media_from.any()
    seen = (batch.rows.tokens == tokens.visual).cumsum(1) * batch.rows.mask
    assert torch.equal(batch.rows.media_upto, seen)
    assert (batch.keys, batch.source, batch.packed) == (("long", "short"), "films", False)
    assert [(bad.key, bad.place) for bad in batch.bad_samples] == [("bad", 0), ("worse", 2)]
    assert batch.row_of.tolist() == [0, 1]
    assert batch.texts == (long.texts, short.texts)
    assert (len(batch), batch.num_tokens, batch.num_images) == (2, width + few, 5)


def test_media_are_numbered_along_their_rows_with_times_from_the_clips_start(tokens: Tokenizer) -> None:
    batch = collate([sample("a", (A, 2), (B, 0), ("", 1)), sample("b", (C, 3))], tokens, 99)
    assert batch.media.mask.int().tolist() == [[[1, 1, 0], [1, 0, 0]], [[1, 1, 1], [0, 0, 0]]]
    assert batch.media.times.tolist() == [[[0, 1.5, 0], [0, 0, 0]], [[0, 1.5, 3.0], [0, 0, 0]]]
    assert batch.media.clip_mask.tolist() == [[True, True], [True, False]]
    assert batch.media.frames[:, 0, 0, 0].tolist() == [0, 1, 2, 0, 1, 2]
    assert batch.media.frames.shape == (6, 3, 2, 2)
    assert batch.media.frames.is_contiguous(memory_format=torch.channels_last)


def test_pairs_are_the_clips_with_frames_and_text(tokens: Tokenizer) -> None:
    items = [sample("a", ("", 1), (A, 1)), sample("b", (B, 0), (A.upper(), 2), (C, 1)), sample("c", (B, 1))]
    batch = collate(items, tokens, 99)
    pairs = batch.pairs
    assert pairs.clip.tolist() == [1, 2, 3, 4]
    groups = [caption_group_of(text) for text in (A, A, C, B)]
    assert pairs.group.tolist() == groups and len(set(groups)) == 3
    assert pairs.first.tolist() == [1, 3]  # the first clip with frames of sample a has no text
    end = 1 + len(tokens.encode(B)) + len(clip(A.upper(), tokens))
    assert pairs.first_span.tolist() == [[1, 0, end], [2, 0, 1 + len(clip(B, tokens))]]
    for number, text in enumerate((A, A.upper(), C, B)):
        alone = [tokens.begin, *clip(text, tokens)]
        assert pairs.tokens[number][pairs.mask[number]].tolist() == alone
        assert pairs.mask[number].sum() == len(alone)
        assert (pairs.tokens[number][~pairs.mask[number]] == tokens.pad).all()
    assert pairs.tokens.shape[1] == 1 + max(len(clip(text, tokens)) for text in (A, A.upper(), C, B))


def test_nothing_readable_is_a_batch_without_rows(tokens: Tokenizer) -> None:
    batch = collate([BadSample("bad", "gone")], tokens, 99)
    assert batch.rows.tokens.shape == batch.pairs.tokens.shape == (0, 0)
    assert batch.media.mask.shape == (0, 0, 0)
    assert batch.media.frames.shape == (0, 3, 1, 1) and batch.media.frames.dtype == torch.uint8
    assert batch.pairs.first_span.shape == (0, 3)
    assert (len(batch), batch.num_images, batch.num_tokens) == (0, 0, 0)


def packed(tokens: Tokenizer, cut: int) -> Batch:
    """Row 0: a sample of two clips cut at `cut` tokens, and after a gap a second; row 1: a bad one and a third."""
    slots = [
        Placed(0, 0, cut, sample("a", (B, 1), (A, 1))), Placed(0, cut + 2, 12, sample("b", (A, 2))),
        Placed(1, 0, 5, BadSample("bad", "gone")), Placed(1, 5, 20, sample("c", (C, 1), ("", 1))),
    ]  # fmt: skip
    return collate_packed(slots, 3, tokens, 40, "films")


def test_packed_rows_number_documents_positions_and_media(tokens: Tokenizer) -> None:
    cut = 1 + len(clip(B, tokens)) + 2
    batch = packed(tokens, cut)
    b = 2 + len(clip(A, tokens))
    assert batch.rows.tokens.shape == (3, 40)
    assert batch.rows.document[0].tolist() == [0] * cut + [-1] * 2 + [1] * b + [-1] * (38 - cut - b)
    assert batch.rows.position[0, : cut + 2 + b].tolist() == [*range(cut), 0, 0, *range(b)]
    assert batch.rows.media_from[0, cut + 2 : cut + 2 + b].tolist() == [2] * b  # both clips of a count, cut or not
    assert batch.rows.media_upto[0, cut + 2 : cut + 2 + b].tolist() == [2] + [3] * (b - 1)
    c = 3 + len(clip(C, tokens))
    assert batch.rows.document[1].tolist() == [-1] * 5 + [0] * c + [-1] * (35 - c)  # bad samples are not counted
    assert not batch.rows.mask[2].any()
    assert [(bad.key, bad.place) for bad in batch.bad_samples] == [("bad", 1)]
    assert batch.row_of.tolist() == [0, 0, 1]
    assert batch.media.clip_mask.tolist() == [[True] * 3, [True, True, False], [False] * 3]
    assert batch.pairs.clip.tolist() == [0, 1, 2, 3]
    assert batch.pairs.first.tolist() == [0, 2, 3]
    assert batch.packed


def test_the_span_of_a_cut_sample_ends_with_its_slot(tokens: Tokenizer) -> None:
    """Beyond it are padding and the next document: its text must not be pooled into this one's."""
    for cut in (3, len(clip(B, tokens)), 1 + len(clip(B, tokens)), 3 + len(clip(B, tokens))):
        batch = packed(tokens, cut)
        spans = batch.pairs.first_span.tolist()
        assert spans[0] == [0, 0, min(cut, 1 + len(clip(B, tokens)))]
        assert spans[1] == [0, cut + 2, cut + 3 + len(clip(A, tokens))]
        assert spans[2] == [1, 5, 6 + len(clip(C, tokens))]
        for (row, begin, end), document in zip(spans, (0, 1, 0), strict=True):
            assert (batch.rows.document[row, begin:end] == document).all()


def test_a_pairs_own_text_is_cut_at_the_longest_sample(tokens: Tokenizer) -> None:
    batch = collate([sample("a", (B, 1))], tokens, 4)
    assert batch.pairs.tokens.tolist() == [[tokens.begin, *clip(B, tokens)][:4]]
    assert batch.pairs.mask.all()


def test_captions_are_equal_ignoring_case(tokens: Tokenizer) -> None:
    assert caption_group_of("Straße") == caption_group_of("STRASSE")
    assert caption_group_of("a") != caption_group_of("b")
    assert caption_group_of("a") == 0xCA978112CA1BBD  # sha256, so that it is the same in any process
    assert max(caption_group_of(str(number)) for number in range(200)) < 2**63


def items() -> list[Sample | BadSample]:
    return [sample("a", (A, 2), (B, 1)), BadSample("bad", "gone"), sample("b", (C, 1)), sample("c", (A, 0))]


def test_a_digest_is_of_samples_and_not_of_padding_or_the_split(tokens: Tokenizer) -> None:
    whole = collate(items(), tokens, 99, "films")
    parts = [collate(items()[:1], tokens, 99, "films"), collate(items()[1:], tokens, 99, "films")]
    assert digest(*parts) == whole.digest()
    assert digest(*reversed(parts)) != whole.digest()
    assert len(whole.row_digests()) == 4


@pytest.mark.parametrize("what", ["source", "key", "text", "frame", "time", "labels", "bad", "place", "position"])
def test_a_digest_notices_every_difference(what: str, tokens: Tokenizer) -> None:
    before, found = collate(items(), tokens, 99, "films"), items()
    first, bad = found[0], found[1]
    assert isinstance(first, Sample) and isinstance(bad, BadSample)
    if what == "key":
        found[0] = replace(first, key="other")
    elif what == "text":
        found[0] = replace(first, texts=(first.texts[0], C))
    elif what == "frame":
        found[0] = replace(first, frames=(first.frames[0], first.frames[1] + 1))
    elif what == "time":
        found[0] = replace(first, times=((10.0, 11.0), first.times[1]))
    elif what == "labels":
        found[0] = replace(first, page=True)
    elif what == "bad":
        found[1] = replace(bad, key="worse")
    elif what == "place":
        found[1], found[2] = found[2], found[1]
    after = collate(found, tokens, 99, "other" if what == "source" else "films")
    if what == "position":
        after = replace(after, rows=replace(after.rows, position=after.rows.position + 1))
    assert after.digest() != before.digest()


def test_frames_on_the_other_clip_are_another_sample(tokens: Tokenizer) -> None:
    one = collate([sample("a", (A, 2), (B, 1))], tokens, 99)
    frames = pictures(3)[0]
    other = collate([Sample("a", (A, B), (frames[:1], frames[1:]), ((0.0,), (0.0, 1.5)))], tokens, 99)
    same = collate([Sample("a", (A, B), (frames[:2], frames[2:]), ((0.0, 1.5), (0.0,)))], tokens, 99)
    assert one.digest() == same.digest() != other.digest()


def test_frames_of_the_same_time_on_the_other_clip_are_another_sample(tokens: Tokenizer) -> None:
    frames = pictures(3)[0]
    found = [
        collate([Sample("a", (A, B), (frames[:cut], frames[cut:]), ((5.0,) * cut, (5.0,) * (3 - cut)))], tokens, 99)
        for cut in (1, 2)
    ]
    assert torch.equal(found[0].media.frames, found[1].media.frames)
    assert found[0].digest() != found[1].digest()


def test_bad_samples_of_packed_rows_change_their_rows_digest(tokens: Tokenizer) -> None:
    batch = packed(tokens, 20)
    rows = batch.row_digests()
    assert len(rows) == 3
    without = replace(batch, bad_samples=()).row_digests()
    assert [one == other for one, other in zip(rows, without, strict=True)] == [True, False, True]
    renamed = replace(batch, bad_samples=(BadSample("other", "gone", 1),)).row_digests()
    assert renamed[1] not in (rows[1], without[1])
    moved = replace(batch, row_of=torch.tensor([0, 1, 1])).row_digests()
    assert moved[0] != rows[0] and moved[1] != rows[1]


def test_digests_of_bad_samples_take_their_places() -> None:
    bad = [BadSample("late", "", 1), BadSample("early", "", 0), BadSample("last", "", 4)]
    found = with_bad_samples([b"one", b"two"], bad, lambda one: one.key)
    assert found[2:4] == [b"one", b"two"]
    early, late, last = ([hashlib.sha256(repr(name).encode()).digest()] for name in ("early", "late", "last"))
    assert (found[:1], found[1:2], found[4:]) == (early, late, last)
