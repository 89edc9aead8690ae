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
