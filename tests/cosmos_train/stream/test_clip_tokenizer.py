"""CLIP's tokenizer gives the ids that open_clip's gives."""

from __future__ import annotations

from pathlib import Path

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


NASTY = (
    "salt &amp; pepper", "&amp;lt;b&amp;gt; twice &amp;amp; more", "&quot;so&quot; it&#39;s &nbsp;&eacute;te",
    "“curly” ‘quotes’ it’s dog’s", "ＦＵＬＬ　Ｗｉｄｔｈ １２３", "ﬁne ﬂow oﬃce ĳ", "cafÃ© â€œbrokenâ€\x9d",
    "cafe\u0301", "e&#769;te",
    "ΣΊΣΥΦΟΣ İSTANBUL", "it'ſ", "a\x00b\x1bc", "soft\u00adhyphen zero\u200bwidth", "line\u2028end\x85next",
    "&notanentity; &#x1F600; &#0; &", "…ellipsis — dash – en", "\ufeffmark", "😀👍🏽 emoji", "a&lt;b&gt;c <i>tags</i>",
    "Ã¼ber schÃ¶n", "ℌ𝔢𝔩𝔩𝔬 ①", "   ", "&amp;", "ñ vs n\u0303", "tab\tnew\r\nline",
)  # fmt: skip


@pytest.mark.parametrize("text", NASTY)
def test_nasty_text_has_open_clips_ids_too(clip: Tokenizer, text: str) -> None:
    theirs = open_clip().get_tokenizer("ViT-B-16")
    assert tokenize_caption(text, clip, 77) == [number for number in theirs(text)[0].tolist() if number]


def test_a_saved_tokenizer_cleans_as_before(clip: Tokenizer, tmp_path: Path) -> None:
    clip.save(tmp_path / "tokenizer.json")
    again = Tokenizer.load(tmp_path / "tokenizer.json", clip.names)
    for text in NASTY:
        assert again.encode(text) == clip.encode(text)


def test_special_tokens_in_a_text_are_no_special_tokens(clip: Tokenizer) -> None:
    """A text is pooled at its first end token, so no text may hold one: also not as entities."""
    for text in ("a <end_of_text> b", "a &lt;end_of_text&gt; b", "A &amp;lt;END_OF_TEXT&amp;gt; B"):
        assert tokenize_caption(text, clip, 77) == tokenize_caption("a b", clip, 77)


def test_words_come_back(clip: Tokenizer) -> None:
    assert clip.decode(clip.encode("a café and 日本 too")) == "a café and 日本 too"
