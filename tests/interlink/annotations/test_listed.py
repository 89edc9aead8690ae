"""Columns of the source list as captions: what is missing is none, what is no text is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from interlink.annotations.entries import Span, spans_of
from interlink.annotations.listed import of_source
from interlink.errors import StageError


def captions(value: Any) -> list[str]:
    listed = {"kind": "pair", "metadata": json.dumps({"caption": value}), "title": ""}
    return [span.text for span in of_source(("caption",), listed, {"info": "{}"})]


@pytest.mark.parametrize("value", ["nan", "None", "NULL", " N/A ", "", None, float("nan"), [], ["nan", None]])
def test_a_missing_caption_is_none_however_it_is_written(value: Any) -> None:
    assert captions(value) == []


def test_several_captions_are_joined_each_once() -> None:
    assert captions(["a red pot", "a pot.", "a red pot", "nan"]) == ["a red pot. a pot."]
    assert captions(7.0) == ["7"]


@pytest.mark.parametrize("value", [True, {"a": 1}, [["a"]]])
def test_what_is_no_text_fails_the_item(value: Any) -> None:
    with pytest.raises(StageError, match="column caption is a") as error:
        captions(value)
    assert error.value.error_class == "unreadable"


def test_a_spoken_none_is_a_word_and_a_captioned_none_is_missing() -> None:
    assert spans_of({"start": [0, 1], "end": [1, 2], "text": ["None", float("nan")]}) == [Span("None", 0, 1)]
    assert spans_of([{"start": 0, "end": 1, "caption": "nan"}]) == []
