"""JPEG to uint8 frames, and the crops of training. Costs 0.6 ms for 500 x 375 pixels of 50 kB, and 0.2 ms to crop.

JPEG is decoded at a half, a quarter or an eighth of its size if that is enough: these scales of the inverse transform
are fast, those between are slower than a full decode. Crop and resize are one pass (torch's, which averages over the
pixels that it leaves out).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from cosmos_train.stream.settings import ImageSettings

Frame = NDArray[np.uint8]  # (height, width, 3)

_PLAIN_COLOURS = ("YCbCr", "Gray", "RGB")


def decode(data: bytes, image: ImageSettings) -> Frame:
    """Decodes one JPEG (PNG, WebP) to (H, W, 3), each side at least size * stored_scale pixels if it has that many.

    Raises ValueError if the bytes are not a whole picture.
    """
    if image.paper_compat or bytes(data[:2]) != b"\xff\xd8":
        return decode_exactly(data)
    height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    if colours not in _PLAIN_COLOURS:  # CMYK
        return decode_exactly(data)
    smallest = round(image.size * image.stored_scale)
    divisor = next((d for d in (8, 4, 2) if min(height, width) >= smallest * d), 1)
    pixels = simplejpeg.decode_jpeg(
        data, "RGB", True, True, min_height=-(-height // divisor), min_width=-(-width // divisor)
    )
    return np.asarray(pixels, dtype=np.uint8)


def decode_exactly(data: bytes) -> Frame:
    """Decodes one picture of any format at its full size, with the exact inverse transform, as PIL does it.

    Raises ValueError if the bytes are not a whole picture.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as picture:
            return np.asarray(picture.convert("RGB"), dtype=np.uint8)
    except UnidentifiedImageError as error:  # its message contains a memory address
        raise ValueError("is no picture") from error
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"is no whole picture: {error}") from error


def crop(frames: Sequence[Frame], image: ImageSettings, random: np.random.Generator | None) -> NDArray[np.uint8]:
    """(F, 3, size, size): the frames of one clip, all cropped alike. Without `random`: the whole frame, or its middle.

    The result is a view with the channels last in memory.
    """
    if random is not None and image.paper_compat:
        from cosmos_train.stream.augment import released  # imports torchvision

        return released(frames, image.size, random)
    height, width = frames[0].shape[:2]
    box_height, box_width = (height, width) if image.fit == "squash" else (min(height, width),) * 2
    left, top = (width - box_width) / 2, (height - box_height) / 2
    if random is not None:
        share_x, share_y = random.uniform(image.smallest_crop, 1.0, 2)
        left += box_width * (1 - share_x) * random.uniform()
        top += box_height * (1 - share_y) * random.uniform()
        box_width, box_height = box_width * share_x, box_height * share_y
    # The box as shares of the first frame, so that frames of other sizes are cut alike.
    box = (top / height, left / width, (top + box_height) / height, (left + box_width) / width)
    cut = np.empty((len(frames), image.size, image.size, 3), np.uint8)
    for number, frame in enumerate(frames):
        cut[number] = _resized(frame, box, image.size)
    if random is not None:
        cut = _jitter(cut, image, random)
    return cut.transpose(0, 3, 1, 2)


def _resized(frame: Frame, box: tuple[float, float, float, float], size: int) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    top, left = min(round(box[0] * height), height - 1), min(round(box[1] * width), width - 1)
    bottom, right = max(round(box[2] * height), top + 1), max(round(box[3] * width), left + 1)
    part = np.ascontiguousarray(frame[top:bottom, left:right])  # torch is fast on whole pixels, channels last
    if not part.flags.writeable:
        part = part.copy()
    resized = F.interpolate(
        torch.from_numpy(part)[None].permute(0, 3, 1, 2), (size, size), mode="bilinear", antialias=True
    )
    return resized[0].permute(1, 2, 0).numpy()


def _jitter(frames: NDArray[np.uint8], image: ImageSettings, random: np.random.Generator) -> NDArray[np.uint8]:
    """Mirrors the clip or not, and changes contrast and brightness, the same for all frames."""
    mirrored = random.uniform() < image.flip
    contrast, brightness = random.uniform(1 - image.jitter, 1 + image.jitter, 2)
    if mirrored:
        frames = frames[:, :, ::-1]
    if image.jitter == 0:
        return frames
    levels = np.clip((np.arange(256) - 128) * contrast + 128 * brightness, 0, 255).astype(np.uint8)
    # One pass over bytes is twice as fast as indexing with an array; a bytearray makes the result writable.
    return np.frombuffer(bytearray(frames.tobytes().translate(levels.tobytes())), np.uint8).reshape(frames.shape)


def choose(available: int, wanted: int, random: np.random.Generator | None) -> list[int]:
    """Which frames of a clip to use: one from each of `wanted` equal runs, at random or its middle; all if fewer."""
    if available <= wanted:
        return list(range(available))
    edges = [round(i * available / wanted) for i in range(wanted + 1)]
    if random is None:
        return [(low + high - 1) // 2 for low, high in pairwise(edges)]
    return [int(random.integers(low, high)) for low, high in pairwise(edges)]


def choose_times(start: float, end: float, wanted: int, random: np.random.Generator | None) -> tuple[float, ...]:
    """Times (s) of `wanted` frames of a span of video: one in each equal part, at random or in its middle."""
    part = (end - start) / wanted
    shares = np.full(wanted, 0.5) if random is None else random.uniform(size=wanted)
    return tuple(float(start + part * (number + share)) for number, share in enumerate(shares))
