"""Plans: stable from their seed, on the grid of frames, and as the options ask."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from pydantic import ValidationError

from interlink.sample import SampleOptions, world
from interlink.sample.plan import DARK_WALLS, Plan, name_of, plan

PLAIN = SampleOptions()


def many(count: int = 40, split: world.Split = "train", **options: Any) -> list[Plan]:
    return [plan(11, split, index, SampleOptions(**options)) for index in range(count)]


def test_a_plan_depends_on_its_seed_split_and_index_alone() -> None:
    assert plan(5, "train", 3, PLAIN) == plan(5, "train", 3, PLAIN)
    others = {plan(5, "train", 3, PLAIN), plan(6, "train", 3, PLAIN), plan(5, "train", 4, PLAIN)}
    assert len(others | {plan(5, "heldout", 3, PLAIN)}) == 4
    assert len({name_of(s, n, i) for s in ("train", "heldout") for n in (1, 2) for i in (0, 1)}) == 8


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_a_split_shows_only_its_own_combinations_and_deals_them_evenly(split: world.Split) -> None:
    shown = Counter(step.combination for video in many(100, split) for step in video.steps)

    assert set(shown) <= set(world.combinations(split))
    assert len(shown) >= 300 if split == "train" else len(shown) == 96
    assert max(shown.values()) - min(shown.values()) <= 5


def test_steps_tile_the_video_and_differ_in_wall_and_table() -> None:
    for video in many():
        assert 3 <= len(video.steps) <= 5
        assert video.steps[0].first == 0
        for before, after in zip(video.steps, video.steps[1:], strict=False):
            assert before.last == after.first
            assert (before.wall in DARK_WALLS) != (after.wall in DARK_WALLS)
            assert before.table != after.table
        assert all(2.0 - 0.07 <= (step.last - step.first) / video.fps <= 3.0 + 0.07 for step in video.steps)
        assert [cut.boundary for cut in video.transitions] == [step.first for step in video.steps[1:]]


def test_distractors_are_of_another_kind_and_colour_and_keep_to_the_border() -> None:
    for step in (step for video in many() for step in video.steps):
        assert 2 <= len(step.distractors) <= 3
        for other in step.distractors:
            assert other.object != step.combination.object and other.colour != step.combination.colour
            assert other.size < step.size / 2 and abs(other.x - 0.5) > 0.3


@pytest.mark.parametrize("lead", [(-1.5, -1.5), (-0.6, 0.4), (0.0, 0.0), (1.5, 1.5)])
def test_sentences_follow_one_another_inside_the_video_at_the_lead_asked_for(lead: tuple[float, float]) -> None:
    for video in many(lead=lead):
        end = 0.0
        for number, step in enumerate(video.steps):
            assert end <= step.speech_start < step.speech_end <= video.duration + 1e-9
            end = step.speech_end
            if 0 < number < len(video.steps) - 1:  # the first and last may lack the room
                assert step.first / video.fps - step.speech_start == pytest.approx(video.lead, abs=1e-3)
        assert lead[0] <= video.lead <= lead[1]


def test_titles_lie_inside_their_step() -> None:
    shown = [(video, step) for video in many(titles=1.0) for step in video.steps]
    for video, step in shown:
        assert step.title is not None
        assert step.first / video.fps < step.title.start < step.title.end < step.last / video.fps
    assert not any(step.title for video in many(titles=0.0) for step in video.steps)


def test_switching_an_option_on_leaves_the_rest_of_a_video_as_it_was() -> None:
    plain = plan(2, "train", 9, PLAIN)
    changed = plan(2, "train", 9, SampleOptions(silent=1, vfr=1, portrait=1, rotation=(90,), titles=1, fades=1))

    assert changed.silent and changed.vfr and changed.rotation == 90
    assert (changed.width, changed.height) == (plain.height, plain.width)
    assert [step.combination for step in changed.steps] == [step.combination for step in plain.steps]
    assert [step.speech_start for step in changed.steps] == [step.speech_start for step in plain.steps]


def test_a_share_is_the_part_of_videos_that_are_so() -> None:
    videos = many(200, silent=0.3, vfr=0.5, fades=0.5)

    assert 40 <= sum(video.silent for video in videos) <= 80
    assert 75 <= sum(video.vfr for video in videos) <= 125
    styles = Counter(cut.style for video in videos for cut in video.transitions)
    assert all(styles[style] > 100 for style in ("cut", "dissolve", "black"))


def test_vfr_drops_frames_but_none_that_truth_speaks_of() -> None:
    for video in many(vfr=True, fades=0.5):
        kept = set(video.kept)
        assert 0.4 * video.frames < len(kept) < 0.95 * video.frames
        assert {step.first for step in video.steps} <= kept and video.frames - 1 in kept
        for cut in video.transitions:
            assert cut.boundary - cut.frames // 2 in kept and cut.boundary + cut.frames // 2 in kept


def test_long_videos_have_as_many_steps_as_asked() -> None:
    assert all(24 <= len(video.steps) <= 36 for video in many(5, long=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 321},
        {"steps": (5, 3)},
        {"steps": (0, 3)},
        {"step_seconds": (0.1, 0.2)},
        {"lead": (-3.0, 0.0)},
        {"rotation": (45,)},
        {"rotation": ()},
        {"silent": 1.5},
        {"colour": "red"},
    ],
    ids=lambda wrong: "-".join(wrong),
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SampleOptions(**wrong)
