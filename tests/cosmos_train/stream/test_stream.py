"""Global batches: the same whatever the ranks and workers, from any state, mixed and packed, bad samples or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cosmos_train.errors import UserError
from cosmos_train.recipe import Recipe
from cosmos_train.stream.batch import IGNORED, Batch, digest
from cosmos_train.stream.loader import Samples
from cosmos_train.stream.plan import pack_window
from cosmos_train.stream.stream import Data, Stream, StreamState, open_data, open_stream
from cosmos_train.stream.tokenizer import Tokenizer

Tiny = Callable[..., Recipe]
Shards = Callable[..., Path]

PACKED = {"data__pack": {"tokens": 96, "images": 8, "window": 10}, "data__max_tokens": 64}


@pytest.fixture
def mixed(tiny: Tiny, make_shards: Shards) -> Callable[..., Recipe]:
    """A recipe of two data types: documents of three clips, and of one."""
    long, short = (
        make_shards("long", documents=9, seed=1),
        make_shards("short", documents=14, seed=2, clips=1, frames=1),
    )

    def make(
        weights: tuple[float, float] = (1.0, 1.0), scales: tuple[float, float] = (1.0, 1.0), **settings: Any
    ) -> Recipe:
        sources = {
            "long": {"shards": str(long), "weight": weights[0], "batch_scale": scales[0]},
            "short": {"shards": str(short), "weight": weights[1], "batch_scale": scales[1], "clips_per_sample": 1},
        }
        return tiny(data__shards="", data__sources=sources, **settings)

    return make


def tokenizer_of(data: Data) -> Tokenizer:
    return Tokenizer.train(data.texts(), 400)


def opened(recipe: Recipe, rank: int = 0, world_size: int = 1, state: StreamState | None = None) -> Stream:
    data = open_data(recipe.data)
    return open_stream(recipe, tokenizer_of(data), data, rank, world_size, state)


def global_digests(recipe: Recipe, batches: int, world_size: int = 1, state: StreamState | None = None) -> list[str]:
    streams = [opened(recipe, rank, world_size, state) for rank in range(world_size)]
    return [digest(*(stream.next() for stream in streams)) for _ in range(batches)]


KINDS = ["plain", "packed", "mixed", "packed mixture", "weighted by tokens"]


@pytest.fixture(params=KINDS)
def recipe(request: pytest.FixtureRequest, tiny: Tiny, mixed: Callable[..., Recipe]) -> Recipe:
    made: dict[str, Callable[[], Recipe]] = {
        "plain": tiny,
        "packed": lambda: tiny(**PACKED),
        "mixed": lambda: mixed(scales=(0.5, 2.0)),
        "packed mixture": lambda: mixed(**PACKED),
        "weighted by tokens": lambda: mixed((3.0, 1.0), data__mixture="weighted", data__weigh_by="tokens"),
    }
    return made[request.param]()


def test_batches_do_not_depend_on_the_number_of_ranks(recipe: Recipe) -> None:
    alone = global_digests(recipe, 9)
    assert global_digests(recipe, 9, world_size=2) == alone
    assert len(set(alone)) == 9


def test_a_run_killed_anywhere_goes_on_with_other_ranks(recipe: Recipe) -> None:
    whole = global_digests(recipe, 14)
    for killed in (1, 2, 5, 11):
        state, found = None, []
        for world_size, until in ((1, killed), (2, killed + 2), (1, 14)):  # 1 -> 2 -> 1 processes
            streams = [opened(recipe, rank, world_size, state) for rank in range(world_size)]
            while len(found) < until:
                found.append(digest(*(stream.next() for stream in streams)))
            assert len({stream.state for stream in streams}) == 1
            state = StreamState.from_dict(json.loads(json.dumps(streams[0].state.to_dict())))
        assert found == whole


@pytest.mark.processes
@pytest.mark.parametrize("kind", ["packed mixture"])
def test_workers_change_neither_batches_nor_state(kind: str, mixed: Callable[..., Recipe]) -> None:
    whole = global_digests(mixed(**PACKED), 8)
    stream = opened(mixed(**PACKED, data__workers=2))
    found = [digest(stream.next()) for _ in range(3)]
    state = stream.state  # the readers are ahead of it
    stream = opened(mixed(**PACKED, data__workers=1), state=state)
    assert found + [digest(stream.next()) for _ in range(5)] == whole


def test_packed_rows_hold_every_sample_of_their_window_once(tiny: Tiny) -> None:
    recipe = tiny(**PACKED)
    data = open_data(recipe.data)
    corpus = data.corpora[0]
    samples = Samples(corpus, recipe.data, recipe.seed)
    lengths = corpus.lengths(tokenizer_of(data))
    for window in (0, 1, 7):
        rows = pack_window(samples, lengths, window)
        assert sorted(slot.number for row in rows for slot in row) == list(range(10 * window, 10 * window + 10))


def test_packed_rows_keep_both_budgets_and_say_who_sees_what(tiny: Tiny) -> None:
    recipe = tiny(**PACKED)
    data = open_data(recipe.data)
    tokenizer = tokenizer_of(data)
    stream = open_stream(recipe, tokenizer, data)
    for _ in range(6):
        batch = stream.next()
        assert batch.packed
        assert batch.rows.tokens.shape == (4, 96)
        assert batch.media.mask.flatten(1).sum(1).max() <= 8
        check_contract(batch, tokenizer)
    assert batch.rows.document.max() > 0  # something was packed


def check_contract(batch: Batch, tokenizer: Tokenizer) -> None:
    """What batch.py says of document, position and media ranges, worked out again token by token."""
    assert (batch.rows.document[~batch.rows.mask] == -1).all()
    assert (batch.rows.labels[~batch.rows.mask] == IGNORED).all()
    for row in range(len(batch.rows.tokens)):
        media, document, position, first = 0, -1, 0, 0
        for token, of, at, begin, upto in zip(
            *(
                grid[row].tolist()
                for grid in (
                    batch.rows.tokens,
                    batch.rows.document,
                    batch.rows.position,
                    batch.rows.media_from,
                    batch.rows.media_upto,
                )
            ),
            strict=True,
        ):
            if of < 0:
                continue
            if of != document:
                assert token == tokenizer.begin
                document, position, first = of, 0, media
            media += token == tokenizer.visual
            assert (at, begin, upto) == (position, first, media)
            position += 1
        assert media == batch.media.clip_mask[row].sum()


def test_a_packed_sample_is_the_same_sample(tiny: Tiny) -> None:
    still = {"data__image": {"size": 32, "smallest_crop": 1, "jitter": 0}}
    plain = opened(tiny(data__max_tokens=64, **still))
    tokenized: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    frames: dict[tuple[str, tuple[str, ...]], torch.Tensor] = {}
    for _ in range(6):
        batch = plain.next()
        starts = batch.media.mask.flatten(1).sum(1).cumsum(0).tolist()
        for row, (key, texts) in enumerate(zip(batch.keys, batch.texts, strict=True)):
            tokenized[key, texts] = batch.rows.tokens[row][batch.rows.mask[row]].tolist()
            frames[key, texts] = batch.media.frames[(starts[row - 1] if row else 0) : starts[row]]
    packed = opened(tiny(**PACKED, **still)).next()
    seen = 0
    at = 0
    for number, (key, texts) in enumerate(zip(packed.keys, packed.texts, strict=True)):
        row = int(packed.row_of[number])
        inside = int((packed.row_of[:number] == row).sum())
        tokens = packed.rows.tokens[row][packed.rows.document[row] == inside].tolist()
        count = 2 * len(texts)
        if (key, texts) in tokenized:
            assert tokens == tokenized[key, texts]
            assert torch.equal(packed.media.frames[at : at + count], frames[key, texts])
            seen += 1
        at += count
    assert seen > 5


@pytest.mark.parametrize("settings", [{}, PACKED], ids=["plain", "packed"])
def test_bad_samples_shift_nothing(settings: dict[str, Any], tiny: Tiny, make_shards: Shards) -> None:
    good = opened(tiny(data__shards=str(make_shards("good", documents=12, seed=5)), **settings))
    folder = make_shards("bad", documents=12, seed=5, broken=(3, 7))
    recipe = tiny(data__shards=str(folder), data__max_bad_share=1, **settings)
    bad = opened(recipe)
    bad_keys = {bad.data.corpora[0].key(number) for number in (3, 7)}
    bad_samples = 0
    for _ in range(5):
        expected, found = good.next(), bad.next()
        assert [key for key in expected.keys if key not in bad_keys] == list(found.keys)
        assert sorted(one.key for one in found.bad_samples) == sorted(key for key in expected.keys if key in bad_keys)
        bad_samples += len(found.bad_samples)
        if settings:
            for row, start, stop in bad_spans(expected, bad_keys):
                assert not found.rows.mask[row, start:stop].any()
            kept = found.rows.mask
            assert torch.equal(expected.rows.tokens[kept], found.rows.tokens[kept])
            assert torch.equal(expected.rows.position[kept], found.rows.position[kept])
    assert bad_samples
    assert set(bad.bad) == {key for key in bad.bad if "frame at" in key}
    assert bad.bad and sum(bad.bad.values()) == bad_samples


def bad_spans(batch: Batch, keys: set[str]) -> list[tuple[int, int, int]]:
    found = []
    for number, key in enumerate(batch.keys):
        if key in keys:
            row = int(batch.row_of[number])
            inside = int((batch.row_of[:number] == row).sum())
            at = (batch.rows.document[row] == inside).nonzero()
            found.append((row, int(at[0]), int(at[-1]) + 1))
    return found


def test_too_many_bad_samples_stop_the_stream_with_an_example(tiny: Tiny, make_shards: Shards) -> None:
    stream = opened(tiny(data__shards=str(make_shards(documents=12, broken=(3, 7)))))
    with pytest.raises(UserError, match=r"% of the samples cannot be used, for example doc0-[37]x: frame at"):
        for _ in range(20):
            stream.next()


def test_a_round_robin_takes_the_sources_in_turn_with_their_own_batch_sizes(mixed: Callable[..., Recipe]) -> None:
    stream = opened(mixed(scales=(0.5, 2.0)))
    batches = [stream.next() for _ in range(6)]
    assert [batch.source for batch in batches] == ["long", "short"] * 3
    assert [len(batch) for batch in batches] == [2, 8] * 3
    assert stream.types == 2


def test_weights_by_tokens_come_out_as_planned(mixed: Callable[..., Recipe]) -> None:
    stream = opened(mixed((3.0, 1.0), data__mixture="weighted", data__weigh_by="tokens"))
    for _ in range(60):
        stream.next()
    rows = {row["source"]: row for row in stream.exposure()}
    assert rows["long"]["planned"] == pytest.approx(0.75)
    for row in rows.values():
        assert row["realised"] == pytest.approx(row["planned"], abs=0.03)
    assert rows["long"]["passes"] == pytest.approx(rows["long"]["samples"] / 18)


def test_epochs_end_with_the_shortest_the_longest_or_all(mixed: Callable[..., Recipe]) -> None:
    lengths = {}
    for epoch in ("min", "max", "weighted"):
        stream = opened(mixed(data__epoch=epoch))  # 18 samples of the long documents, 14 of the short, 4 a batch
        lengths[epoch] = stream.mixture.epoch_batches
    assert lengths == {"min": 2 * 14 / 4, "max": 2 * 18 / 4, "weighted": 32 / 4}


def test_ranks_that_cannot_share_a_batch_are_reported(tiny: Tiny) -> None:
    with pytest.raises(UserError, match="cannot be shared evenly by 3 processes"):
        opened(tiny(), 0, 3)


def test_a_row_that_cannot_hold_a_sample_is_refused_with_the_recipe(tiny: Tiny) -> None:
    with pytest.raises(ValueError, match=r"pack\.tokens is less than the max_tokens"):
        tiny(data__pack={"tokens": 32}, data__max_tokens=64)
    with pytest.raises(ValueError, match=r"pack\.images is less than the frames"):
        tiny(data__pack={"tokens": 64, "images": 3})


def test_a_place_means_nothing_in_other_data(tiny: Tiny, mixed: Callable[..., Recipe], make_shards: Shards) -> None:
    signatures = [
        open_data(recipe.data).signature
        for recipe in (
            tiny(), tiny(**PACKED), mixed(), tiny(data__clips_per_sample=1), tiny(**PACKED, data__frames_per_clip=1),
            tiny(data__pack=PACKED["data__pack"], data__max_tokens=60),
            tiny(data__shards=str(make_shards(documents=12, seed=9))),
        )
    ]  # fmt: skip
    assert len(set(signatures)) == 7
