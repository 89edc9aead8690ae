"""Clips of one length by presentation time."""

from __future__ import annotations

import numpy as np

from interlink.media.look import Look
from interlink.segment.fixed import Fixed


def test_boundaries_are_planned_at_each_length_whatever_the_frame_rate() -> None:
    fixed = Fixed(1.0)
    times = [7.0, 7.4, 7.9, 8.1, 8.2, 10.5, 10.9, 11.0]  # variable rate, not from zero, a gap of over two lengths
    nothing = np.zeros((40, 64), np.uint8), np.zeros((2, 20, 32), np.uint8)

    verdicts = [verdict for time in times for verdict in fixed.feed(Look(time, *nothing))] + fixed.finish()

    assert [verdict.time for verdict in verdicts if verdict.boundary] == [8.0, 9.0, 10.0, 11.0]
    assert [verdict.time for verdict in verdicts if verdict.time in times] == times
