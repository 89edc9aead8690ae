"""How a benchmark's pictures become the square pixels that a vision tower reads.

Evaluation and training may differ: a CLIP is trained on fast decodes, but scored on exact ones, as its authors score
it. Costs 3 ms for 500 x 375 pixels of JPEG where the decode is exact, 0.8 ms as in training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cosmos_train.stream.decode import Frame, crop, decode, decode_exactly
from cosmos_train.stream.settings import ImageSettings
from cosmos_train.stream.talk.corpus import squared

Pixels = NDArray[np.uint8]  # (F, 3, S, S)
Name = Literal["own", "training", "open_clip", "cosmo"]

_COSMO = 256 / 224  # its evaluation resizes to this many times the crop


@dataclass(frozen=True)
class Preprocess:
    """decode: a picture's bytes as a frame; shape: the frames of one clip as squares."""

    decode: Callable[[bytes], Frame]
    shape: Callable[[Sequence[Frame]], Pixels]


def choose(name: Name, image: ImageSettings, own: Preprocess) -> Preprocess:
    """The preprocessing of a protocol; own: of the model's family."""
    return {"own": own, "training": as_trained(image), "open_clip": open_clip(image), "cosmo": cosmo(image)}[name]


def as_trained(image: ImageSettings) -> Preprocess:
    """As the stream prepares pictures for a CosMo, without augmentation."""
    return Preprocess(partial(decode, image=image), lambda frames: crop(frames, image, None))


def squares(image: ImageSettings) -> Preprocess:
    """The middle square, resized once from a fast decode: as the probes of a COSMOS see pictures."""
    stored = image.model_copy(update={"stored_scale": 1.0})
    return Preprocess(
        partial(decode, image=stored), lambda frames: np.stack([squared(one, image.size, False) for one in frames])
    )


def open_clip(image: ImageSettings) -> Preprocess:
    """open_clip's evaluation: shorter side by bicubic, then the middle."""
    return _middles(image.size, image.size, Image.Resampling.BICUBIC)


def cosmo(image: ImageSettings) -> Preprocess:
    """CosMo's evaluation: shorter side to 256 for a crop of 224, bilinear, then the middle."""
    return _middles(image.size, round(image.size * _COSMO), Image.Resampling.BILINEAR)


def _middles(size: int, shorter: int, filter: Image.Resampling) -> Preprocess:
    return Preprocess(decode_exactly, lambda frames: np.stack([middle(one, size, shorter, filter) for one in frames]))


def middle(frame: Frame, size: int, shorter: int, filter: Image.Resampling) -> NDArray[np.uint8]:
    """(H, W, 3) to (3, size, size): the shorter side resized to `shorter`, the middle cut out; rounded as in
    torchvision."""
    picture = Image.fromarray(frame)
    width, height = picture.size
    longer = int(shorter * max(width, height) / min(width, height))
    width, height = (shorter, longer) if width <= height else (longer, shorter)
    resized = np.asarray(picture.resize((width, height), filter), np.uint8)
    top, left = round((height - size) / 2), round((width - size) / 2)
    return resized[top : top + size, left : left + size].transpose(2, 0, 1)
