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


def test_a_run_with_a_quarter_of_the_words_may_be_a_language_of_its_own() -> None:
    def words(english: int) -> list[Word]:
        first = [Word(f"peel{n}", float(n), n + 0.5, run=0) for n in range(english)]
        return [*first, Word("Schäl", 1.0, 1.6, run=1), Word("Schäler.", 1.6, 2.0, run=1)]

    assert [word.text for word in wanted_runs(words(6), ("de", "en"), detect)] == ["Schäl", "Schäler."]
    assert wanted_runs(words(7), ("de", "en"), detect) == words(7)
    assert [word.text for word in wanted_runs(words(6), ("en-GB",), detect)] == [f"peel{n}" for n in range(6)]


def test_sentences_that_begin_together_are_in_order_of_their_end() -> None:
    found = sentences_of_runs(
        [Word("Long.", 1.0, 3.0, run=0), Word("Short.", 1.0, 2.0, run=1), Word("First.", 0.5, 9.0, run=2)]
    )
    assert [one.text for one in found] == ["First.", "Short.", "Long."]
    ends = sentences_of_runs([Word("a", 1.0, 1.5, timed=True), Word("b", 1.5, 2.0, timed=True)], lambda texts: [1])
    assert [one.text for one in ends] == ["a", "b"]
