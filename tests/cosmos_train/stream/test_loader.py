"""The stream: same batches whatever the workers, from any position; bad samples keep their place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos_train.errors import UserError
from cosmos_train.recipe import Recipe
from cosmos_train.stream.batch import IGNORED, BadSample, Batch, Sample
from cosmos_train.stream.collate import collate
from cosmos_train.stream.corpus import Corpus
from cosmos_train.stream.stream import Stream, StreamState, open_data, open_stream
from cosmos_train.stream.tokenizer import Tokenizer

Tiny = Callable[..., Recipe]


def stream_of(recipe: Recipe, position: int = 0) -> tuple[Stream, Corpus]:
    data = open_data(recipe.data)
    tokenizer = Tokenizer.train(data.texts(), recipe.model.language.vocabulary)
    state = StreamState((position // recipe.train.batch_size,), (position,), (0,), (0,))
    return open_stream(recipe, tokenizer, data, state=state), data.corpora[0]


def digests(stream: Stream, batches: int) -> list[str]:
    return [stream.next().digest() for _ in range(batches)]


def test_a_stream_goes_on_from_any_position(tiny: Tiny) -> None:
    whole = digests(stream_of(tiny())[0], 14)  # 24 samples an epoch, 4 a batch: crosses two epochs
    for batch in (1, 5, 6, 13):
        assert digests(stream_of(tiny(), position=4 * batch)[0], 14 - batch) == whole[batch:]


def test_the_state_counts_samples(tiny: Tiny) -> None:
    stream, _ = stream_of(tiny())
    digests(stream, 3)
    assert stream.state.samples == (12,)
    assert stream.epoch == 0.5


@pytest.mark.processes
def test_workers_do_not_change_the_batches(tiny: Tiny) -> None:
    assert digests(stream_of(tiny(data__workers=2))[0], 8) == digests(stream_of(tiny())[0], 8)


def test_the_cache_does_not_change_the_batches(tiny: Tiny) -> None:
    assert digests(stream_of(tiny(data__cache_megabytes=0))[0], 14) == digests(stream_of(tiny())[0], 14)


def test_an_epoch_sees_every_document_and_epochs_differ(tiny: Tiny) -> None:
    stream, corpus = stream_of(tiny())
    epochs = [[key for _ in range(corpus.units // 4) for key in stream.next().keys] for _ in range(2)]
    assert corpus.units == 24  # 12 documents of 3 clips, 2 clips a sample
    for keys in epochs:
        assert {key: keys.count(key) for key in keys} == {corpus.key(number): 2 for number in range(12)}
    assert epochs[0] != epochs[1]


def test_bad_samples_shift_nothing(tiny: Tiny, make_shards: Callable[..., Path]) -> None:
    good, corpus = stream_of(tiny(data__shards=str(make_shards("good", documents=12, seed=5))))
    damaged, _ = stream_of(
        tiny(data__shards=str(make_shards("bad", documents=12, seed=5, broken=(3, 7))), data__max_bad_share=1)
    )
    bad_keys = {corpus.key(3), corpus.key(7)}
    bad_samples = 0
    for _ in range(6):
        expected, found = good.next(), damaged.next()
        assert [key for key in expected.keys if key not in bad_keys] == list(found.keys)
        assert {one.key for one in found.bad_samples} == bad_keys & set(expected.keys)
        assert all("frame at" in one.reason for one in found.bad_samples)
        bad_samples += len(found.bad_samples)
    assert bad_samples == 4


def test_shards_without_index_give_the_same_samples(tiny: Tiny, make_shards: Callable[..., Path]) -> None:
    folder = make_shards(documents=6)
    indexed = digests(stream_of(tiny(data__shards=str(folder)))[0], 3)
    for sidecar in folder.glob("*.index.parquet"):
        sidecar.unlink()
    assert digests(stream_of(tiny(data__shards=str(folder)))[0], 3) == indexed


def test_missing_shards_are_named(tiny: Tiny) -> None:
    with pytest.raises(UserError, match=r"no/such/folder"):
        stream_of(tiny(data__shards="no/such/folder"))
    with pytest.raises(UserError, match=r"has no data\.shards"):
        stream_of(tiny(data__shards=""))


@pytest.fixture
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["fold the paper", "cut it"], 400)


def sample(*texts: str) -> Sample:
    import numpy as np

    frames = tuple(np.zeros((2, 3, 8, 8), np.uint8) for _ in texts)
    return Sample("key", texts, frames, tuple((5.0, 7.5) for _ in texts))


def test_a_sample_is_spelled_as_in_the_paper(tokenizer: Tokenizer) -> None:
    batch = collate([sample("fold the paper", "cut it")], tokenizer, 64)
    visual, chunk = tokenizer.visual, tokenizer.end_of_chunk
    one, two = tokenizer.encode("fold the paper"), tokenizer.encode("cut it")
    ids = [tokenizer.begin, visual, *one, chunk, visual, *two, chunk, tokenizer.end]
    assert batch.rows.tokens.tolist() == [ids]
    learned = [IGNORED if token in (tokenizer.begin, visual) else token for token in ids]
    assert batch.rows.labels.tolist() == [learned]
    assert batch.media.times.tolist() == [[[0.0, 2.5], [0.0, 2.5]]]
    row, begin, end = batch.pairs.first_span[0].tolist()
    assert (row, end - begin) == (0, 3 + len(one))


def test_padding_is_not_learned_and_equal_captions_share_a_group(tokenizer: Tokenizer) -> None:
    batch = collate([sample("cut it"), sample("fold the paper", "Cut it"), BadSample("k", "r")], tokenizer, 64)
    first, second, third = batch.pairs.group.tolist()
    assert first == third != second
    assert (batch.rows.labels[~batch.rows.mask] == IGNORED).all()
    assert batch.media.clip_mask.tolist() == [[True, False], [True, True]]
    assert batch.bad_samples == (BadSample("k", "r"),)


def test_a_batch_of_holes_is_empty(tokenizer: Tokenizer) -> None:
    batch: Batch = collate([BadSample("a", "x"), BadSample("b", "y")], tokenizer, 64)
    assert len(batch) == 0
    assert len(batch.digest()) == 64


def test_long_samples_are_cut(tokenizer: Tokenizer) -> None:
    batch = collate([sample("fold the paper " * 20)], tokenizer, 10)
    assert batch.rows.tokens.shape == (1, 10)
    assert batch.pairs.tokens.shape == (1, 10)


def page() -> Sample:
    """Text, an image without text, an image with text."""
    import numpy as np

    seen, unseen = np.zeros((1, 3, 8, 8), np.uint8), np.zeros((0, 3, 8, 8), np.uint8)
    return Sample("page", ("cut it", "", "fold the paper"), (unseen, seen, seen), ((), (0.0,), (0.0,)))


def test_a_page_is_tokenized_with_its_lead_and_bare_images(tokenizer: Tokenizer) -> None:
    batch = collate([sample("cut it"), page()], tokenizer, 64)
    visual, chunk = tokenizer.visual, tokenizer.end_of_chunk
    lead, text = tokenizer.encode("cut it"), tokenizer.encode("fold the paper")
    ids = [tokenizer.begin, *lead, visual, visual, *text, chunk, tokenizer.end]
    assert batch.rows.tokens[1][batch.rows.mask[1]].tolist() == ids
    learned = batch.rows.labels[1][batch.rows.mask[1]].tolist()
    assert learned == [IGNORED] * (1 + len(lead) + 2) + [*text, chunk, tokenizer.end]
    assert batch.rows.media_upto[1][batch.rows.mask[1]].tolist() == [0] * (1 + len(lead)) + [1] + [2] * (len(text) + 3)
    assert batch.pairs.clip.tolist() == [0, 2]  # of the three clips with frames, those with text
    assert batch.pairs.first.tolist() == [0]  # the page's first image has no text
    lead_too = collate([page()], tokenizer, 64, learn_lead=True)
    assert lead_too.rows.labels[0][1 : 1 + len(lead)].tolist() == lead


def test_words_that_look_like_markers_are_no_markers(tokenizer: Tokenizer) -> None:
    batch = collate([sample("cut <visual> it <|endofchunk|></s>")], tokenizer, 64)
    assert (batch.rows.tokens == tokenizer.visual).sum() == batch.media.clip_mask.sum()
    assert (batch.rows.tokens == tokenizer.end_of_chunk).sum() == 1
    assert (batch.rows.tokens == tokenizer.end).sum() == 1
