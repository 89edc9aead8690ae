"""Decoding goes on past damage and gives every picture a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from interlink.media.decode import Frames
from interlink.media.probe import describe, open_media


class Retimed:
    """A real container whose packets had their times changed on the way."""

    def __init__(self, container: Any, change: Callable[[int, Any], None]) -> None:
        self._container, self._change = container, change
        self.streams = container.streams

    def demux(self, *streams: Any) -> Iterator[Any]:
        for number, packet in enumerate(self._container.demux(*streams)):
            if packet.size:
                self._change(number, packet)
            yield packet


def retimed(path: Path, change: Callable[[int, Any], None]) -> tuple[list[float], Frames]:
    with open_media(path) as container:
        frames = Frames(Retimed(container, change), describe(container, path))
        return [decoded.time for decoded in frames], frames


@pytest.fixture
def clip(shared_data: Path) -> Path:
    """250 pictures at 25 per second, without reordered ones."""
    return shared_data / "clips" / "fades_gray_levels.mp4"


def test_pictures_without_times_follow_each_other_at_the_frame_rate(clip: Path) -> None:
    def strip(number: int, packet: Any) -> None:
        packet.pts = packet.dts = None

    times, frames = retimed(clip, strip)

    assert times == [round(number / 25, 6) for number in range(250)]
    assert frames.end == 10.0


def test_a_gap_in_the_times_is_filled_from_the_one_before(clip: Path) -> None:
    def strip(number: int, packet: Any) -> None:
        if 100 <= number < 110:
            packet.pts = packet.dts = None

    times, frames = retimed(clip, strip)

    assert times == [round(number / 25, 6) for number in range(250)]
    assert frames.loss() == ""


def test_pictures_whose_time_goes_back_are_left_out_and_said(clip: Path) -> None:
    def turn_back(number: int, packet: Any) -> None:
        if number >= 200:
            packet.pts = packet.dts = packet.pts - 100 * 512

    times, frames = retimed(clip, turn_back)

    assert all(before < after for before, after in pairwise(times))
    assert frames.backwards == 50
    assert "50 pictures with decreasing times were left out" in frames.loss()


def test_reading_stops_at_the_end_of_what_is_there(shared_data: Path) -> None:
    path = shared_data / "clips" / "truncated_pancake.mkv"
    with open_media(path) as container:
        frames = Frames(container, describe(container, path))
        times = [decoded.time for decoded in frames]

    assert len(times) == 164
    assert frames.loss() == "truncated_pancake.mkv: 5.5 s of the stated 10.4 s could be read"
