"""The document: canonical bytes, and laws that a broken one cannot pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from interlink.shards import document as documents
from interlink.shards.document import Document, count_tokens, join


def broken(found: Document, change: Callable[[dict[str, Any]], Any]) -> str:
    data = json.loads(found.dump())
    change(data)
    return json.dumps(data)


def test_what_is_dumped_is_read_back_equal(document: Callable[..., Document]) -> None:
    found = document("a", 3)

    assert documents.load(found.dump()) == found
    assert documents.load(found.dump().encode()).dump() == found.dump()


def test_the_json_is_canonical(document: Callable[..., Document]) -> None:
    found = document("a", 1)
    found.clips[0].end = 1.00000049
    text = found.dump()

    assert '"end":1.0,' in text and "1.00000049" not in text
    assert "Zwölf" in text and ": " not in text.replace("Step", "")
    keys = list(json.loads(text))
    assert keys == sorted(keys)
    assert '"regions"' not in text and '"speech":""' in text  # None is left out, empty is told


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["segments"][0].update(clip=2), "segment 0 names clip 2 of 2"),
        (lambda d: d["segments"][0].update(clip=-1), "segment 0 names clip -1 of 2"),
        (lambda d: d["segments"][2].update(times=[0.4]), "frames go back in time to 0.4 s"),
        (lambda d: d["segments"][3].update(start=-1), "caption goes back in time to -1"),
        (lambda d: d["segments"][2].update(images=["000.jpg"]), "image 000.jpg is named twice"),
        (lambda d: d["segments"][2].update(times=[1.5, 1.6]), "has 1 images and 2 times"),
        (lambda d: d["segments"][1].update(end=-2), "segment 1 ends before it starts"),
        (lambda d: d["clips"][1].update(end=0.5), "clip 1 ends before it starts"),
        (lambda d: d["segments"][1].update(role="song"), "segments.1.text.role"),
        (lambda d: d.update(extra=1), "extra: Extra inputs"),
        (lambda d: d.pop("source"), "source: Field required"),
        (lambda d: d.update(format_version="99"), "format version '99'"),
        (lambda d: d["clips"][0].update(start=float("nan")), "clips.0.start"),
    ],
)
def test_a_broken_document_is_refused_with_what_is_wrong(
    document: Callable[..., Document], change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        documents.load(broken(document("a"), change))


def test_tokens_are_words_and_punctuation_marks() -> None:
    assert count_tokens("Don't stir, it's hot!") == 10
    assert count_tokens("  ") == 0
    assert count_tokens("먼저 물을 끓입니다.") == 4


def test_joined_texts_have_single_spaces() -> None:
    assert join(["  a\n b ", "", "c\t"]) == "a b c"
