"""A clip's frames are sharp and differ from each other."""

from __future__ import annotations

import numpy as np

from interlink.media.choose import Candidate, Speech, choose
from interlink.media.jpeg import Jpeg


def candidate(time: float, sharpness: float, grey: int) -> Candidate:
    return Candidate(time, 0, True, sharpness, np.full((40, 64), grey, np.uint8), Jpeg(b"", 64, 40, 0.0))


def test_alike_frames_are_not_chosen_twice() -> None:
    chosen = choose([candidate(time, 10, 100) for time in (0.0, 1.0, 2.0)], count=3, min_novelty=0.02)

    assert len(chosen) == 1
    assert chosen[0].novelty == 1.0


def test_of_two_new_frames_the_sharper_is_taken_and_the_order_is_that_of_time() -> None:
    frames = [candidate(0, 1, 200), candidate(1, 40, 100), candidate(2, 30, 200), candidate(3, 41, 100)]

    chosen = choose(frames, count=2, min_novelty=0.02)

    assert [each.candidate.time for each in chosen] in ([1, 2], [2, 3])
    assert min(each.novelty for each in chosen) == 100 / 255


def test_a_frame_that_is_only_sharper_than_all_others_by_far_is_not_preferred_for_it() -> None:
    frames = [candidate(time, 10, 100) for time in range(8)] + [candidate(8, 500, 100)]

    (chosen,) = choose(frames, count=1, min_novelty=0.02)

    assert chosen.candidate.time == 4


def test_no_candidates_no_frames() -> None:
    assert choose([], count=3, min_novelty=0.02) == []


def test_a_frame_of_a_fade_is_not_chosen_while_there_are_others() -> None:
    dim, clear = candidate(0, 90, 30), [candidate(1, 10, 120), candidate(2, 10, 130)]

    assert [each.candidate.time for each in choose([dim, *clear], count=3, min_novelty=0.02)] == [1, 2]
    assert [each.candidate.time for each in choose([dim], count=3, min_novelty=0.02)] == [0]


def test_frames_shown_while_something_is_said_are_preferred_by_their_weight() -> None:
    frames = [candidate(0, 10, 100), candidate(1, 10, 100), candidate(2, 10, 100), candidate(3, 10, 200)]
    said = [(1.5, 2.5)]

    def times(weight: float, count: int = 1) -> list[float]:
        return [each.candidate.time for each in choose(frames, count, 0.0, Speech(said, weight))]

    assert times(0.0) == [1]
    assert times(1.0) == [2]
    assert times(1.0, 2) == [2, 3]  # what is new still comes before what is said
    assert [each.spoken for each in choose(frames, 2, 0.02, Speech(said, 1.0))] == [True, False]
    assert [each.spoken for each in choose(frames, 1, 0.02)] == [None]
