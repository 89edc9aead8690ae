"""From verdicts to finished clips: which pictures belong to a clip, which are chosen and which must still be read."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from interlink.media.choose import Pool, Speech, Still
from interlink.media.jpeg import JpegMaker
from interlink.media.look import Looker
from interlink.segment import clips as clips_module
from interlink.segment.clips import Choice, Clip, Clips
from interlink.segment.lengths import Lengths
from interlink.segment.verdict import Segmenter, Verdict

LOOKER, MAKER = Looker(), JpegMaker(2000, 90, Fraction(1))


class Planned(Segmenter):
    """Gives a verdict on each look, `late` looks behind; boundaries may lie between looks."""

    def __init__(self, boundaries: set[float], unsettled: set[float] = frozenset(), late: int = 0) -> None:  # type: ignore[assignment]
        self._boundaries, self._unsettled, self._late = sorted(boundaries), unsettled, late
        self._looks: list[float] = []

    def feed(self, look: Any) -> list[Verdict]:
        self._looks.append(look.time)
        return self._upto(len(self._looks) - self._late)

    def finish(self) -> list[Verdict]:
        return self._upto(len(self._looks))

    def _upto(self, count: int) -> list[Verdict]:
        found = []
        for _ in range(count):
            time = self._looks.pop(0)
            while self._boundaries and self._boundaries[0] < time:
                found.append(Verdict(self._boundaries.pop(0), True, True))
            begins = bool(self._boundaries) and self._boundaries[0] == time
            if begins:
                self._boundaries.pop(0)
            found.append(Verdict(time, begins, time not in self._unsettled))
        return found


def still(time: float, seed: int | None = None, level: int = 120) -> Still:
    """A picture of a scene; without a seed a flat one."""
    blocks = np.full((6, 8, 1), level) if seed is None else np.random.default_rng(seed).integers(30, 220, (6, 8, 1))
    picture = blocks.repeat(8, 0).repeat(8, 1).repeat(3, 2).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return Still(frame, LOOKER.look(time, frame), LOOKER, MAKER)


def clips_of(
    looks: dict[float, Still],
    boundaries: set[float],
    end: float,
    times: list[float] | None = None,
    damaged: set[float] = frozenset(),  # type: ignore[assignment]
    unsettled: set[float] = frozenset(),  # type: ignore[assignment]
    late: int = 0,
    lengths: tuple[float, float] = (1.0, 100.0),
    cell: float = 0.1,
    min_shot: float = 0.0,
    **choice: Any,
) -> list[Clip]:
    """The clips of a video with pictures at `times` (those of the looks, if not given)."""
    chosen = {"how": "best", "count": 9, "min_novelty": 0.01, "min_shot": min_shot, **choice}
    clips = Clips(Planned(boundaries, unsettled, late), Lengths(*lengths), Pool(cell), Choice(**chosen))
    waiting = sorted(looks if times is None else times)
    for time in sorted(looks):
        while waiting and waiting[0] <= time:
            clips.times.append(waiting.pop(0))
        clips.feed(looks[time], time not in damaged)
    clips.times.extend(waiting)
    clips.finish(end)
    return clips.done


def chosen_of(clips: list[Clip]) -> list[list[float]]:
    return [[each.candidate.time for each in clip.chosen] for clip in clips]


def spans(clips: list[Clip]) -> list[tuple[float, float]]:
    return [(clip.start, clip.end) for clip in clips]


def scenes(count: int, step: float = 1.0) -> dict[float, Still]:
    return {n * step: still(n * step, n) for n in range(count)}


@pytest.mark.parametrize("late", [0, 3])
def test_a_clip_has_the_pictures_from_its_boundary_to_the_next(late: int) -> None:
    found = clips_of(scenes(9), {3.0, 7.0}, 9.0, late=late)

    assert spans(found) == [(0.0, 3.0), (3.0, 7.0), (7.0, 9.0)]
    assert chosen_of(found) == [[0, 1, 2], [3, 4, 5, 6], [7, 8]]
    assert [clip.wanted for clip in found] == [[], [], []]


@pytest.mark.parametrize("late", [0, 3])
def test_a_boundary_between_two_looks_begins_a_clip_at_the_next_picture(late: int) -> None:
    looks = {0.0: still(0.0, 0), 2.0: still(2.0, 1), 4.0: still(4.0, 2), 6.0: still(6.0, 3)}
    times = [0.0, 1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0]

    found = clips_of(looks, {2.75}, 7.0, times, late=late)

    assert spans(found) == [(0.0, 3.0), (3.0, 7.0)]
    assert chosen_of(found) == [[0, 2], [4, 6]]


def test_a_planned_boundary_at_a_picture_that_is_not_looked_at_begins_a_clip_there() -> None:
    looks = {0.0: still(0.0, 0), 4.0: still(4.0, 1)}

    assert spans(clips_of(looks, {2.0}, 5.0, [0.0, 1.0, 2.0, 3.0, 4.0])) == [(0.0, 2.0), (2.0, 5.0)]


def test_of_a_clip_without_a_look_the_picture_nearest_its_middle_is_wanted() -> None:
    looks = {0.0: still(0.0, 0), 9.0: still(9.0, 1)}
    times = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]

    found = clips_of(looks, {2.0, 8.0}, 10.0, times)

    assert spans(found) == [(0.0, 2.0), (2.0, 8.0), (8.0, 10.0)]
    assert [clip.wanted for clip in found] == [[], [5.0], []]
    assert chosen_of(found) == [[0], [], [9]]


def test_pictures_after_the_last_look_belong_to_the_last_clip() -> None:
    found = clips_of({0.0: still(0.0, 0)}, set(), 10.0, [0.0, 2.0, 4.0, 6.0], lengths=(1.0, 5.0))

    assert spans(found) == [(0.0, 6.0), (6.0, 10.0)]
    assert [clip.wanted for clip in found] == [[], [6.0]]


def test_middle_wants_the_picture_nearest_the_middle_and_keeps_one_looked_at_in_case() -> None:
    found = clips_of(scenes(12), {5.0}, 12.0, how="middle", count=3)

    assert [clip.wanted for clip in found] == [[2.0], [8.0]]
    assert [len(clip.chosen) for clip in found] == [1, 1]


def test_uniform_wants_the_pictures_nearest_the_middles_of_even_parts() -> None:
    found = clips_of(scenes(12), {4.0}, 12.0, how="uniform", count=2)

    assert [clip.wanted for clip in found] == [[1.0, 3.0], [6.0, 10.0]]
    assert [clip.wanted for clip in clips_of(scenes(2), set(), 2.0, how="uniform", count=5)] == [[0.0, 1.0]]
    assert [len(clip.chosen) for clip in found] == [1, 1]


def test_best_chooses_as_many_as_are_asked_for() -> None:
    assert [len(clip.chosen) for clip in clips_of(scenes(6), set(), 6.0, count=2)] == [2]


def test_pictures_in_a_transition_or_with_damage_are_not_chosen_where_others_are() -> None:
    assert chosen_of(clips_of(scenes(6), set(), 6.0, damaged={1.0}, unsettled={3.0})) == [[0, 2, 4, 5]]
    assert chosen_of(clips_of(scenes(2), set(), 2.0, damaged={1.0, 0.0})) == [[0, 1]]


def test_a_shot_that_is_too_short_for_a_clip_of_its_own_is_not_chosen_from() -> None:
    found = clips_of(scenes(20, 0.25), {3.0, 3.5}, 5.0, lengths=(1.0, 100.0), min_shot=0.75)

    assert spans(found) == [(0.0, 3.0), (3.0, 5.0)]
    assert min(chosen_of(found)[1]) == 3.5


def test_facts_of_a_clip_are_measured_within_it() -> None:
    looks = {float(n): still(n, None, 100 if n < 4 else 140) for n in range(4)}
    looks |= {4.0: still(4.0, None, 200), 5.0: still(5.0, None, 220), 6.0: still(6.0, None, 240)}

    first, second = clips_of(looks, {4.0}, 7.0)

    assert first.motion == 0.0
    assert second.motion == pytest.approx(17.0, abs=1.0)
    assert first.light == pytest.approx(100 / 255, abs=0.01)
    assert second.light == pytest.approx(220 / 255, abs=0.01)  # the median
    assert (first.sharpness, first.talking is None or first.talking >= 0) == (0.0, True)


def test_without_candidates_there_are_no_medians() -> None:
    found = clips_of({0.0: still(0.0, 0), 9.0: still(9.0, 1)}, {2.0, 8.0}, 10.0, [0.0, 5.0, 9.0])
    clip = found[1]

    assert (clip.sharpness, clip.light, clip.motion) == (None, None, None)


def test_the_frames_that_are_chosen_are_encoded() -> None:
    looks = scenes(3)

    clips_of(looks, set(), 3.0, count=1)

    assert sorted(one.size for one in looks.values())[0] == 0


def test_it_is_known_which_frames_are_shown_during_speech() -> None:
    (clip,) = clips_of(scenes(4), set(), 4.0, speech=Speech([(1.0, 2.5)]))

    assert [(each.candidate.time, each.spoken) for each in clip.chosen] == [
        (0, False),
        (1, True),
        (2, True),
        (3, False),
    ]


def test_pictures_that_wait_long_for_a_verdict_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = scenes(12, 0.25)
    size = looks[0.0].size
    monkeypatch.setattr(clips_module, "HELD_BYTES", 3 * size)

    found = clips_of(looks, set(), 3.0, late=100)

    # The oldest are thinned to one each half second; the latest three are still whole.
    assert chosen_of(found) == [[0.0, 0.5, 1.0, 1.5, 2.0, 2.25, 2.5, 2.75]]
    assert spans(found) == [(0.0, 3.0)]


def test_pictures_are_not_thinned_while_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = scenes(8, 0.25)
    monkeypatch.setattr(clips_module, "HELD_BYTES", 3 * looks[0.0].size)

    assert len(chosen_of(clips_of(looks, set(), 2.0, late=3))[0]) == 8  # as many come as go
    assert len(chosen_of(clips_of(scenes(8, 0.25), set(), 2.0, late=4))[0]) == 6
