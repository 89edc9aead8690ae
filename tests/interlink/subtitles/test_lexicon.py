"""Classes of words: what joins them, and what a word is taken for."""

from __future__ import annotations

import pytest

from interlink.subtitles import lexicon as words


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("OPENS", "okay remember finally today", "so the onion"),
        ("MAY_OPEN", "so now then please", "okay because"),
        ("SUBJECT", "i we they'd i'm", "the it"),
        ("LEADING", "if when though", "because until"),
        ("TRAILING", "because until since", "if when"),
        ("SUBORDINATES", "if when because until", "and but"),
        (
            "DANGLES",
            "and because of to is wasn't many own although until every another a",
            "onion now okay add that it",
        ),
        ("MAY_END", "to in that it do up since", "and because my"),
        ("SAYS", "think know thought remember", "add stir"),
        ("INSTRUCTS", "add stir don't wrap", "suppose is"),
        ("VERBS", "add stir think is won't needs watch sign", "onion the okay"),
        ("CONTINUES", "of to into regardless is had that or not than", "in on at for with from by about may"),
        ("FUNCTION", "okay so i it what if the of and but than", "onion add stir"),
        ("JOINS", "and but", "or so"),
        ("JOINED_BY", "now if i there also", "and onion"),
        ("LEADS", "okay and hey anyway", "because if"),
        ("COMMENTS", "maybe unfortunately", "and"),
        ("ENDS_WITH_THAT", "like after with", "and the"),
    ],
)
def test_words_are_in_their_class(name: str, inside: str, outside: str) -> None:
    known = getattr(words, name)
    assert {word for word in inside.split() if word not in known} == set()
    assert {word for word in outside.split() if word in known} == set()


def test_phrases_are_pairs() -> None:
    assert ("in", "fact") in words.PHRASES and ("by", "way") in words.PHRASES and len(words.PHRASES) == 5
    assert {("we", "go"), ("you", "go"), ("it", "is"), ("we", "are")} == words.CLOSES


@pytest.mark.parametrize(
    ("word", "verb"),
    [
        ("add", True), ("is", True), ("needs", True), ("onion", False), ("chef's", True), ("chef're", True),
        ("i'm", True), ("they've", True), ("who'll", True), ("she'd", True), ("'s", False), ("'d", False),
        ("x's", True), ("don't", True), ("ain't", False),
    ],
)  # fmt: skip
def test_a_verb_is_a_known_form_or_has_one_contracted_to_it(word: str, verb: bool) -> None:
    assert words.is_verb(word) == verb


@pytest.mark.parametrize(
    ("word", "nominal"),
    [("onion", True), ("add", False), ("the", False), ("okay", False), ("cutting", False), ("slowly", False),
     ("chef's", False)],
)  # fmt: skip
def test_a_noun_is_a_content_word_without_the_ending_of_a_verb_or_an_adverb(word: str, nominal: bool) -> None:
    assert words.is_nominal(word) == nominal
