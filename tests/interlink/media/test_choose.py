"""A clip's frames are sharp and differ from each other."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
import pytest

from interlink.media.choose import (
    BRIGHT,
    DARK,
    EXAMINE_EVERY,
    HELD_BYTES,
    Candidate,
    Pool,
    Speech,
    Still,
    choose,
    exposed,
)
from interlink.media.jpeg import Jpeg, JpegMaker
from interlink.media.look import Look, Looker


def candidate(time: float, sharpness: float, grey: int) -> Candidate:
    return Candidate(time, 0, True, sharpness, np.full((40, 64), grey, np.uint8), Jpeg(b"", 64, 40, 0.0))


def test_alike_frames_are_not_chosen_twice() -> None:
    chosen = choose([candidate(time, 10, 100) for time in (0.0, 1.0, 2.0)], count=3, min_novelty=0.02)

    assert len(chosen) == 1
    assert chosen[0].novelty == 1.0


def test_of_two_new_frames_the_sharper_is_taken_and_the_order_is_that_of_time() -> None:
    frames = [candidate(0, 1, 200), candidate(1, 40, 100), candidate(2, 30, 200), candidate(3, 41, 100)]

    chosen = choose(frames, count=2, min_novelty=0.02)

    assert [each.candidate.time for each in chosen] == [2, 3]
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


def light(grey: int) -> float:
    return (grey - 16) / 219


@pytest.mark.parametrize(("grey", "shows"), [(24, False), (25, True), (228, True), (229, False)])
def test_black_and_white_begin_at_their_limits(grey: int, shows: bool) -> None:
    """DARK 0.04 and BRIGHT 0.97 of video range: luma 24.8 and 228.4."""
    assert (DARK <= light(grey) <= BRIGHT) is shows
    one = candidate(0, 10, grey)
    others = [candidate(1, 10, grey), candidate(2, 10, 25 if grey < 100 else 228)]

    assert (one in exposed([one, *others])) is shows


def test_dim_is_measured_against_the_lower_middle_of_the_clips_lights() -> None:
    """DIM 0.6: of lights 0.2, 0.5, 0.5 … one at 0.3 stays, one just below goes."""
    usual = [candidate(number, 10, 16 + 110) for number in range(1, 4)]
    at_limit, below = candidate(0, 10, 16 + 66), candidate(0, 10, 16 + 65)

    assert at_limit in exposed([at_limit, *usual])
    assert below not in exposed([below, *usual])
    # Of an even number the lower of the two in the middle counts: half a clip in the dark is no fade.
    dark, clear = [candidate(n, 10, 60) for n in (0, 1)], [candidate(n, 10, 200) for n in (2, 3)]
    assert exposed([*dark, *clear]) == [*dark, *clear]


def test_of_frames_as_good_as_each_other_the_earlier_is_taken() -> None:
    same = [candidate(time, 10, 100) for time in (0, 1, 2, 3)]
    assert [each.candidate.time for each in choose(same, 1, 0.02)] == [1]  # 1 and 2 are as near to the middle

    frames = [candidate(0, 10, 100), candidate(1, 10, 150), candidate(2, 10, 50), candidate(3, 10, 50)]
    assert [each.candidate.time for each in choose(frames, 2, 0.02)] == [1, 2]


def test_sharpness_above_the_upper_quartile_gains_nothing() -> None:
    """The quartile is that of 10: what is sharper than it is as new as the first of the frames that differ."""
    frames = [candidate(time, 10, 100) for time in (0, 1, 2, 3, 4)]
    frames += [candidate(5, 10, 160), candidate(6, 500, 160)]

    assert [each.candidate.time for each in choose(frames, 2, 0.02)] == [3, 5]


def test_below_the_quartile_sharpness_counts_by_its_root() -> None:
    """Novelty 60 and 100 of 255: twice as new makes up for a quarter of the sharpness, but not for a ninth."""
    frames = [candidate(time, 36, 100) for time in (0, 1, 2, 3, 4)]

    def second(sharpness: float) -> float:
        given = [*frames, candidate(5, 36, 160), candidate(6, sharpness, 210)]
        return next(each.candidate.time for each in choose(given, 2, 0.02) if each.candidate.thumbnail[0, 0] != 100)

    assert second(36 / 2) == 6
    assert second(36 / 9) == 5


def test_novelty_is_at_least_the_asked_one() -> None:
    frames = [candidate(0, 10, 100), candidate(1, 10, 100), candidate(2, 10, 151)]

    assert len(choose(frames, 2, 51 / 255)) == 2
    assert len(choose(frames, 2, 51.5 / 255)) == 1


def test_speech_is_at_its_start_and_over_at_its_end() -> None:
    speech = Speech([(1.0, 2.0), (4.0, 5.0)], 2.0)

    assert [speech.at(time) for time in (0.9, 1.0, 1.9, 2.0, 3.0, 4.0, 5.0)] == [
        False,
        True,
        True,
        False,
        False,
        True,
        False,
    ]
    assert [speech.gain(time) for time in (0.9, 1.0, 2.0)] == [1.0, 3.0, 1.0]
    assert Speech([(1.0, 2.0)]).gain(1.5) == 1.0


# -- the pool ------------------------------------------------------------------------------------------------------


class Pictures:
    """Makes real pictures for a pool: noise whose strength is the sharpness, at a mean grey."""

    def __init__(self, width: int = 64, height: int = 40) -> None:
        self.looker, self.maker = Looker(), JpegMaker(40, 90, Fraction(1))
        self.width, self.height = width, height

    def at(self, time: float, strength: int, grey: int = 120) -> Still:
        chance = np.random.default_rng(7)
        noise = chance.integers(-1, 2, (self.height, self.width)) * strength + grey
        frame = av.VideoFrame.from_ndarray(np.repeat(noise.astype(np.uint8)[:, :, None], 3, 2), "rgb24")
        return Still(frame, self.looker.look(time, frame), self.looker, self.maker)


def times(found: Sequence[Candidate]) -> list[float]:
    return [each.time for each in found]


def test_a_cell_keeps_its_sharpest_frame_and_of_equals_the_earlier() -> None:
    make, pool = Pictures(), Pool(cell=1.0)
    for time, strength in ((0.0, 5), (0.2, 20), (0.4, 20), (0.6, 8), (1.0, 3), (1.5, 4), (2.0, 9)):
        pool.offer(make.at(time, strength), True, False)

    assert times(pool.take(0.0, 3.0, 0.0)) == [0.2, 1.5, 2.0]


def test_sharpness_is_looked_at_a_few_times_a_second_only() -> None:
    make, pool = Pictures(), Pool(cell=1.0)
    pool.offer(make.at(0.0, 5), True, False)
    pool.offer(make.at(EXAMINE_EVERY - 0.01, 90), True, False)

    assert times(pool.take(0.0, 1.0, 0.0)) == [0.0]

    pool.offer(make.at(2.0, 5), True, False)
    pool.offer(make.at(2.0 + EXAMINE_EVERY, 90), True, False)
    assert times(pool.take(2.0, 3.0, 0.0)) == [2.0 + EXAMINE_EVERY]


def test_a_settled_frame_goes_before_a_sharper_unsettled_one() -> None:
    make, pool = Pictures(), Pool(cell=1.0)
    for time, strength, settled in ((0.0, 50, False), (0.05, 5, True), (0.5, 90, False), (0.7, 6, True)):
        pool.offer(make.at(time, strength), settled, False)

    (kept,) = pool.take(0.0, 1.0, 0.0)
    assert (kept.time, kept.settled) == (0.7, True)


def test_a_clip_takes_settled_frames_alone_and_others_only_where_it_has_no_settled_one() -> None:
    make, pool = Pictures(), Pool(cell=0.5)
    for time, settled in ((0.0, False), (1.0, True), (2.0, False), (3.0, False), (4.0, False)):
        pool.offer(make.at(time, 10), settled, False)

    assert times(pool.take(0.0, 3.0, 0.0)) == [1.0]
    assert times(pool.take(3.0, 5.0, 0.0)) == [3.0, 4.0]


def test_a_clip_takes_what_lies_from_its_start_to_before_its_end() -> None:
    make, pool = Pictures(), Pool(cell=0.5)
    for time in (0.0, 1.0, 2.0, 3.0):
        pool.offer(make.at(time, 10), True, False)

    assert times(pool.take(1.0, 2.0, 0.0)) == [1.0]  # 0.0 lies before it and is gone
    assert times(pool.take(2.0, 3.0, 0.0)) == [2.0]
    assert times(pool.take(3.0, 3.0, 0.0)) == []
    assert times(pool.take(3.0, 4.0, 0.0)) == [3.0]


def test_scraps_of_shots_give_no_frame_where_a_longer_shot_does() -> None:
    def pool() -> Pool:
        make, made = Pictures(), Pool(cell=0.1)
        for time, begins in ((0.0, True), (0.2, True), (0.5, False), (1.0, False), (1.5, True), (1.6, False)):
            made.offer(make.at(time, 10), True, begins)
        return made

    assert times(pool().take(0.0, 1.6, 0.3)) == [0.2, 0.5, 1.0]  # shots of 0.2, 1.3 and (cut by the end) 0.1 seconds
    assert times(pool().take(0.0, 1.6, 1.3)) == [0.2, 0.5, 1.0]
    assert times(pool().take(0.0, 1.6, 1.31)) == [0.0, 0.2, 0.5, 1.0, 1.5]
    assert times(pool().take(1.1, 1.7, 0.3)) == [1.5, 1.6]  # of the long shot no candidate lies in it: scraps it is


def test_candidates_are_encoded_oldest_first_when_they_hold_too_many_bytes() -> None:
    make = Pictures(2048, 1024)
    size = 2048 * 1024 * 3
    room = HELD_BYTES // size
    pool, stills = Pool(cell=0.5), [make.at(float(number), 10) for number in range(room + 3)]
    for still in stills:
        pool.offer(still, True, False)

    assert [still.size for still in stills] == [0, 0] + [size] * (room + 1)  # the newest is not kept yet
    found = pool.take(0.0, room + 3.0, 0.0)
    assert len(found) == room + 3
    assert sum(still.size for still in stills) <= HELD_BYTES
    assert found[0].still.jpeg().width == 80


def test_the_sharpness_of_a_still_is_measured_once_and_outlives_its_picture() -> None:
    still = Pictures().at(0.0, 20)
    before = still.sharpness()

    still.jpeg()

    assert still.size == 0
    assert still.sharpness() == before  # the picture is gone by now


def test_a_still_that_is_encoded_first_keeps_its_sharpness_too() -> None:
    make = Pictures()
    still = make.at(0.0, 20)
    still.jpeg()

    assert still.sharpness() == make.at(0.0, 20).sharpness() > 0


def test_the_quartile_is_that_of_sorted_sharpness() -> None:
    """In order of time the value at three quarters would be 40, which one frame alone reaches."""
    frames = [candidate(time, sharpness, 100) for time, sharpness in enumerate([20, 20, 10, 40])]

    assert [each.candidate.time for each in choose(frames, 1, 0.02)] == [3]
    frames = [candidate(time, sharpness, 100) for time, sharpness in enumerate([40, 20, 20, 10])]
    assert [each.candidate.time for each in choose(frames, 1, 0.02)] == [0]


def test_the_next_examination_counts_from_the_last_one() -> None:
    make, pool = Pictures(), Pool(cell=1.0)
    for time, strength in ((0.0, 5), (0.2, 4), (0.25, 90), (0.33, 9)):
        pool.offer(make.at(time, strength), True, False)

    assert times(pool.take(0.0, 1.0, 0.0)) == [0.33]  # 0.25 comes too soon after 0.2


def test_the_open_cell_stays_open_for_a_clip_that_ends_at_its_frame() -> None:
    make, pool = Pictures(), Pool(cell=1.0)
    pool.offer(make.at(0.0, 5), True, False)
    pool.offer(make.at(1.0, 5), True, False)

    assert times(pool.take(0.0, 1.0, 0.0)) == [0.0]
    pool.offer(make.at(1.5, 50), True, False)
    assert times(pool.take(1.0, 2.0, 0.0)) == [1.5]
    assert pool.take(2.0, 3.0, 0.0) == []


def test_frames_said_over_gain_in_the_greedy_choice_too() -> None:
    frames = [candidate(time, 10, 100) for time in (0, 1, 2)] + [candidate(3, 10, 150), candidate(4, 10, 155)]

    def second(weight: float) -> float:
        chosen = choose(frames, 2, 0.02, Speech([(1.5, 3.5)], weight))
        return next(each.candidate.time for each in chosen if each.candidate.thumbnail[0, 0] != 100)

    assert second(0.0) == 4  # 55 against 50 grey levels
    assert second(0.2) == 3


def test_light_lies_between_0_and_1() -> None:
    assert [candidate(0, 1, grey).light for grey in (0, 16, 235, 255)] == [0.0, 0.0, 1.0, 1.0]


def test_bounds_of_memory_are_those_of_the_docs() -> None:
    assert HELD_BYTES == 48 * 1024 * 1024


def textured(seed: int) -> np.ndarray:
    """A thumbnail with a texture of its own."""
    cells = np.random.default_rng(seed).integers(16, 236, (8, 9))
    return np.kron(cells, np.ones((5, 8)))[:40, :64].astype(np.uint8)


def seen(time: float, sharpness: float, thumbnail: np.ndarray, settled: bool = True) -> Candidate:
    return Candidate(time, 0, settled, sharpness, thumbnail, Jpeg(b"", 64, 40, 0.0))


def chosen_times(candidates: list[Candidate], count: int = 3) -> list[float]:
    return [each.candidate.time for each in choose(candidates, count, 0.01)]


def test_a_further_frame_is_no_blurred_fill_in() -> None:
    sharp, soft, blurred = seen(0, 100, textured(0)), seen(1, 40, textured(1)), seen(2, 30, textured(2))

    assert chosen_times([sharp, soft, blurred]) == [0, 1]
    assert chosen_times([blurred]) == [2]  # the only one of its clip


def test_a_nearly_equal_picture_is_left_out_and_a_flat_one_of_another_grey_is_not() -> None:
    first = textured(0)
    darker = (first * 0.7).astype(np.uint8)

    assert chosen_times([seen(0, 10, first), seen(1, 10, darker), seen(2, 10, textured(1))]) == [1, 2]
    assert len(chosen_times([candidate(0, 10, 100), candidate(1, 10, 160)])) == 2


def test_a_clip_of_nothing_but_a_transition_or_black_has_no_frame_and_a_dark_scene_has() -> None:
    black, lit = np.full((40, 64), 16, np.uint8), np.full((40, 64), 16, np.uint8)
    lit[10:14, 20:30] = 200

    assert chosen_times([seen(0, 10, textured(0), settled=False)]) == []
    assert chosen_times([seen(0, 10, black)]) == []
    assert chosen_times([seen(0, 10, lit)]) == [0]


@pytest.mark.parametrize("seconds", [0.4, 1.0, 2.0])
def test_no_candidate_comes_from_inside_a_dissolve_that_the_segmenter_does_not_know(seconds: float) -> None:
    before, after = textured(0).astype(float), textured(1).astype(float)
    pool = Pool(0.1)
    begin = 3.0
    for number in range(200):
        time = number / 25
        share = min(max((time - begin) / seconds, 0.0), 1.0)
        luma = (before * (1 - share) + after * share).astype(np.uint8)
        pool.offer(Looked(time, luma), settled=True, begins_shot=number == 0)  # type: ignore[arg-type]

    found = [one.time for one in pool.take(0.0, 8.0, 0.0)]

    assert not [time for time in found if begin + 0.2 * seconds < time < begin + 0.8 * seconds]
    assert len([time for time in found if time < begin]) >= 20 and len([t for t in found if t > begin + seconds]) >= 15


class Looked:
    """A still of a given look."""

    size = 0

    def __init__(self, time: float, luma: np.ndarray) -> None:
        self.look = Look(time, luma, np.zeros((2, 20, 32), np.uint8))

    def sharpness(self) -> float:
        return 10.0
