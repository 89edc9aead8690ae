"""A stream's numbers: which samples a seed gives each source, epochs, exposure, the signature of its data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cosmos_train.errors import UserError
from cosmos_train.recipe import Recipe
from cosmos_train.stream.batch import Batch, Sample
from cosmos_train.stream.health import Note
from cosmos_train.stream.loader import Samples
from cosmos_train.stream.pack import Slot
from cosmos_train.stream.plan import Request, pack_window
from cosmos_train.stream.stream import Batches, Data, Stream, StreamState, _per_batch, _Sent, open_data, open_stream
from cosmos_train.stream.tokenizer import Tokenizer

Tiny = Callable[..., Recipe]
PACK = {"tokens": 96, "images": 8, "window": 10}


@pytest.fixture
def folders(make_shards: Callable[..., Path]) -> tuple[str, str]:
    return (
        str(make_shards("long", documents=5, seed=1)),
        str(make_shards("short", documents=7, seed=2, clips=1, frames=1)),
    )


@pytest.fixture
def mixed(tiny: Tiny, folders: tuple[str, str]) -> Callable[..., Recipe]:
    def make(first: int = 0, second: int = 1, **settings: Any) -> Recipe:
        sources = {"one": {"shards": folders[first]}, "two": {"shards": folders[second], "batch_scale": 0.5}}
        return tiny(data__shards="", data__sources=sources, **settings)

    return make


def opened(recipe: Recipe, state: StreamState | None = None) -> tuple[Stream, Data, Tokenizer]:
    data = open_data(recipe.data)
    tokenizer = Tokenizer.train(data.texts(), 400)
    return open_stream(recipe, tokenizer, data, state=state), data, tokenizer


def test_each_source_has_a_seed_of_its_own(mixed: Callable[..., Recipe]) -> None:
    """A checkpoint's position means something only as long as this holds: the first has the recipe's seed."""
    recipe = mixed(0, 0)
    stream, data, _ = opened(recipe)
    given: dict[str, list[tuple[str, tuple[str, ...]]]] = {"one": [], "two": []}
    for _ in range(6):
        batch = stream.next()
        given[batch.source] += zip(batch.keys, batch.texts, strict=True)
    assert [len(found) for found in given.values()] == [12, 6]
    for number, found in enumerate(given.values()):
        samples = Samples(data.corpora[number], data.sources[number][1], recipe.seed + 1_000_003 * number)
        expected = [one for one in samples.many(range(len(found))) if isinstance(one, Sample)]
        assert found == [(one.key, one.texts) for one in expected]
    assert given["one"][:6] != given["two"]


def test_data_are_all_sources(mixed: Callable[..., Recipe], tiny: Tiny, folders: tuple[str, str]) -> None:
    data = open_data(mixed().data)
    alone = [open_data(tiny(data__shards=folder).data) for folder in folders]
    assert data.documents == 12 == alone[0].documents + alone[1].documents
    assert data.samples == alone[0].samples + alone[1].samples == 17  # of two clips at most
    assert list(data.texts()) == [*alone[0].texts(), *alone[1].texts()]


def test_a_signature_is_of_the_shards_and_of_what_packs_them(
    mixed: Callable[..., Recipe], tiny: Tiny, folders: tuple[str, str]
) -> None:
    plain = open_data(tiny(data__shards=folders[0]).data)
    assert plain.signature == plain.corpora[0].signature()
    several = open_data(mixed().data)
    one, two = (corpus.signature() for corpus in several.corpora)
    assert several.signature == f"one {one} two {two} None"
    packed = open_data(tiny(data__shards=folders[0], data__pack=PACK).data)
    name = packed.sources[0][0]
    assert packed.signature == f"{name} {packed.corpora[0].signature()} 64 2 {packed.settings.pack}"


def test_an_epoch_counts_samples_or_the_mixtures_batches(mixed: Callable[..., Recipe], tiny: Tiny) -> None:
    stream, data, _ = opened(tiny())
    assert (stream.epoch, stream.types) == (0, 1)
    for _ in range(3):
        assert stream.next().source == ""  # a single source has no name
    assert stream.epoch == 12 / data.samples
    stream, data, _ = opened(mixed())
    for _ in range(3):
        stream.next()
    assert stream.epoch == 3 / stream.mixture.epoch_batches
    assert stream.mixture.epoch_batches == 2 * min(data.corpora[0].units / 4, data.corpora[1].units / 2)


def test_exposure_counts_samples_from_the_start_and_tokens_of_this_process(mixed: Callable[..., Recipe]) -> None:
    stream, _, _ = opened(mixed())
    batches = [stream.next() for _ in range(3)]
    rows = stream.exposure()
    assert [row["source"] for row in rows] == ["one", "two"]
    assert [row["samples"] for row in rows] == [8, 2]
    for row, own in zip(rows, ([batches[0], batches[2]], [batches[1]]), strict=True):
        assert row["tokens"] == sum(batch.num_tokens for batch in own)
        assert row["images"] == sum(batch.num_images for batch in own)
    state = stream.state
    assert state == StreamState((2, 1), (8, 2), (0, 0), (0, 0))
    again, _, _ = opened(mixed(), state)
    assert [row["samples"] for row in again.exposure()] == [8, 2]
    assert [row["tokens"] for row in again.exposure()] == [0, 0]
    assert again.next().digest() == stream.next().digest()


@pytest.mark.parametrize("packed", [False, True])
def test_a_batch_is_measured_before_training(packed: bool, tiny: Tiny) -> None:
    recipe = tiny(**({"data__pack": PACK} if packed else {}))
    data = open_data(recipe.data)
    lengths = data.corpora[0].lengths(Tokenizer.train(data.texts(), 400))
    samples = Samples(data.corpora[0], recipe.data, recipe.seed)
    assert _per_batch(samples, None, 4) == {"samples": 4, "tokens": 0.0, "images": 0.0}
    sizes = [samples.size(number, lengths) for number in range(data.samples)]
    rows = 4 * (10 / len(pack_window(samples, lengths, 0)) if packed else 1)
    wanted = {
        "samples": rows,
        "tokens": rows * sum(tokens for tokens, _ in sizes) / len(sizes),
        "images": rows * sum(images for _, images in sizes) / len(sizes),
    }
    assert _per_batch(samples, lengths, 4) == pytest.approx(wanted)


def test_documents_of_the_next_batches_are_read_once_each(tiny: Tiny, make_shards: Callable[..., Path]) -> None:
    stream, _, _ = opened(tiny(data__shards=str(make_shards(documents=6, seed=4))))
    start = stream.state
    batches = [stream.next() for _ in range(2)]
    found = list(stream.documents_of(start, 2))
    assert stream.state.batches == (2,)  # the stream has not moved
    for batch, part in zip(batches, (found[: len(set(batches[0].keys))], found[len(set(batches[0].keys)) :]), strict=True):  # fmt: skip  # noqa: E501
        assert {key for key, _ in part} == set(batch.keys)
        assert len(part) == len(set(batch.keys))
    assert all("json" in members for _, members in found)


def test_bad_samples_are_counted_by_reason(tiny: Tiny, make_shards: Callable[..., Path]) -> None:
    folder = make_shards(documents=6, seed=4, broken=(2,))
    stream, _, _ = opened(tiny(data__shards=str(folder), data__max_bad_share=1.0))
    bad = [one for _ in range(4) for one in stream.next().bad_samples]
    assert bad and sum(stream.bad.values()) == len(bad)
    assert {key.partition(":")[0] for key in stream.bad} == {one.key for one in bad} == {"doc4-2x"}
    with pytest.raises(UserError, match="cannot be shared evenly"):
        open_stream(tiny(), Tokenizer.train(["a"], 400), world_size=3)


def test_a_packed_sample_has_only_the_clips_whose_frames_fit_its_slot(tiny: Tiny) -> None:
    recipe = tiny(data__pack=PACK)
    data = open_data(recipe.data)
    samples = Samples(data.corpora[0], recipe.data, recipe.seed)
    reader = Batches(
        ["only"], [samples], Tokenizer.train(data.texts(), 400), Note(torch.zeros(1, 3, dtype=torch.int64))
    )
    for images, shown in ((1, 0), (2, 2), (3, 2), (4, 4)):
        batch = reader[Request(0, ((Slot(0, 3, 64, images),), ()), StreamState.start(1))]
        assert isinstance(batch, Batch)
        assert batch.num_images == shown
        assert batch.rows.tokens.shape == (2, 96)
        assert batch.rows.document[:, :4].tolist() == [[-1, -1, -1, 0], [-1] * 4]


def test_opening_a_stream_draws_nothing_from_the_global_random_state(tiny: Tiny) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    stream, _, _ = opened(tiny())
    stream.next()
    assert torch.equal(torch.get_rng_state(), before)


def test_small_tensors_travel_as_arrays_and_large_ones_as_tensors(tiny: Tiny) -> None:
    stream, _, _ = opened(tiny())
    batch = stream.next()
    sent = _Sent.pack(batch)
    assert not isinstance(sent.batch.rows.tokens, torch.Tensor)
    for size, travels in ((2**20 + 1, torch.Tensor), (2**20, np.ndarray)):
        frames = torch.zeros(size, dtype=torch.uint8)
        assert isinstance(_Sent.pack(replace(batch, row_of=frames)).batch.row_of, travels)  # type: ignore[attr-defined]
    assert sent.unpack().digest() == batch.digest()
