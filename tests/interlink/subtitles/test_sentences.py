"""Where sentences end, at the edges of each rule."""

from __future__ import annotations

import pytest

from interlink.subtitles.sentences import sentences_of
from interlink.subtitles.words import Word


def spoken(text: str, each: float = 0.5) -> list[Word]:
    """The words of a text, one after the other without pauses."""
    return [Word(word, n * each, (n + 1) * each) for n, word in enumerate(text.split())]


def texts(words: list[Word]) -> list[str]:
    return [sentence.text for sentence in sentences_of(words)]


def lengths(words: list[Word]) -> list[int]:
    return [len(sentence.words) for sentence in sentences_of(words)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I saw Mr. Smith. Good.", ["I saw Mr. Smith.", "Good."]),
        ("See fig. Four is big.", ["See fig. Four is big."]),
        ("I saw (Dr. Smith there).", ["I saw (Dr. Smith there)."]),
        ("Use oil, e.g. Olive oil.", ["Use oil, e.g. Olive oil."]),
        ("By J. Smith. Good.", ["By J. Smith.", "Good."]),
        ("So do I. Good.", ["So do I.", "Good."]),
        ("Take 5. Good.", ["Take 5.", "Good."]),
        ("It is pm. today. Good.", ["It is pm. today.", "Good."]),
        ("Wait… then. Good.", ["Wait… then.", "Good."]),
        ("Wait. ...Then go. Good.", ["Wait. ...Then go.", "Good."]),
        ("Wait. …Then go. Good.", ["Wait. …Then go.", "Good."]),
        ("Ready? yes. Good.", ["Ready?", "yes.", "Good."]),
        ("No mr! Good.", ["No mr!", "Good."]),
        ('He said "go." Good.', ['He said "go."', "Good."]),
        ("Go?! Good.", ["Go?!", "Good."]),
    ],
)
def test_a_sentence_ends_at_punctuation_unless_it_is_an_abbreviation_an_initial_or_goes_on(
    text: str, expected: list[str]
) -> None:
    assert texts(spoken(text)) == expected


def test_one_end_in_forty_words_counts_as_punctuation() -> None:
    forty = spoken(" ".join(["go"] * 19 + ["on."] + ["Go"] * 20), each=0.1)
    more = spoken(" ".join(["go"] * 19 + ["on."] + ["Go"] * 21), each=0.1)

    assert lengths(forty) == [20, 20]
    assert lengths(more) != [20, 21]


def test_a_pause_of_two_and_a_half_seconds_ends_a_sentence_and_a_shorter_one_does_not() -> None:
    assert texts([Word("one", 0, 1), Word("two", 3.5, 4), Word("three.", 4, 5)]) == ["one", "two three."]
    assert texts([Word("one", 0, 1), Word("two", 3.49, 4), Word("three.", 4, 5)]) == ["one two three."]


def test_a_change_of_speaker_ends_a_sentence() -> None:
    assert texts([Word("one", 0, 1), Word("two", 1, 2, opens_turn=True), Word("three.", 2, 3)]) == ["one", "two three."]


def test_a_sentence_has_at_most_sixty_words() -> None:
    sixty = spoken(" ".join(["go"] * 59 + ["on."] + ["Go."]), each=0.1)
    more = spoken(" ".join(["go"] * 60 + ["on."] + ["Go."]), each=0.1)

    assert lengths(sixty) == [60, 1]
    assert lengths(more) == [30, 31, 1]  # halved in the middle: there is no pause


def test_a_sentence_lasts_at_most_thirty_seconds() -> None:
    assert lengths([Word("a", 0, 10), Word("b", 10, 20), Word("c.", 20, 30)]) == [3]
    assert lengths([Word("a", 0, 10), Word("b", 10, 20), Word("c.", 20, 30.5)]) == [1, 2]
    assert lengths([Word("a.", 0, 90)]) == [1]  # one word cannot be divided


def test_a_long_sentence_is_cut_at_its_longest_pause_in_the_middle_half() -> None:
    def halves(pauses: dict[int, float], opens: int = 0) -> list[int]:
        words, time = [], 0.0
        for number in range(64):
            time += pauses.get(number, 0.0)
            words.append(Word("go." if number == 63 else "go", time, time + 0.1, opens_cue=number == opens))
            time += 0.1
        return lengths([*words, Word("Go.", time, time + 0.1)])[:-1]

    assert halves({20: 0.3, 40: 0.2}) == [20, 44]
    assert halves({16: 0.3, 40: 0.2}) == [16, 48]
    assert halves({15: 0.3, 40: 0.2}) == [40, 24]
    assert halves({47: 0.3, 40: 0.2}) == [47, 17]
    assert halves({48: 0.3, 40: 0.2}) == [40, 24]
    assert halves({20: 0.2, 30: 0.2}) == [30, 34]  # the one nearer to the middle
    assert halves({20: 0.2}, opens=30) == [30, 34]  # as a pause of 0.2 s
    assert halves({20: 0.3}, opens=30) == [20, 44]
    assert halves({20: 0.2004, 30: 0.2}) == [30, 34]  # pauses count in milliseconds
    assert halves({20: 0.2006, 30: 0.2}) == [20, 44]
    assert halves({}) == [32, 32]


def test_a_sentence_ends_where_the_next_begins_at_the_latest() -> None:
    found = sentences_of([Word("one.", 0, 5), Word("Two.", 3, 4), Word("Three.", 3.5, 9)])

    assert [(one.start, one.end) for one in found] == [(0, 3), (3, 3.5), (3.5, 9)]


def test_a_sentence_ends_with_its_longest_word() -> None:
    (found,) = sentences_of([Word("one", 0, 5), Word("two.", 3, 4)])

    assert (found.start, found.end) == (0, 5)


def test_only_unspaced_scripts_are_joined() -> None:
    assert texts(spoken("把洋葱 切成片 with a knife 刀。")) == ["把洋葱切成片 with a knife 刀。"]


def test_no_words_give_no_sentences() -> None:
    assert sentences_of([]) == []
