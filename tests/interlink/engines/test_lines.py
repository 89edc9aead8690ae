"""Readings of many frames become lines with times."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from interlink.engines.lines import distance, merge
from interlink.engines.reader import Box, Line, in_reading_order

TOP = Box(10, 10, 110, 30)
BOTTOM = Box(10, 200, 110, 220)


def line(text: str, box: Box | None = TOP, score: float = 0.9) -> Line:
    return Line(text, score, box)


def merged(*frames: tuple[float, list[Line]], edits: float = 0.2, gap: int = 1) -> list[tuple[str, float, float, int]]:
    return [(each.best.text, each.start, each.end, each.frames) for each in merge(frames, edits, 0.5, gap)]


def test_a_line_that_stays_is_one_line_from_its_first_to_its_last_frame() -> None:
    frames = [(float(t), [line("Add salt")]) for t in range(5)]

    assert merged(*frames) == [("Add salt", 0.0, 4.0, 5)]


def test_a_misread_letter_does_not_make_another_line_and_the_surest_reading_stands() -> None:
    frames = [(0.0, [line("Add sa1t", score=0.7)]), (1.0, [line("Add salt", score=0.99)]), (2.0, [line("ADD SALT")])]

    assert merged(*frames) == [("Add salt", 0.0, 2.0, 3)]


def test_another_text_in_the_same_place_and_the_same_text_in_another_place_are_other_lines() -> None:
    frames = [(0.0, [line("Add salt"), line("Add salt", BOTTOM)]), (1.0, [line("Whisk the eggs")])]

    assert merged(*frames) == [("Add salt", 0.0, 0.0, 1), ("Add salt", 0.0, 0.0, 1), ("Whisk the eggs", 1.0, 1.0, 1)]


def test_a_line_may_be_missed_in_as_many_frames_as_the_gap_allows() -> None:
    frames = [
        (0.0, [line("Add salt")]),
        (1.0, []),
        (2.0, [line("Add salt")]),
        (3.0, []),
        (4.0, []),
        (5.0, [line("Add salt")]),
    ]

    assert merged(*frames) == [("Add salt", 0.0, 2.0, 2), ("Add salt", 5.0, 5.0, 1)]
    assert merged(*frames, gap=0) == [("Add salt", t, t, 1) for t in (0.0, 2.0, 5.0)]


def test_without_boxes_the_text_alone_decides() -> None:
    frames = [(0.0, [Line("Add salt"), Line("500 g flour")]), (1.0, [Line("500 g flour"), Line("Add salt")])]

    assert merged(*frames) == [("Add salt", 0.0, 1.0, 2), ("500 g flour", 0.0, 1.0, 2)]


@given(st.lists(st.lists(st.sampled_from(["Add salt", "Whisk", "wisk", "Bake"]), max_size=4), max_size=8))
def test_every_reading_is_counted_in_exactly_one_line(texts: list[list[str]]) -> None:
    frames = [(float(number), [Line(text) for text in lines]) for number, lines in enumerate(texts)]

    found = merge(frames, 0.2, 0.5, 1)

    assert sum(each.frames for each in found) == sum(len(lines) for lines in texts)
    assert all(each.start <= each.end for each in found)


@given(st.text("abc", max_size=6), st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_the_distance_of_two_texts_is_a_metric(a: str, b: str, c: str) -> None:
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, b) == distance(b, a)
    assert distance(a, c) <= distance(a, b) + distance(b, c)
    assert abs(len(a) - len(b)) <= distance(a, b) <= max(len(a), len(b))


def test_lines_are_read_from_top_to_bottom_and_left_to_right() -> None:
    boxes = {"second": Box(200, 8, 300, 30), "first": TOP, "last": BOTTOM, "third": Box(10, 40, 90, 60)}

    assert [each.text for each in in_reading_order((box, Line(text)) for text, box in boxes.items())] == [
        "first",
        "second",
        "third",
        "last",
    ]
