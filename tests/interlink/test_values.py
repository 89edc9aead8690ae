"""Foreign values become text or are refused; a missing value is never the word "nan"."""

from __future__ import annotations

import datetime
import json
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.values import MISSING, is_missing, known_text, known_texts, plain, text_of, texts_of

SCALARS = st.none() | st.floats() | st.integers() | st.text() | st.binary(max_size=40) | st.booleans()
VALUES = SCALARS | st.lists(SCALARS, max_size=4) | st.dictionaries(st.text(), SCALARS, max_size=2)


@given(VALUES)
def test_a_value_becomes_clean_texts_or_is_refused(value: Any) -> None:
    try:
        found = texts_of(value)
    except ValueError as error:
        assert str(error)
        return
    for text in found:
        assert text and text == text.strip()
        assert "\0" not in text and "\ufeff" not in text
    assert known_texts(value) == [text for text in found if not is_missing(text)]


@given(st.text())
def test_a_text_stays_itself_but_for_space_and_marks(text: str) -> None:
    assert text_of(text) == text.replace("\0", "").replace("\ufeff", "").strip()


# NUL bytes may be UTF-16, escapes ISO 2022.
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\x1b")))
def test_utf8_is_the_text_it_encodes(text: str) -> None:
    assert text_of(text.encode()) == text_of(text)


@given(st.integers(-(2**53), 2**53))
def test_whole_floats_are_integers(number: int) -> None:
    assert text_of(float(number)) == text_of(number) == str(number)


@pytest.mark.parametrize(
    "value", [None, math.nan, np.float32("nan"), "", " ", b"", [], [None], [math.nan], np.array([])]
)
def test_what_is_missing_has_no_text(value: Any) -> None:
    assert text_of(value) == known_text(value) == ""


@pytest.mark.parametrize("word", ["nan", "NaN", "None", "NULL", "null", "N/A", "<NA>", "NA", "\\N", " nan "])
def test_the_spelling_of_a_missing_value_is_a_word_to_answers_and_nothing_to_tables(word: str) -> None:
    assert text_of(word) == word.strip()
    assert known_text(word) == ""


@pytest.mark.parametrize("word", ["nancy", "none of them", "na", "Nanna", "0", "False"])
def test_other_words_are_kept(word: str) -> None:
    assert known_text(word) == word


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (True, "is a bool"),
        ({"a": 1}, "is a dict"),
        ([["a"]], "is a list"),
        (["a", "b"], "holds 2 texts"),
        (1.2e18, "too large to be exact"),
        (b"caf\xe9 \xe0 la carte", "not certain"),
    ],
)
def test_what_has_no_text_of_its_own_is_refused(value: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        text_of(value)


def test_lists_and_arrays_give_their_items() -> None:
    assert texts_of(["a", None, math.nan, 3.0, b"\xef\xbb\xbfb"]) == ["a", "3", "b"]
    assert texts_of(np.array(["a", "b"])) == ["a", "b"]
    assert text_of(np.int64(4)) == "4"
    assert known_texts(["a", "nan"]) == ["a"]
    assert all(is_missing(word) for word in MISSING)


@given(st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)))
def test_plain_data_are_valid_json(value: Any) -> None:
    json.dumps(plain(value), allow_nan=False)


def test_plain_data_keep_what_json_has() -> None:
    assert plain({"a": [1, 2.5, "x", None, math.inf]}) == {"a": [1, 2.5, "x", None, None]}
    assert plain(datetime.date(2026, 1, 2)) == "2026-01-02"
    assert plain(Decimal("1.50")) == "1.50"
    assert plain(b"bytes") is None
