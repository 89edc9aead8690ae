"""Clips are neither too short nor too long, and together they are the video."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from interlink.segment.lengths import Lengths, Span


def spans(times: list[float], boundaries: set[float], end: float, low: float, high: float) -> list[Span]:
    lengths = Lengths(low, high)
    found = [span for time in times for span in lengths.feed(time, time in boundaries)]
    return found + lengths.finish(end)


def seconds(count: int) -> list[float]:
    return [float(number) for number in range(count)]


def test_a_short_shot_joins_what_follows_and_the_last_one_what_precedes() -> None:
    assert spans(seconds(20), {10.0, 11.0, 18.0}, 20, low=3, high=30) == [(0, 10), (10, 20)]


def test_a_long_shot_is_divided_evenly() -> None:
    assert spans(seconds(24), set(), 24, low=1, high=20) == [(0, 12), (12, 24)]


def test_a_very_long_shot_gives_pieces_as_it_goes_on() -> None:
    lengths = Lengths(1, 10)

    early = [span for time in seconds(40) for span in lengths.feed(time, False)]

    assert early == [(0, 10), (10, 20), (20, 30)]
    assert lengths.finish(40) == [(30, 40)]


def test_no_frame_no_clip() -> None:
    assert Lengths(1, 10).finish(5) == []


@given(
    gaps=st.lists(st.floats(0.001, 30), min_size=1, max_size=80),
    marks=st.sets(st.integers(0, 79)),
    low=st.floats(0, 5),
    factor=st.floats(2, 10),
)
def test_spans_tile_the_video_at_frame_times(gaps: list[float], marks: set[int], low: float, factor: float) -> None:
    times, time = [], 5.0
    for gap in gaps:
        times.append(time)
        time += gap
    high = max(low, 0.1) * factor

    found = spans(times, {times[mark] for mark in marks if mark < len(times)}, time, low, high)

    assert found[0][0] == times[0] and found[-1][1] == time
    assert all(before[1] == after[0] for before, after in pairwise(found))
    assert all(start in times and start < end for start, end in found)
    if len(found) > 1 and max(gaps) < low / 4:
        assert all(end - start >= low / 2 for start, end in found)


def test_a_shot_is_long_enough_at_the_least_length_exactly() -> None:
    assert spans(seconds(9), {3.0, 6.0}, 9, low=3, high=30) == [(0, 3), (3, 6), (6, 9)]
    assert spans(seconds(9), {2.0, 6.0}, 9, low=3, high=30) == [(0, 6), (6, 9)]
    assert spans(seconds(9), {6.0}, 8.9, low=3, high=30) == [(0, 8.9)]


def test_a_shot_of_the_most_length_stays_whole_and_a_longer_one_is_divided() -> None:
    assert spans(seconds(10), set(), 10, low=1, high=10) == [(0, 10)]
    assert spans(seconds(11), set(), 11, low=1, high=10) == [(0, 6), (6, 11)]
    assert spans([0.0, 9.0], set(), 12, low=1, high=10) == [(0, 9), (9, 12)]
    assert spans([0.0, 1.0, 2.0], set(), 14, low=1, high=10) == [(0, 14)]  # no picture near the middle
    assert spans([0.0, 1.0, 14.9], set(), 20.1, low=1, high=10) == [(0, 14.9), (14.9, 20.1)]  # two parts begin there
    assert spans([0.0], set(), 50, low=1, high=10) == [(0, 50)]
    assert spans([0.0, 20.0], set(), 21, low=1, high=10) == [(0, 20), (20, 21)]  # a gap


def test_pieces_are_cut_off_from_one_and_a_half_times_the_most_length() -> None:
    lengths = Lengths(1, 10)

    assert [lengths.feed(time, False) for time in (0.0, 9.0, 10.5, 14.9)] == [[], [], [], []]
    assert lengths.feed(15.0, False) == [(0, 10.5)]


def test_a_span_is_final_when_what_follows_is_long_enough() -> None:
    lengths = Lengths(3, 30)

    found = [lengths.feed(time, time in (5.0, 12.0)) for time in seconds(16)]

    assert {n: spans_ for n, spans_ in enumerate(found) if spans_} == {8: [(0, 5)], 15: [(5, 12)]}
    assert lengths.finish(16) == [(12, 16)]
    assert lengths.finish(16) == []


def test_pictures_passed_over_together_count_as_one_by_one() -> None:
    for length in (3, 14, 15, 16, 40):
        together, single = Lengths(2, 10), Lengths(2, 10)
        found = [*together.feed(0.0, True), *together.pass_over(seconds(length)[1:])]
        assert found == [span for time in seconds(length) for span in single.feed(time, time == 0)]
        assert together.finish(length) == single.finish(length)

    lengths = Lengths(3, 30)
    assert lengths.pass_over([]) == []
    assert lengths.pass_over(seconds(5)) == []
    assert lengths.feed(5.0, True) == []
    assert lengths.pass_over([6.0, 7.0, 8.0, 9.0]) == [(0, 5)]
    assert lengths.finish(10) == [(5, 10)]
