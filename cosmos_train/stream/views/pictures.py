"""COSMOS's crops of a picture: DINO's augmentations (Caron et al. 2021), drawn from a given generator.

Pillow processes the pixels: no random state of torchvision enters the run, and Pillow resizes a box bicubically in one
pass. Costs 5 to 8 ms for 2 crops of 224 px and 6 of 96 px from a 500 px picture, without decoding.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from cosmos_train.stream.views.settings import ViewSettings

_SMALLEST = 0.05  # smallest share of the area, for small crops
_RATIOS = (3 / 4, 4 / 3)
_FLIP, _JITTER, _GREY, _SOLARISE = 0.5, 0.8, 0.2, 0.2
_BLUR_FIRST, _BLUR_SECOND, _BLUR_LOCAL = 1.0, 0.1, 0.5
_BRIGHTNESS = _CONTRAST = 0.4
_SATURATION, _HUE = 0.2, 0.1

Pixels = NDArray[np.uint8]


def views(frame: Pixels, size: int, settings: ViewSettings, random: np.random.Generator) -> tuple[Pixels, Pixels]:
    """A picture (H, W, 3) as (globals, 3, size, size) and (locals, 3, local_size, local_size)."""
    picture = Image.fromarray(frame)
    large = [
        _view(picture, size, (settings.crop_scale, 1.0), settings, random, n) for n in range(settings.global_views)
    ]
    small = [
        _view(picture, settings.local_size, (_SMALLEST, settings.crop_scale), settings, random, None)
        for _ in range(settings.local_views)
    ]
    return _stacked(large, size), _stacked(small, settings.local_size)


def _stacked(crops: list[Image.Image], size: int) -> Pixels:
    if not crops:
        return np.zeros((0, 3, size, size), np.uint8)
    return np.stack([np.asarray(one, np.uint8) for one in crops]).transpose(0, 3, 1, 2)


def _view(
    picture: Image.Image, size: int, scale: tuple[float, float], settings: ViewSettings, random: np.random.Generator,
    number: int | None,
) -> Image.Image:  # fmt: skip
    """number: of a global crop; the first is always blurred, later ones rarely, and sometimes solarised."""
    box = crop_box(picture.width, picture.height, scale, random)
    found = picture.resize((size, size), Image.Resampling.BICUBIC, box=box)
    if random.uniform() < _FLIP:
        found = ImageOps.mirror(found)
    factor = settings.augment
    if random.uniform() < _JITTER * factor:
        found = jittered(found, random)
    if random.uniform() < _GREY * factor:
        found = found.convert("L").convert("RGB")
    blur = _BLUR_LOCAL if number is None else _BLUR_SECOND if number else _BLUR_FIRST
    if random.uniform() < blur * factor:
        found = found.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))
    if number and random.uniform() < _SOLARISE * factor:
        found = ImageOps.solarize(found)
    return found


def crop_box(
    width: int, height: int, scale: tuple[float, float], random: np.random.Generator
) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a random box, with random share of the area and aspect ratio (the usual random
    resized crop: ten attempts, then the middle)."""
    for _ in range(10):
        area = width * height * random.uniform(*scale)
        ratio = math.exp(random.uniform(math.log(_RATIOS[0]), math.log(_RATIOS[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(random.integers(width - w + 1)), int(random.integers(height - h + 1))
            return left, top, left + w, top + h
    w, h = min(width, round(height * _RATIOS[1])), min(height, round(width / _RATIOS[0]))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def jittered(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Changes brightness, contrast, saturation and hue, in random order."""
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    factors = [_about_one(most, random) for most in (_BRIGHTNESS, _CONTRAST, _SATURATION)]
    turn = random.uniform(-_HUE, _HUE)
    for number in random.permutation(len(enhancers) + 1).tolist():
        picture = (
            enhancers[number](picture).enhance(factors[number]) if number < len(enhancers) else _turned(picture, turn)
        )
    return picture


def _about_one(most: float, random: np.random.Generator) -> float:
    return float(random.uniform(1 - most, 1 + most))


def _turned(picture: Image.Image, share: float) -> Image.Image:
    """Shifts the hue by a share of the circle."""
    hue, saturation, value = picture.convert("HSV").split()
    levels = [(level + round(share * 255)) % 256 for level in range(256)]
    return Image.merge("HSV", (hue.point(levels), saturation, value)).convert("RGB")
