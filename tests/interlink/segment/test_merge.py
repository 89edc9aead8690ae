"""Short clips join the neighbour that they resemble."""

from __future__ import annotations

import numpy as np
import pytest

from interlink.media.choose import Candidate, Chosen
from interlink.media.look import HEIGHT, WIDTH, Look
from interlink.segment.clips import Clip
from interlink.segment.merge import merged


class Pictured:
    """A still of which only the look is read."""

    def __init__(self, look: Look) -> None:
        self.look = look


def clip(start: float, end: float, shade: int | None, **facts: float) -> Clip:
    """A clip with one frame of an even colour; shade None: without frames."""
    chosen = []
    if shade is not None:
        luma = np.full((HEIGHT, WIDTH), shade, np.uint8)
        still = Pictured(Look(start, luma, np.full((2, HEIGHT // 2, WIDTH // 2), 255 - shade, np.uint8)))
        chosen = [Chosen(Candidate(start, 0, True, 1.0, luma, still), 1.0)]  # type: ignore[arg-type]
    return Clip(start, end, chosen, [], facts.get("motion"), None, facts.get("sharpness"), None)


def both(before: Clip, after: Clip) -> list[Chosen]:
    return [*before.chosen, *after.chosen]


def spans(*clips: Clip, below: float = 2.0, longest: float = 20.0) -> list[tuple[float, float]]:
    return [(one.start, one.end) for one in merged(clips, below, longest, both)]


@pytest.mark.parametrize(("shade", "expected"), [(30, [(0, 6), (6, 11)]), (200, [(0, 5), (5, 11)])])
def test_a_short_clip_joins_the_neighbour_it_resembles(shade: int, expected: list[tuple[float, float]]) -> None:
    assert spans(clip(0, 5, 30), clip(5, 6, shade), clip(6, 11, 200)) == expected


def test_the_first_and_the_last_join_their_only_neighbour() -> None:
    assert spans(clip(0, 1, 30), clip(1, 8, 200), clip(8, 9, 90)) == [(0, 9)]


def test_a_pair_never_exceeds_the_longest_clip() -> None:
    assert spans(clip(0, 9.5, 30), clip(9.5, 11, 30), clip(11, 15, 200), longest=10) == [(0, 9.5), (9.5, 15)]
    assert spans(clip(0, 9.5, 30), clip(9.5, 11, 30), longest=10) == [(0, 9.5), (9.5, 11)]


def test_clips_with_a_gap_between_stay_apart_and_none_is_joined_where_it_is_off() -> None:
    assert spans(clip(0, 1, 30), clip(2, 3, 30)) == [(0, 1), (2, 3)]
    assert spans(clip(0, 1, 30), clip(1, 3, 30), below=0) == [(0, 1), (1, 3)]


def test_short_clips_in_a_row_become_one_that_is_long_enough() -> None:
    assert spans(clip(0, 0.5, 30), clip(0.5, 1.0, 30), clip(1.0, 1.5, 30), clip(1.5, 2.0, 30)) == [(0, 2.0)]


def test_what_is_known_of_both_is_weighed_by_their_lengths() -> None:
    (one,) = merged([clip(0, 3, 30, motion=1.0), clip(3, 4, 30, motion=5.0, sharpness=7.0)], 2.0, 20.0, both)

    assert (one.motion, one.sharpness, one.talking, len(one.chosen)) == (2.0, 7.0, None, 2)


def test_a_pair_of_exactly_the_longest_is_joined_and_only_neighbours_of_the_short_clip_are() -> None:
    assert spans(clip(0, 9, 30), clip(9, 10, 30), longest=10) == [(0, 10)]
    found = spans(clip(0, 5, 30), clip(5, 10, 30), clip(10, 11, 200), clip(11, 16, 190), clip(16, 21, 190))
    assert found == [(0, 5), (5, 10), (10, 16), (16, 21)]
