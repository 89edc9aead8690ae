"""Sentences give their text back, shares count words, and personal data is told from ordinary numbers."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.shards.document import count_tokens, join
from interlink.text.personal import scrub
from interlink.text.sentences import split, within
from interlink.text.words import agreement, content_words, copied_share, repeated_share, stem


@given(st.text(alphabet="aB .!?…\"'1。\n", max_size=60))
def test_sentences_joined_are_the_text(text: str) -> None:
    assert join(split(text)).replace(" ", "") == join([text]).replace(" ", "")
    assert "" not in split(text)


def test_sentences_end_at_their_punctuation_and_not_at_abbreviations() -> None:
    assert split("Cut it. Then fry! Done? yes") == ["Cut it.", "Then fry!", "Done? yes"]
    assert split('Mr. Smith said "stop." He did.') == ['Mr. Smith said "stop."', "He did."]
    assert split("about 1.5 cups, e.g. Flour") == ["about 1.5 cups, e.g. Flour"]


@given(st.lists(st.sampled_from(["cut", "it.", "Stir,", "the", "Pot!"]), max_size=20), st.integers(0, 25))
def test_a_budget_keeps_a_beginning(words: list[str], tokens: int) -> None:
    text = " ".join(words)
    kept = within(text, tokens)
    assert text.startswith(kept)
    assert count_tokens(kept) <= tokens
    assert kept == text or count_tokens(text) > tokens


def test_words_compare_across_endings() -> None:
    assert {stem(word) for word in ("stir", "stirs", "stirring", "stirred")} == {"stir"}
    assert {stem(word) for word in ("slice", "slices", "sliced", "slicing")} == {"slic"}
    assert content_words("Now we are slicing the onions") == ["slic", "onion"]
    assert agreement("A hand slices an onion.", "slice the onions") == 1.0
    assert agreement("A hand slices an onion.", "hello and welcome") == 0.0
    assert agreement("", "slice") is None


def test_shares_of_copied_and_repeated_words() -> None:
    said = "so now we are going to cut the onion in half"
    assert copied_share("we are going to cut the bread", said) == pytest.approx(6 / 7)
    assert copied_share("a hand halves it", said) == 0
    assert repeated_share("a b c d e f") == 0
    assert repeated_share("cut the red onion " * 5) > 0.7


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("mail jo.b+x@mail.example.org!", "mail <EMAIL>!"),
        ("call 555-010-9999 or (020) 7946 0018.", "call <PHONE> or <PHONE>."),
        ("+49 30 901820", "<PHONE>"),
        ("bake at 350 for 20-25 minutes in 2024", "bake at 350 for 20-25 minutes in 2024"),
        ("1,000,000 views at 10:30:15", "1,000,000 views at 10:30:15"),
        ("@handle and a @ b", "@handle and a @ b"),
    ],
)
def test_personal_data_goes_and_numbers_stay(text: str, scrubbed: str) -> None:
    assert scrub(text)[0] == scrubbed
    assert scrub(scrub(text)[0]) == (scrubbed, 0)


def test_scrubbing_takes_linear_time() -> None:
    began = time.process_time()
    scrub("1" * 50_000 + "(" * 50_000 + "a." * 50_000 + "@")
    scrub("+1 " * 30_000)
    assert time.process_time() - began < 2
