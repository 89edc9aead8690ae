"""The maker of cues: pieces of text, times between them, markup; and the helpers that all readers share."""

from __future__ import annotations

import pytest

from interlink.subtitles.cues import LONGEST, Cue, CueMaker, Line, Token, in_seconds, plain, until_next


def made(start: float, end: float, *pieces: str | float) -> list[tuple[bool, list[tuple[str, float | None]]]]:
    """For each line, whether it is timed, and its words with their times. A number is a time stamp."""
    maker = CueMaker(start, end)
    for piece in pieces:
        if isinstance(piece, str):
            maker.add(piece)
        else:
            maker.stamp(piece)
    cue = maker.cue()
    return [(line.timed, [(token.text, token.time) for token in line.tokens]) for line in cue.lines] if cue else []


def test_a_time_belongs_to_the_next_word_only() -> None:
    assert made(1, 3, "now", 1.5, " add salt") == [(True, [("now", None), ("add", 1.5), ("salt", None)])]


def test_times_at_the_start_the_end_and_again_the_same_are_taken() -> None:
    assert made(1, 3, 1.0, "a ", 1.0, "b ", 3.0, "c") == [(True, [("a", 1.0), ("b", 1.0), ("c", 3.0)])]


def test_times_outside_the_cue_and_before_the_previous_one_are_not_believed() -> None:
    assert made(1, 3, 0.9, "a ", 2.0, "b ", 1.9, "c ", 3.1, "d") == [
        (True, [("a", None), ("b", 2.0), ("c", None), ("d", None)])
    ]


def test_a_time_that_is_not_believed_takes_the_place_of_an_earlier_one() -> None:
    assert made(1, 3, 2.0, 9.0, "a") == [(True, [("a", None)])]


def test_a_piece_without_a_space_continues_the_word_and_keeps_its_time() -> None:
    assert made(1, 3, 1.2, "car", 1.5, "rot soup") == [(True, [("carrot", 1.2), ("soup", None)])]
    assert made(1, 3, "car", " rot") == [(False, [("car", None), ("rot", None)])]
    assert made(1, 3, "car ", "rot") == [(False, [("car", None), ("rot", None)])]
    assert made(1, 3, "car", "", "rot") == [(False, [("carrot", None)])]
    assert made(1, 3, "car", " ", "rot") == [(False, [("car", None), ("rot", None)])]
    assert made(1, 3, " ", "car") == [(False, [("car", None)])]


def test_a_line_break_ends_a_line_its_word_and_its_times() -> None:
    assert made(1, 3, 1.5, "a\nb", "c\r\nd\re\n\n") == [
        (True, [("a", 1.5)]),
        (False, [("bc", None)]),
        (False, [("d", None)]),
        (False, [("e", None)]),
    ]
    assert made(1, 3, "a\n", 2.0, "b") == [(False, [("a", None)]), (True, [("b", 2.0)])]


def test_a_cue_without_words_is_none_and_an_end_before_the_start_is_the_start() -> None:
    assert CueMaker(1, 3).cue() is None
    maker = CueMaker(3.0, 1.0)
    maker.add("a")
    assert maker.cue() == Cue(3.0, 3.0, (Line((Token("a"),), timed=False),))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<v Ann>Salt</v> &amp;amp; oil", "Salt &amp; oil"),
        ("a < b and 3 > 2", "a < b and 3 > 2"),
        ("{\\i1}now{\\i0} {sic}", "now {sic}"),
        ("one\\Ntwo\\nthree\\hfour", "one two three four"),
        ("zero\u200bwidth\ufeff\x00", "zerowidth"),
        ("half \ud83d", "half \ufffd"),
        ("&lt;b&gt;", "<b>"),
    ],
)
def test_markup_goes_and_text_stays(text: str, expected: str) -> None:
    assert plain(text) == expected


@pytest.mark.parametrize(
    ("value", "per_second", "expected"),
    [
        (0, 1.0, 0.0),
        (1234, 1000.0, 1.234),
        (1.23456, 1.0, 1.235),
        (LONGEST, 1.0, LONGEST),
        (LONGEST * 1000, 1000.0, LONGEST),
        (LONGEST * 1000 + 1, 1000.0, None),
        (-0.001, 1.0, None),
        (float("nan"), 1.0, None),
        (float("inf"), 1.0, None),
        (True, 1.0, None),
        ("1", 1.0, None),
        (None, 1.0, None),
    ],
)
def test_only_a_finite_time_that_is_not_negative_is_a_time(value: object, per_second: float, expected: object) -> None:
    assert in_seconds(value, per_second) == expected
    assert in_seconds(1.5) == 1.5


def test_a_cue_ends_where_the_next_later_one_begins() -> None:
    def spans(*cues: tuple[float, float]) -> list[tuple[float, float]]:
        return [(cue.start, cue.end) for cue in until_next([Cue(start, end, ()) for start, end in cues])]

    assert spans((0, 5), (2, 4), (3, 9)) == [(0, 2), (2, 3), (3, 9)]
    assert spans((3, 9), (0, 5)) == [(0, 3), (3, 9)]
    assert spans((0, 5), (0, 4), (2, 3)) == [(0, 2), (0, 2), (2, 3)]  # shown together
    assert spans((0, 1), (2, 3)) == [(0, 1), (2, 3)]
    assert spans() == []
