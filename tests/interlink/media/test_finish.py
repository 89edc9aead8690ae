"""Interlaced and transparent pictures, made by hand, as they are shown."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from av.filter import Graph
from PIL import Image

from interlink.media.finish import Finisher, Treatment, has_alpha, on_white


def marked(frame: Any, mode: str) -> Any:
    """The frame with an interlaced mark, as a decoder gives it."""
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))
    mark, sink = graph.add("setfield", mode), graph.add("buffersink")
    source.link_to(mark)
    mark.link_to(sink)
    graph.configure()
    graph.push(frame)
    found = graph.pull()
    assert found.interlaced_frame == (mode != "prog")
    return found


def grey(lines: list[int], form: str = "gray", width: int = 6) -> Any:
    wide = np.uint16 if form.endswith("le") else np.uint8
    return av.VideoFrame.from_ndarray(np.repeat(np.array(lines, wide)[:, None], width, axis=1), format=form)


@pytest.mark.parametrize("mode", ["tff", "bff"])
@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ([10, 99, 20, 99, 31, 99], [10, 15, 20, 26, 31, 31]),  # between two, rounded up; the last is repeated
        ([10, 99, 20, 99, 31], [10, 15, 20, 26, 31]),
        ([10, 99], [10, 10]),
        ([255, 0, 255, 0], [255, 255, 255, 255]),
    ],
)
def test_the_upper_field_stays_and_the_lines_between_are_means(lines: list[int], wanted: list[int], mode: str) -> None:
    finisher = Finisher()
    for _ in range(2):
        found = finisher.finish(marked(grey(lines), mode))
        assert found.to_ndarray().tolist() == [[value] * 6 for value in wanted]
        assert not found.interlaced_frame
    assert finisher.treatment == Treatment(None, True, False)
    assert finisher.treatment.column() == {"tone_mapped": None, "deinterlaced": True, "composed": False}


def test_deep_pictures_and_pictures_of_another_size_are_deinterlaced_too() -> None:
    finisher = Finisher()
    deep = finisher.finish(marked(grey([1000, 7, 60_000, 7], "gray16le"), "tff"))
    assert deep.to_ndarray()[:, 0].tolist() == [1000, 30_500, 60_000, 60_000]
    for width in (4, 8):
        found = finisher.finish(marked(grey([10, 9, 20, 9], width=width), "tff"))
        assert (found.width, found.to_ndarray()[:, 0].tolist()) == (width, [10, 15, 20, 20])


def test_every_plane_of_a_picture_is_deinterlaced_and_a_packed_one_is_unpacked() -> None:
    rows = np.arange(0, 160, 20, dtype=np.uint8)
    frame = av.VideoFrame(4, 8, "yuyv422")
    plane = np.frombuffer(frame.planes[0], np.uint8).reshape(8, frame.planes[0].line_size)
    plane[:] = rows[:, None]
    found = Finisher().finish(marked(frame, "tff"))
    assert found.format.name == "yuv422p"
    for one in found.planes:
        lines = np.frombuffer(one, np.uint8).reshape(-1, one.line_size)[:, 0]
        assert lines[:8].tolist() == [0, 20, 40, 60, 80, 100, 120, 120]


def test_a_progressive_opaque_picture_is_left_alone() -> None:
    finisher, frame = Finisher(), grey([1, 2, 3, 4])
    assert finisher.finish(frame) is frame
    assert finisher.treatment == Treatment() and finisher.treatment.column() is None


def test_a_transparent_picture_is_composed_on_white_and_an_opaque_one_is_not() -> None:
    pixels = np.zeros((2, 4, 4), np.uint8)
    pixels[..., 0] = 200
    pixels[0, :, 3] = [255, 128, 0, 255]
    pixels[1, :, 3] = 255
    finisher = Finisher()
    opaque = pixels.copy()
    opaque[..., 3] = 255
    frame = av.VideoFrame.from_ndarray(opaque, format="rgba")
    assert finisher.finish(frame) is frame
    assert not finisher.treatment.composed
    found = finisher.finish(av.VideoFrame.from_ndarray(pixels, format="rgba"))
    assert finisher.treatment.composed and finisher.treatment.column() is not None
    assert found.format.name == "rgb24"
    shown = found.to_ndarray()
    assert shown[0].tolist() == [[200, 0, 0], [227, 127, 127], [255, 255, 255], [200, 0, 0]]
    assert shown[1].tolist() == [[200, 0, 0]] * 4


def test_white_is_behind_what_is_transparent() -> None:
    assert on_white(Image.new("RGBA", (2, 1), (0, 0, 0, 0))).tolist() == [[[255] * 3] * 2]
    assert on_white(Image.new("RGBA", (1, 1), (10, 20, 30, 255))).tolist() == [[[10, 20, 30]]]


def test_formats_that_may_be_transparent() -> None:
    formats = {
        "rgba": True,
        "yuva420p": True,
        "pal8": True,
        "ya8": True,
        "rgb24": False,
        "yuv420p": False,
        "gray": False,
    }
    assert {name: has_alpha(name) for name in formats} == formats


@pytest.mark.parametrize(("transfer", "name"), [(16, "pq"), (18, "hlg"), (1, None)])
def test_a_picture_that_will_be_tone_mapped_is_reported(transfer: int, name: str | None) -> None:
    frame = grey([1, 2])
    frame.color_trc, frame.color_primaries = transfer, 1
    finisher = Finisher()
    assert finisher.finish(frame) is frame
    assert finisher.treatment.tone_mapped == name
    assert (finisher.treatment.column() is None) == (name is None)
