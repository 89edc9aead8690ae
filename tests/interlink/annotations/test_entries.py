"""Entries: every published shape gives the same spans; what is wrong is said in one line."""

from __future__ import annotations

from typing import Any

import pytest

from interlink.annotations.entries import Span, cells_of, disjoint, row_of, seconds, spans_of

WANTED = [Span("pour the milk", 1.0, 4.5), Span("stir it", 4.5, 70.0)]


@pytest.mark.parametrize(
    "value",
    [
        {"start": [4.5, 1, 9], "end": [70, 4.5, 10], "text": ["stir  it", "pour the\nmilk", " "]},
        {"timestamps": [[1.0, 4.5], [4.5, 70]], "sentences": ["pour the milk", " stir it"], "duration": 80},
        {"annotations": [{"segment": [1, 4.5], "id": 0, "sentence": "pour the milk"},
                         {"segment": [4.5, 70], "id": 1, "sentence": "stir it"}], "subset": "training"},
        {"annotation": [{"segment": [1, 4.5], "label": "pour the milk"}, {"segment": [4.5, 70], "label": "stir it"}]},
        [{"clip": "0:00:01 - 0:00:04.5", "caption": "pour the milk"},
         {"clip": "0:00:04.5 - 0:01:10", "caption": "stir it"}],
        [{"start": 1.0, "end": "4.5", "text": "pour the milk"}, {"start": 4.5, "end": 70, "text": "stir it"}],
    ],
)  # fmt: skip
def test_every_published_shape_gives_the_same_spans(value: Any) -> None:
    assert spans_of(value) == WANTED


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"start": [1, 2], "end": [2], "text": ["a", "b"]}, "2 of start; 1 of end; 2 of text"),
        ({"start": 1, "end": [2], "text": ["a"]}, "start is a int, not a list"),
        ([{"clip": "0:00:01", "caption": "a"}], "clip 0: '0:00:01' is not `start - end`"),
        ([{"clip": "0:00:05 - 0:00:02", "caption": "a"}], "ends \\(2 s\\) before it starts"),
        ([{"caption": "a"}], "has no times"),
        ([{"start": "x", "end": 1, "caption": "a"}], "'x' is not a time"),
        ([{"start": True, "end": 1, "caption": "a"}], "True is not a time"),
        ([{"start": float("nan"), "end": 1, "caption": "a"}], "not a time"),
        ([{"start": 0, "end": 1, "caption": 7}], "its text is a int"),
        ([3], "clip 0 is a int"),
        ({"captions": []}, "has neither start, end and text"),
        ("x", "is a str"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(value: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        spans_of(value)


def test_captions_that_went_through_a_table_keep_their_numbers_and_lose_their_blanks() -> None:
    """HowTo100M's own loader reads `str(text)`: NaN and numbers stand among its captions."""
    value = {"start": [0, 1, 2], "end": [1, 2, 3], "text": [float("nan"), 350.0, "degrees"]}
    assert spans_of(value) == [Span("350", 1.0, 2.0), Span("degrees", 2.0, 3.0)]
    with pytest.raises(ValueError, match="its text is a bool"):
        spans_of({"start": [0], "end": [1], "text": [True]})


def test_clips_are_cut_where_the_next_begins() -> None:
    spans = [Span("a", 0, 4), Span("b", 1.5, 5), Span("c", 1.5, 2), Span("d", 9, float("inf"))]
    cut = disjoint(spans)
    assert [(s.start, s.end) for s in cut] == [(0, 1.5), (1.5, 1.5), (1.5, 2), (9, float("inf"))]


def test_cells_quoted_as_pandas_does_and_not_quoted_read_the_same() -> None:
    assert cells_of('a.mp4\t[{"clip": "x"}]') == ["a.mp4", '[{"clip": "x"}]']
    assert cells_of('a.mp4\t"[{""clip"": ""x""}]"') == ["a.mp4", '[{"clip": "x"}]']
    assert cells_of('"a\tb.mp4"\t[]\t') == ["a\tb.mp4", "[]", ""]
    with pytest.raises(ValueError, match="does not end"):
        cells_of('"a.mp4\t[]')
    assert row_of("x/a.b.webm\t[]", ("path", "clips")) == ("x/a.b", [])
    with pytest.raises(ValueError, match="3 cells where the header has 2"):
        row_of("a\tb\tc", ("path", "clips"))


def test_clock_times() -> None:
    assert (seconds("1:02:03.5"), seconds("2:03"), seconds(7), seconds("7.25")) == (3723.5, 123, 7, 7.25)
    for wrong in ("", "a", "-3", "1:x", None):
        with pytest.raises(ValueError, match="not a time"):
            seconds(wrong)
