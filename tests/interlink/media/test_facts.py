"""`talking` counts looks that were searched for faces, in still shots; without a search it is unknown."""

from __future__ import annotations

import numpy as np

from interlink.media.facts import Facts
from interlink.media.look import Look


def look(time: float, shade: int = 90) -> Look:
    return Look(time, np.full((40, 64), shade, np.uint8), np.full((2, 20, 32), 128, np.uint8))


def test_without_a_detector_talking_is_unknown() -> None:
    facts = Facts()
    for second in range(5):
        facts.feed(look(second), cut=second == 0)

    assert facts.talking(0, 4) is None


def test_talking_is_the_share_of_time_with_a_speaker() -> None:
    facts = Facts()
    for second, speaker in enumerate([True, True, True, False, False]):
        facts.feed(look(second), cut=second == 0, speaker=speaker)

    assert facts.talking(0, 4) == 0.5


def test_a_speaker_before_a_moving_camera_does_not_count() -> None:
    facts = Facts()
    for second in range(5):
        facts.feed(look(second, 90 + 10 * second), cut=second == 0, speaker=True)

    assert facts.talking(0, 4) == 0.0


def test_looks_before_a_cut_say_nothing_of_the_next_clip() -> None:
    facts = Facts()
    facts.feed(look(0.0), cut=True, speaker=True)
    facts.feed(look(1.0), cut=True)
    facts.feed(look(2.0), cut=False)

    assert facts.talking(1.0, 2.0) is None
