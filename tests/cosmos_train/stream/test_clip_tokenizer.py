"""CLIP's tokenizer gives the ids that open_clip's gives."""

from __future__ import annotations

import pytest

from cosmos_train.models.backends import open_clip
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.stream.views.batch import tokenize_caption

TEXTS = (
    "A photo of a cat.", "It's the  chef's 12th dish -- 3.5 kg, über café!", "naïve 日本語 テスト 🙂 ok",
    "   spaces\n and\ttabs ", "don't they're I'LL", "x_y#@! $100 (50%)", "",
)  # fmt: skip


@pytest.fixture(scope="module")
def clip() -> Tokenizer:
    return Tokenizer.clip()


def test_ids_are_open_clips(clip: Tokenizer) -> None:
    theirs = open_clip().get_tokenizer("ViT-B-16")
    for text in TEXTS:
        assert tokenize_caption(text, clip, 77) == [number for number in theirs(text)[0].tolist() if number], text
    assert (clip.begin, clip.end) == (49406, 49407)
    cut = "word " * 100
    assert tokenize_caption(cut, clip, 77) == theirs(cut)[0].tolist()


def test_words_come_back(clip: Tokenizer) -> None:
    assert clip.decode(clip.encode("a café and 日本 too")) == "a café and 日本 too"
