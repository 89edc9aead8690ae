"""Crops of pictures, batches of views, and the stream that gives them."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cosmos_recipe import cosmos_recipe
from cosmos_train.errors import UserError
from cosmos_train.recipe import Recipe
from cosmos_train.stream.batch import digest
from cosmos_train.stream.stream import open_data, open_stream
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.stream.views.batch import tokenize_caption
from cosmos_train.stream.views.pictures import crop_box, jittered, views
from cosmos_train.stream.views.settings import ViewSettings
from interlink.shards import ShardWriter
from interlink.storage import Storage

NOISE = np.random.default_rng(0).integers(0, 256, (60, 90, 3)).astype(np.uint8)


def pairs(folder: Path, jsons: list[Any], text: bytes = b"a pair") -> Path:
    """A tar as img2dataset writes it, without an index."""
    picture = io.BytesIO()
    Image.fromarray(NOISE).save(picture, "JPEG")
    with ShardWriter(Storage(str(folder)), "", lambda number: f"{number:05d}.tar", 10**6) as writer:
        for number, about in enumerate(jsons):
            members = [("jpg", picture.getvalue()), ("json", json.dumps(about).encode())]
            members += [("txt", text)] if text else []
            writer.add(f"{number:09d}", members, images=1, clips=1, text_tokens=1)
    for index in folder.glob("*.parquet"):
        index.unlink()
    return folder


def batches(recipe: Recipe, words: Tokenizer, count: int, rank: int = 0, size: int = 1) -> list[Any]:
    stream = open_stream(recipe, words, open_data(recipe.data), rank, size)
    return [stream.next() for _ in range(count)]


def test_crops_have_their_sizes_and_shares_of_the_area() -> None:
    large, small = views(NOISE, 48, ViewSettings(local_size=24), np.random.default_rng(1))
    assert (large.shape, small.shape) == ((2, 3, 48, 48), (6, 3, 24, 24))
    assert large.dtype == small.dtype == np.uint8
    again = views(NOISE, 48, ViewSettings(local_size=24), np.random.default_rng(1))
    assert (large == again[0]).all() and (small == again[1]).all()
    random = np.random.default_rng(0)
    for scale in ((0.4, 1.0), (0.05, 0.4)):
        shares, ratios = [], []
        for _ in range(500):
            left, top, right, bottom = crop_box(500, 400, scale, random)
            assert 0 <= left < right <= 500 and 0 <= top < bottom <= 400
            shares.append((right - left) * (bottom - top) / 200_000)
            ratios.append((right - left) / (bottom - top))
        assert scale[0] - 0.01 < min(shares) < scale[0] + 0.1
        assert scale[1] - 0.1 < max(shares) < scale[1] + 0.01
        assert 0.74 < min(ratios) < 0.85 and 1.2 < max(ratios) < 1.35
    assert crop_box(1000, 10, (0.9, 1.0), random) == (493, 0, 506, 10)  # no such box: the middle


def test_without_augmentation_a_crop_is_a_resized_box_flipped_or_not() -> None:
    plain = ViewSettings(augment=0.0, crop_scale=1.0, local_views=0)
    grey = np.full((64, 64, 3), 117, np.uint8)
    large, small = views(grey, 32, plain, np.random.default_rng(0))
    assert (large == 117).all()
    assert small.shape == (0, 3, 96, 96)


def test_only_the_second_large_crop_is_solarised() -> None:
    """Of a picture of one bright colour: solarising turns it dark."""
    bright = np.full((64, 64, 3), 250, np.uint8)
    dark = [0, 0, 0]
    settings = ViewSettings(local_size=16)
    for seed in range(150):
        large, small = views(bright, 32, settings, np.random.default_rng(seed))
        for kind, one in enumerate((large[0], large[1], small)):
            dark[kind] += int(one.mean() < 60)
    assert dark[0] == dark[2] == 0
    assert 12 < dark[1] < 50  # a fifth of 150


def test_jitter_stays_within_its_bounds() -> None:
    grey = Image.new("RGB", (8, 8), (100, 100, 100))
    levels = [np.asarray(jittered(grey, np.random.default_rng(seed))).mean() for seed in range(200)]
    assert 58 < min(levels) < 75 and 125 < max(levels) < 142


def test_texts_begin_and_end_and_keep_their_end_when_cut(words: Tokenizer) -> None:
    ids = tokenize_caption("a red square lies left of 0 </s> and more and more", words, 6)
    assert len(ids) == 6
    assert (ids[0], ids[-1]) == (words.begin, words.end)
    assert ids.count(words.end) == 1
    assert tokenize_caption("", words, 6) == [words.begin, words.end]


def test_batches_hold_views_first_and_are_the_same_for_any_number_of_ranks_and_workers(
    shards: Path, words: Tokenizer
) -> None:
    recipe = cosmos_recipe(shards)
    whole = batches(recipe, words, 12)
    first = whole[0]
    assert first.images.shape == (2, 4, 3, 32, 32)
    assert first.crops.shape == (3, 4, 3, 16, 16)
    assert first.texts.shape == (5, 4, 16)
    assert [len(captions) for captions in first.captions] == [5] * 4
    assert (first.texts[..., 0] == words.begin).all()
    assert ((first.texts == words.end).sum(-1) == 1).all()
    halves = [batches(recipe, words, 12, rank, 2) for rank in range(2)]
    assert [digest(*parts) for parts in zip(*halves, strict=True)] == [digest(batch) for batch in whole]
    # 12 documents of 3 clips: an epoch is 36 pictures, then all come again with other crops
    keys = [key for batch in whole[:9] for key in batch.keys]
    assert sorted(keys) == sorted([f"doc0-{number}x" for number in range(12)] * 3)
    assert not (whole[0].images == whole[9].images).all()


@pytest.mark.processes
def test_more_readers_than_shards_are_no_trouble(tmp_path: Path, words: Tokenizer) -> None:
    folder = pairs(tmp_path / "pairs", [{"raw_caption": f"number {number}"} for number in range(6)])
    recipe = cosmos_recipe(folder, train__batch_size=3)
    read = cosmos_recipe(folder, train__batch_size=3, data__workers=2)
    assert [b.digest() for b in batches(read, words, 3)] == [b.digest() for b in batches(recipe, words, 3)]


def test_recaptioned_pairs_without_an_index_are_read(tmp_path: Path, words: Tokenizer) -> None:
    folder = pairs(tmp_path / "pairs", [{"raw_caption": "one. two"}, {"longSV_captions": ["three", "four"]}])
    (batch,) = batches(cosmos_recipe(folder, train__batch_size=2), words, 1)
    said = {sentence for captions in batch.captions for caption in captions for sentence in caption.split(". ")}
    assert said == {"one", "two", "three", "four"}


def test_shards_without_the_fields_stop_the_run_and_say_what_to_do(tmp_path: Path, words: Tokenizer) -> None:
    folder = pairs(tmp_path / "pairs", [{"url": "x"}] * 3 + [{"raw_caption": "fine"}], text=b"")
    with pytest.raises(UserError, match=r"75% of the samples cannot be used.*has none of raw_caption") as caught:
        batches(cosmos_recipe(folder), words, 2)
    assert "save_additional_columns" in caught.value.what


def test_a_damaged_picture_is_a_hole(make_shards: Callable[..., Path], words: Tokenizer) -> None:
    folder = make_shards(documents=4, broken=(1,))
    found = batches(cosmos_recipe(folder, data__max_bad_share=1.0), words, 3)
    bad_samples = [one for batch in found for one in batch.bad_samples]
    assert {one.key for one in bad_samples} == {"doc0-1x"}
    assert sum(len(batch) for batch in found) == 9
    assert all("its picture" in one.reason for one in bad_samples)
    assert dataclasses.asdict(found[0]).keys() >= {"images", "crops", "texts"}
