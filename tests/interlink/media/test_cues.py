"""Print is found where there is print, and a head where one stands before a camera that does not move."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from interlink.media.cues import is_still, text_coverage
from interlink.media.look import Look
from interlink.media.probe import describe, open_media


def page(lines: int, paper: int = 240, ink: int = 20) -> np.ndarray:
    image = Image.new("L", (455, 256), paper)
    pen = ImageDraw.Draw(image)
    for line in range(lines):
        pen.text((20, 12 + 22 * line), "cut the onion in half and peel it", fill=ink, font_size=18)
    return np.array(image)


def test_more_lines_cover_more_and_a_blank_page_nothing() -> None:
    covered = [text_coverage(page(lines)) for lines in (0, 1, 4, 10)]

    assert covered[0] == 0
    assert covered == sorted(covered)
    assert covered[1] > 0.01
    assert covered[3] == pytest.approx(10 * covered[1], rel=0.6)


def test_light_print_on_dark_counts_as_much() -> None:
    assert text_coverage(page(5, 20, 240)) == pytest.approx(text_coverage(page(5)), rel=0.5)


def test_noise_stripes_and_slopes_are_no_print() -> None:
    random = np.random.default_rng(0)
    stripes = np.tile(np.array([30] * 12 + [220] * 12, np.uint8), 19)[None, :].repeat(256, 0)
    slope = np.linspace(0, 255, 455).astype(np.uint8)[None, :].repeat(256, 0)

    for picture in (random.integers(0, 256, (256, 455)).astype(np.uint8), stripes, slope, np.zeros((6, 9), np.uint8)):
        assert text_coverage(picture) < 0.01


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("lecture_laion400m_slides.mp4", True),
        ("commentary_greenscreen_timecode.mp4", True),
        ("scratch_rotate_costume_screencast.mov", True),
        ("stir_fry_onion_carrot.avi", False),
        ("cockatoo_hevc.mp4", False),
        ("shuttle_10s_silent.webm", False),
    ],
)
def test_real_pictures_with_and_without_print(shared_data: Path, name: str, written: bool) -> None:
    path = shared_data / "clips" / name
    with open_media(path) as container:
        video = describe(container, path).video
        assert video is not None
        frame = next(container.decode(container.streams[video.index]))
        scale = 256 / min(frame.width, frame.height)
        grey = frame.reformat(round(frame.width * scale), round(frame.height * scale), format="gray").to_ndarray()

    assert (text_coverage(grey) > 0.02) is written


def look(shade: int, middle: int = 0) -> Look:
    """A grey picture; middle: added to its middle half."""
    luma = np.full((40, 64), shade, np.uint8)
    luma[:, 16:48] += np.uint8(middle)
    return Look(0.0, luma, np.full((2, 20, 32), 128, np.uint8))


def test_what_moves_in_the_middle_leaves_a_shot_still() -> None:
    assert is_still(look(90), look(95, middle=60))


def test_a_change_at_the_sides_is_no_still_shot() -> None:
    assert not is_still(look(90), look(97))
