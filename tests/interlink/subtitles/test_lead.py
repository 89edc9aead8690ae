"""The lead of the words over the picture is found where there is one, and doubted where there is none."""

from __future__ import annotations

import random

import pytest

from interlink.sample.plan import SampleOptions, plan
from interlink.subtitles.lead import estimate


def planned(index: int, **options: object) -> tuple[list[float], list[float], float]:
    """(starts of sentences, changes of the picture, lead) of a video of the sample world."""
    video = plan(3, "train", index, SampleOptions(**options))  # type: ignore[arg-type]
    return (
        [step.speech_start for step in video.steps],
        [cut.boundary / video.fps for cut in video.transitions],
        video.lead,
    )


def test_the_lead_of_a_video_with_a_dozen_steps_is_found() -> None:
    for index in range(30):
        onsets, changes, lead = planned(index, steps=(10, 14))

        found = estimate(onsets, changes)

        assert found.lead == pytest.approx(lead, abs=0.05), index
        assert found.confidence > 0.1


def test_noise_in_both_lowers_the_confidence_not_the_truth() -> None:
    draw = random.Random(1)
    for index in range(30):
        onsets, changes, lead = planned(index, long=1.0)
        noisy = sorted(time + draw.gauss(0, 0.1) for time in onsets if draw.random() < 0.85)
        cuts = sorted([time for time in changes if draw.random() < 0.85] + [draw.uniform(0, changes[-1])] * 2)

        found = estimate(noisy, cuts)

        assert found.lead == pytest.approx(lead, abs=0.2), index
        assert found.confidence < estimate(onsets, changes).confidence


def test_words_of_another_video_are_not_believed() -> None:
    own = sorted(estimate(*planned(index, long=1.0)[:2]).confidence for index in range(40))
    strange = sorted(
        estimate(planned(index, long=1.0)[0], planned(index + 40, long=1.0)[1]).confidence for index in range(40)
    )

    assert strange[-1] < own[0]


@pytest.mark.parametrize(("onsets", "changes"), [([], []), ([1.0, 2.0, 3.0], []), ([1.0, 2.0], [1.0, 2.0])])
def test_too_little_gives_no_lead(onsets: list[float], changes: list[float]) -> None:
    found = estimate(onsets, changes)

    assert (found.lead, found.confidence) == (None, 0.0)
    assert (found.onsets, found.changes) == (len(onsets), len(changes))


def test_what_lies_farther_apart_than_is_looked_at_gives_no_lead() -> None:
    assert estimate([0.0, 1.0, 2.0], [100.0, 101.0, 102.0]).lead is None
