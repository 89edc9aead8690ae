"""Decoding and cropping of frames."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cosmos_train.stream.decode import choose, crop, decode
from cosmos_train.stream.settings import ImageSettings


def jpeg(width: int, height: int, left: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    """Left half of one colour, right half grey."""
    image = Image.new("RGB", (width, height), (90, 90, 90))
    image.paste(left, (0, 0, width // 2, height))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def test_squash_keeps_the_whole_frame_and_crop_its_middle() -> None:
    wide = jpeg(400, 100)
    squashed = crop([decode(wide, s := ImageSettings(size=32))], s, None)
    assert squashed.shape == (1, 3, 32, 32)
    assert squashed[0, 0, :, 2].min() > 150  # red on the left edge
    assert squashed[0, 0, :, -3].max() < 120  # grey on the right
    cut = crop([decode(wide, s := ImageSettings(size=32, fit="crop"))], s, None)
    assert cut.shape == (1, 3, 32, 32)
    assert cut[0, 0, 16, 2] > 150
    assert cut[0, 0, 16, -3] < 120


def test_frames_smaller_than_the_model_sees_are_enlarged() -> None:
    settings = ImageSettings(size=64)
    assert crop([decode(jpeg(20, 16), settings)], settings, None).shape == (1, 3, 64, 64)


def test_large_frames_are_decoded_at_a_power_of_two_that_leaves_enough() -> None:
    settings = ImageSettings(size=64)  # at least 80 pixels
    assert decode(jpeg(1000, 700), settings).shape == (88, 125, 3)
    assert decode(jpeg(180, 160), settings).shape == (80, 90, 3)
    assert decode(jpeg(180, 158), settings).shape == (158, 180, 3)


def test_training_crops_are_one_per_clip_and_follow_the_random_state() -> None:
    settings = ImageSettings(size=32, smallest_crop=0.5, jitter=0.3)
    frames = [decode(jpeg(64, 64), settings)] * 2
    first, again, other = (crop(frames, settings, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first[0] == first[1]).all()
    assert (first == again).all()
    assert (first != other).any()


def test_cut_jpegs_are_refused() -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(jpeg(64, 64)[:300], ImageSettings(size=32))


def test_frames_are_chosen_one_from_each_run() -> None:
    assert choose(9, 3, None) == [1, 4, 7]
    assert choose(2, 3, None) == [0, 1]
    for seed in range(20):
        first, second, third = choose(9, 3, np.random.default_rng(seed))
        assert (first // 3, second // 3, third // 3) == (0, 1, 2)
