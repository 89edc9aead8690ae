"""Runs of simultaneous cues have sentences of their own; a wanted language is chosen among them."""

from __future__ import annotations

from interlink.subtitles.runs import sentences_of_runs, wanted_runs
from interlink.subtitles.words import Word

WORDS = [
    Word("Peel", 1.0, 1.5, run=0),
    Word("Schäl", 1.0, 1.6, run=1),
    Word("it.", 1.5, 2.0, run=0),
    Word("sie.", 1.6, 2.0, run=1),
]


def detect(text: str) -> tuple[str, float] | None:
    return ("de", 0.9) if "Schäl" in text else ("en", 0.9)


def test_sentences_of_runs_are_not_mixed() -> None:
    assert [(each.text, each.start, each.end) for each in sentences_of_runs(WORDS)] == [
        ("Peel it.", 1.0, 2.0),
        ("Schäl sie.", 1.0, 2.0),
    ]
    assert sentences_of_runs([]) == []


def test_the_wanted_language_is_chosen_among_large_runs() -> None:
    assert [word.text for word in wanted_runs(WORDS, ("fr", "de"), detect)] == ["Schäl", "sie."]
    assert wanted_runs(WORDS, ("fr",), detect) == WORDS
    assert wanted_runs(WORDS, ("de",), lambda text: None) == WORDS


def test_small_runs_stay() -> None:
    aside = Word("Ja.", 3.0, 3.5, run=2)
    many = [*WORDS, *(Word("salt", 4.0 + n, 4.5 + n) for n in range(9)), aside]

    assert aside in wanted_runs(many, ("en",), detect)
