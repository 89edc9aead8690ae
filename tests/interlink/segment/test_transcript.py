"""Clips that follow speech: by sentence, by step, around silences."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from interlink.media.look import Look
from interlink.segment.transcript import Transcript, plan


def said(*spans: tuple[float, float]) -> list[dict[str, Any]]:
    return [{"text": "words.", "start": start, "end": end} for start, end in spans]


def test_every_sentence_begins_a_clip_in_the_middle_of_the_pause_before_it() -> None:
    times = plan(said((1, 3), (4, 6), (6, 8)), "sentence", pause=1, longest=20, silence=8)

    assert times == [1.0, 3.5, 6.0, 8.0]


def test_a_step_goes_on_until_a_pause() -> None:
    times = plan(said((1, 3), (3.2, 6), (7.5, 9), (9.1, 12)), "step", pause=1, longest=20, silence=8)

    assert times == [1.0, 6.75, 12.0]


def test_a_step_without_a_pause_ends_with_the_last_sentence_that_fits() -> None:
    times = plan(said(*[(4.0 * n, 4.0 * n + 4) for n in range(8)]), "step", pause=1, longest=10, silence=8)

    assert times == [0.0, 8.0, 16.0, 24.0, 32.0]


def test_a_long_silence_is_a_clip_of_its_own() -> None:
    times = plan(said((2, 5), (25, 30)), "step", pause=1, longest=20, silence=8)

    assert times == [2.0, 5.0, 25.0, 30.0]


def test_sentences_out_of_order_or_reaching_into_each_other_are_set_right() -> None:
    assert plan(said((4, 9), (1, 6), (9, 9)), "sentence", 1, 20, 8) == [1.0, 4.0, 9.0]
    assert plan([], "step", 1, 20, 8) == []


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(0, 30)), max_size=30), st.sampled_from(["sentence", "step"]))
def test_planned_times_rise(spans: list[tuple[float, float]], by: Any) -> None:
    times = plan(said(*[(start, start + length) for start, length in spans]), by, 1, 20, 8)

    assert all(before <= after for before, after in pairwise(times))


def test_a_planned_time_between_two_pictures_is_a_verdict_of_its_own() -> None:
    nothing = np.zeros((40, 64), np.uint8), np.zeros((2, 20, 32), np.uint8)
    transcript = Transcript([0.2, 2.5, 2.6, 4.0, 99.0])  # 0.2: before the first picture

    verdicts = [each for time in (1.0, 2.0, 3.0, 4.0) for each in transcript.feed(Look(time, *nothing))]
    verdicts += transcript.finish()

    assert [(each.time, each.boundary) for each in verdicts] == [
        (1.0, False),
        (2.0, False),
        (2.5, True),
        (2.6, True),
        (3.0, False),
        (4.0, True),
    ]
