"""Pools of sentences and the captions drawn from them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest

from cosmos_train.stream.views.captions import DREAMLIP, crops, draw, scenes, sentences_of, split
from cosmos_train.stream.views.settings import ViewSettings

SETTINGS = ViewSettings()


def members(about: dict[str, Any], *names: str) -> dict[str, memoryview]:
    found = {"json": memoryview(json.dumps(about).encode())}
    return found | {name: memoryview(b"\xff\xd8") for name in names}


def pool(about: dict[str, Any], **settings: Any) -> tuple[str, ...]:
    (scene,) = scenes(members(about, "jpg"), ("caption",), ViewSettings(**settings))
    return scene.sentences


def test_text_is_cut_at_lines_full_stops_and_end_marks() -> None:
    assert split("A cat. It sits\non a  mat.</s>Good. ") == ["A cat", "It sits", "on a mat", "Good"]
    assert split(" . \n") == []


def test_dreamlips_fields_may_be_lists_or_whole_texts_and_are_never_characters() -> None:
    lists = {field: [f"{field} one", f"{field} two"] for field in DREAMLIP}
    texts = {field: f"{field} one. {field} two." for field in DREAMLIP}
    wanted = tuple(f"{field} {which}" for field in DREAMLIP for which in ("one", "two"))
    assert pool(lists) == pool(texts) == pool({**lists, "raw_caption": "raw_caption one. raw_caption two"}) == wanted
    assert pool({"raw_caption": "a cat", "longSV_captions": None}) == ("a cat",)


def test_fields_that_are_neither_text_nor_lists_of_text_are_named() -> None:
    with pytest.raises(ValueError, match="longIB_captions is neither a text nor a list of texts, but dict"):
        pool({"longIB_captions": {"a": 1}})
    with pytest.raises(ValueError, match="raw_caption is neither"):
        pool({"raw_caption": ["a cat", 3]})
    with pytest.raises(ValueError, match="raw_caption is a list of single characters"):
        sentences_of(list("a cat on"), "raw_caption")


def test_a_json_without_the_fields_is_explained() -> None:
    with pytest.raises(
        ValueError, match=r"has none of raw_caption.*original_caption but sha256, url.*save_additional_columns"
    ):
        pool({"url": "x", "sha256": "0"})
    with pytest.raises(ValueError, match=r"has none of original_caption, caption but raw_caption"):
        pool({"raw_caption": "a cat"}, captions="pixelprose")


def test_pixelprose_is_its_original_and_its_split_caption() -> None:
    assert pool({"original_caption": "cat jpg", "caption": "A cat. A mat.", "url": ""}) == ("cat jpg", "A cat", "A mat")


def test_pixelproses_original_caption_may_be_one_entry_as_in_the_released_code() -> None:
    about = {"original_caption": "St. Ives.  A harbour, 1.5 m", "caption": "A cat. A mat."}
    assert pool(about) == ("St", "Ives", "A harbour, 1", "5 m", "A cat", "A mat")
    assert pool(about, whole_original=True) == ("St. Ives. A harbour, 1.5 m", "A cat", "A mat")
    assert pool({**about, "original_caption": "  "}, whole_original=True) == ("A cat", "A mat")
    assert "whole_original" not in ViewSettings().model_dump()


def test_pairs_text_is_used_where_that_is_asked_for() -> None:
    found = members({"url": "x"}, "jpg") | {"txt": memoryview(b"A cat. A mat.")}
    (scene,) = scenes(found, (), ViewSettings(captions="text"))
    assert scene.sentences == ("A cat", "A mat")


def test_our_documents_give_a_scene_per_clip_with_all_of_its_texts() -> None:
    about = {
        "segments": [
            {"type": "frames", "images": ["000.jpg", "001.jpg"], "times": [0.0, 1.0], "clip": 0},
            {"type": "text", "text": "A red cup. It is lifted.", "role": "caption", "clip": 0},
            {"type": "text", "text": "now we lift the cup", "role": "speech", "clip": 0},
            {"type": "text", "text": "no frames", "role": "caption", "clip": 1},
            {"type": "frames", "images": ["002.jpg"], "times": [9.0], "clip": 2},
            {"type": "text", "text": "The end", "role": "caption", "clip": 2},
        ],
        "clips": [{"caption": "A red cup. It is lifted.", "ocr": "STOP"}, {}, {"caption": "The end"}],
    }
    found = scenes(members(about, "000.jpg", "001.jpg", "002.jpg"), ("caption", "speech"), SETTINGS)
    assert [scene.sentences for scene in found] == [("A red cup", "It is lifted", "now we lift the cup"), ("The end",)]
    assert [len(scene.images) for scene in found] == [2, 1]


def test_eight_captions_two_of_one_to_five_sentences_then_six_of_one() -> None:
    sentences = [f"s{number}" for number in range(30)]
    lengths: Counter[int] = Counter()
    for seed in range(400):
        found = crops(sentences, SETTINGS, np.random.default_rng(seed))
        assert len(found) == 8
        for caption in found[:2]:
            parts = caption.split(". ")
            assert len(set(parts)) == len(parts)
            lengths[len(parts)] += 1
        assert len(set(found[2:])) == 6
        assert set(found[2:]) <= set(sentences)
    assert set(lengths) == {1, 2, 3, 4, 5}
    assert min(lengths.values()) > 800 / 5 * 0.75
    first = [crops(sentences, SETTINGS, np.random.default_rng(seed))[0] for seed in range(400)]
    starts = Counter(caption.split(". ")[0] for caption in first)
    assert len(starts) == 30  # any sentence may come first: the order is drawn too


def test_a_pool_that_is_too_small_is_repeated() -> None:
    random = np.random.default_rng(0)
    assert Counter(draw(["a", "b"], 6, random)) == {"a": 3, "b": 3}
    found = Counter(draw(["a", "b", "c", "d"], 6, random))
    assert found.total() == 6
    assert set(found.values()) == {1, 2}
    assert len(crops(["only"], SETTINGS, random)) == 8


def test_a_plain_pair_is_read_by_its_own_text() -> None:
    """img2dataset without more columns, and users of open_clip: a txt, or the json's caption."""
    assert pool({"url": "x", "caption": "A cat. On a mat."}) == ("A cat", "On a mat")
    assert pool({"caption": "", "text": "a dog"}) == ("a dog",)
    members = {"jpg": memoryview(b"picture"), "txt": memoryview(b"a bird")}
    (scene,) = scenes(members, ("caption",), ViewSettings())
    assert scene.sentences == ("a bird",)
