"""Words, marks and times of single cues, at the edges of each rule."""

from __future__ import annotations

import pytest

from interlink.subtitles.blocks import cue_of
from interlink.subtitles.cues import Cue, Line, Token
from interlink.subtitles.words import words_of


def cues(*shown: tuple[float, float, str]) -> list[Cue]:
    return [cue for start, end, text in shown if (cue := cue_of(start, end, text)) is not None]


def said(*shown: tuple[float, float, str]) -> str:
    return " ".join(word.text for word in words_of(cues(*shown))[0])


def marks(*shown: tuple[float, float, str]) -> list[tuple[str, float, float]]:
    return [(mark.text, mark.start, mark.end) for mark in words_of(cues(*shown))[1]]


def times(*shown: tuple[float, float, str]) -> list[tuple[str, float, float]]:
    return [(word.text, word.start, word.end) for word in words_of(cues(*shown))[0]]


ROLLING = ((0, 1, "a b"), (1, 2, "a b\nc d"), (2, 3, "c d\ne f"))


def test_a_line_is_a_repeat_up_to_half_a_second_after_it_was_shown() -> None:
    assert said(*ROLLING, (3.5, 4.5, "e f\ng h")) == "a b c d e f g h"


def test_a_line_shown_again_later_than_half_a_second_is_speech() -> None:
    assert said(*ROLLING, (3.51, 4.5, "e f\ng h")) == "a b c d e f e f g h"


def test_a_growing_line_is_a_repeat_up_to_half_a_second_after_it_was_shown() -> None:
    assert said((0, 1, "add"), (1.5, 2, "add the"), (2.5, 3, "add the salt")) == "add the salt"
    assert said((0, 1, "add"), (1.5, 2, "add the"), (2.51, 3, "add the salt")) == "add the add the salt"


@pytest.mark.parametrize(("repeats", "expected"), [(3, 11), (2, 13)])
def test_repeats_are_rolling_from_three_of_ten_cues(repeats: int, expected: int) -> None:
    texts = [f"w{n}" for n in range(11)]
    shown = [(n, n + 1, f"w{n - 1}\nw{n}" if 0 < n <= repeats else texts[n]) for n in range(11)]

    assert len(said(*shown).split()) == expected


def test_two_cues_are_never_rolling() -> None:
    assert said((0, 1, "no"), (1, 2, "no\nyes")) == "no no yes"
    assert said((0, 1, "no"), (1, 2, "no\nyes"), (2, 3, "yes\nwell")) == "no yes well"


def test_a_cue_shown_twice_at_the_same_time_is_said_once() -> None:
    assert said((0, 2, "stir it"), (1, 3, "stir it")) == "stir it"
    assert said((0, 2, "stir it"), (2, 3, "stir it")) == "stir it stir it"
    assert said((0, 2, "stir it"), (1, 3, "taste it")) == "stir it taste it"


def test_a_cue_of_nothing_but_repeats_adds_nothing() -> None:
    assert said(*ROLLING, (3, 3.1, "e f"), (3.1, 4, "e f\ng h")) == "a b c d e f g h"


def test_a_line_that_stands_twice_in_a_cue_is_said_once_more() -> None:
    assert said(*ROLLING, (3, 4, "e f\ne f")) == "a b c d e f e f"


def test_the_longest_overlap_of_lines_is_the_repeat() -> None:
    assert said((0, 1, "la\nla"), (1, 2, "la\nla\nda"), (2, 3, "da\ndo")) == "la la da do"


def test_a_line_with_times_of_its_own_is_new() -> None:
    again = (3, 4, "e<00:00:03.500><c> f</c>")

    assert said(*ROLLING, again) == "a b c d e f e f"
    assert said(*ROLLING, (3, 4, "e<00:00:03.500><c> f</c><00:00:03.700><c> g</c>")) == "a b c d e f e f g"


def test_a_line_that_begins_otherwise_is_new() -> None:
    assert said(*ROLLING, (3, 4, "e x y"), (4, 5, "e")) == "a b c d e f e x y e"


def test_a_grown_line_keeps_the_lines_below_it() -> None:
    assert said(*ROLLING, (3, 4, "e f g\nh")) == "a b c d e f g h"


def test_a_cue_is_divided_by_the_number_of_letters() -> None:
    assert times((1, 7, "a bb ccc")) == [("a", 1, 2), ("bb", 2, 4), ("ccc", 4, 7)]


def test_words_between_two_times_divide_the_time_between_them() -> None:
    assert times((1, 4, "a bb<00:00:02.000> c dd")) == [
        ("a", 1.0, 1.333),
        ("bb", 1.333, 1.763),  # bounded by its letters
        ("c", 2.0, 2.34),
        ("dd", 2.667, 3.097),
    ]


def test_a_word_with_a_time_lasts_a_quarter_second_and_nine_hundredths_a_letter_at_most() -> None:
    assert times((0, 10, "now<00:00:01.000> add<00:00:06.000> salt<00:00:06.100> in")) == [
        ("now", 0.0, 0.52),
        ("add", 1.0, 1.52),
        ("salt", 6.0, 6.1),
        ("in", 6.1, 6.53),
    ]


def test_a_word_ends_where_the_next_begins_even_at_time_zero() -> None:
    assert times((0, 10, "now<00:00:00.000> add")) == [("now", 0.0, 0.0), ("add", 0.0, 0.52)]


def test_a_recognisers_end_of_a_word_counts_but_never_before_its_start() -> None:
    heard = Line((Token("add", 1.0, 3.5), Token("salt", 4.0, 3.0), Token("now", None, 4.75)), timed=True)

    words, _ = words_of([Cue(0.0, 6.0, (heard,))])

    assert [(word.start, word.end, word.timed) for word in words] == [
        (1.0, 3.5, True),
        (4.0, 4.0, True),
        (5.143, 5.143, False),
    ]


def test_only_the_first_word_opens_its_cue() -> None:
    words, _ = words_of(cues((0, 1, "add the\nsalt"), (1, 2, "<00:00:01.000>and<00:00:01.500> stir")))

    assert [word.opens_cue for word in words] == [True, False, False, True, False]


def test_starts_never_decrease_where_cues_overlap_and_no_time_moves() -> None:
    shown = ((0, 8, "a long line of words that takes its time"), (2, 3, "bb c"), (3, 4, "dd"))

    assert [start for _, start, _ in times(*shown)] == sorted(start for _, start, _ in times(*shown))
    assert sorted(times(*shown)) == sorted([*times(shown[0]), *times(shown[1]), *times(shown[2])])


def test_a_line_that_begins_with_a_note_is_a_mark_and_other_notes_are_taken_out_of_words() -> None:
    shown = ((0, 2, "♪\n♪sing along♫"), (2, 3, "talk ♪"), (3, 4, "♪ sing\nwith us ♪\nnow"))

    assert said(*shown) == "talk now"
    assert [text for text, _, _ in marks(*shown)] == ["♪", "♪sing along♫", "♪", "♪ sing", "with us ♪"]


@pytest.mark.parametrize(("count", "kept"), [(8, 0), (9, 9)])
def test_square_brackets_hold_a_mark_of_eight_words_at_most(count: int, kept: int) -> None:
    text = "[" + " ".join(["hum"] * count) + "]"

    words, found = words_of(cues((0, 4, f"well {text} done")))

    assert len(words) == 2 + kept
    assert [mark.text for mark in found] == ([] if kept else [" ".join(["hum"] * count)])


@pytest.mark.parametrize(("count", "kept"), [(8, 0), (9, 9)])
def test_round_brackets_hold_a_mark_of_eight_words_at_most(count: int, kept: int) -> None:
    text = "(" + " ".join(["hum"] * count) + ")"

    words, found = words_of(cues((0, 4, text), (4, 5, "done")))

    assert len(words) == 1 + kept
    assert [mark.text for mark in found] == ([] if kept else [" ".join(["hum"] * count)])


def test_round_brackets_over_the_lines_of_a_cue_are_one_mark_of_the_whole_cue() -> None:
    assert marks((0, 2, "(the door\nslams)"), (2, 3, "hello")) == [("the door slams", 0, 2)]
    assert said((0, 2, "(the door\nslams)"), (2, 3, "hello")) == "hello"


def test_a_mark_on_a_line_has_the_times_of_its_words() -> None:
    assert marks((0, 6, "aaaa\n- ( hi )\nbbbb")) == [("hi", 1.846, 4.154)]
    assert marks((0, 4, "(hi)"), (4, 8, "[ho ha] hm")) == [("hi", 0, 4), ("ho ha", 4.0, 7.0)]


def test_words_before_and_after_a_bracket_stay() -> None:
    assert said((0, 2, "so [laughs]well -[ding] ok")) == "so well ok"
    assert [text for text, _, _ in marks((0, 2, "so [laughs]well -[ding] ok"))] == ["laughs", "ding"]


def test_a_bracket_that_closes_in_its_own_word_takes_no_other() -> None:
    assert said((0, 2, "[a] b [c] d")) == "b d"


def test_marks_come_in_order_of_time() -> None:
    assert [text for text, _, _ in marks((0, 1, "[one]"), (1, 2, "(two)"), (2, 3, "[three]"), (3, 4, "♪"))] == [
        "one",
        "two",
        "three",
        "♪",
    ]


def test_a_change_of_speaker_opens_a_turn_once_and_waits_for_a_word() -> None:
    words, _ = words_of(cues((0, 4, ">> [Music] yes it -[ding] is >>no >> so")))

    assert [(word.text, word.opens_turn) for word in words] == [
        ("yes", True),
        ("it", False),
        ("is", False),
        ("no", True),
        ("so", True),
    ]


def test_a_mark_after_a_change_of_speaker_does_not_undo_it() -> None:
    words, _ = words_of(cues((0, 4, ">> -[ding] yes")))

    assert [(word.text, word.opens_turn) for word in words] == [("yes", True)]


def test_music_is_known_in_several_languages_and_other_marks_are_sound() -> None:
    _, found = words_of(cues((0, 4, "[Musik] [MÚSICA] [음악] [door] [singing]")))

    assert [mark.kind for mark in found] == ["music", "music", "music", "sound", "music"]
