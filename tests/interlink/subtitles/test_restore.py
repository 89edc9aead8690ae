"""Sentence ends of speech without punctuation."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from interlink.subtitles.restore import cuts
from interlink.subtitles.words import Word
from sentence_ends import Ends, agreement, auto_captions, captions, lecture


def pieces(text: str, pause: float = 0.0) -> list[str]:
    """The sentences of a text; | is a pause, words last 0.3 s."""
    words: list[Word] = []
    at = 0.0
    for entry in text.split():
        if entry == "|":
            at += pause
            continue
        words.append(Word(entry, round(at, 3), round(at + 0.3, 3), timed=True))
        at += 0.3
    edges = [0, *cuts(words), len(words)]
    return [" ".join(w.text for w in words[a:b]) for a, b in pairwise(edges)]


@pytest.mark.parametrize(
    "sentences",
    [
        ("okay this is half a can of tomatoes", "here's the pan"),
        ("now the secret ingredient is not an onion", "let's do it"),
        ("if you have made pasta before I've got a tip for you",),
        ("this is the one that you should make", "so there you go"),
        ("the next point I want to make is about cheese",),
        ("I think the move is to go with whole leaves",),
        ("that is the water", "what do we do with it now"),
        ("this is something that we do for our students",),
    ],
)
def test_sentences_without_pauses_are_cut_by_their_words(sentences: tuple[str, ...]) -> None:
    assert pieces(" ".join(sentences)) == list(sentences)


def test_a_pause_cuts_where_words_do_not_tell() -> None:
    text = "salty pasta water | a full pound of penne"

    assert pieces(text) == ["salty pasta water a full pound of penne"]
    assert pieces(text, pause=1.4) == ["salty pasta water", "a full pound of penne"]


def test_other_languages_are_cut_by_pauses_alone() -> None:
    text = "jetzt kommt das Salz dazu | danach rühren wir kräftig um"

    assert pieces(text, pause=1.4) == ["jetzt kommt das Salz dazu", "danach rühren wir kräftig um"]


@pytest.mark.parametrize(("name", "least"), [("auto captions", 0.73), ("captions", 0.70), ("lecture", 0.78)])
def test_ends_agree_with_those_cut_by_hand(shared_data: Path, name: str, least: float) -> None:
    sets: dict[str, Ends] = {
        "auto captions": auto_captions(shared_data),
        "captions": captions(shared_data),
        "lecture": lecture(),
    }
    words, begins = sets[name]

    f1, _, _ = agreement(cuts(words), begins)

    assert f1 >= least
