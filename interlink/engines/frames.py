"""Frames of a clip as input of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from interlink.errors import StageError
from interlink.stage import Item

T = TypeVar("T")


def evenly(frames: tuple[T, ...], most: int) -> tuple[T, ...]:
    """At most `most` of the frames: the middles of equal parts (one: the middle frame)."""
    if len(frames) <= most:
        return frames
    return tuple(frames[(2 * n + 1) * len(frames) // (2 * most)] for n in range(most))


def to_picture(jpeg: bytes) -> Any:
    """A PIL image, RGB. Raises StageError `unreadable`."""
    import simplejpeg
    from PIL import Image

    try:
        return Image.fromarray(simplejpeg.decode_jpeg(jpeg, colorspace="RGB"))
    except ValueError as error:
        raise StageError("unreadable", f"a frame is not a JPEG: {error}") from error


def read_frame(item: Item, reference: Mapping[str, Any]) -> bytes:
    """The JPEG behind a reference of the keyframes table.

    Raises StageError `unreadable` where a committed frame is missing, `network` where storage does not answer.
    """
    try:
        return item.blob("keyframes", reference)
    except (FileNotFoundError, EOFError) as error:
        raise StageError("unreadable", f"a committed frame is missing: {error}") from error
    except (OSError, TimeoutError) as error:
        raise StageError("network", f"a frame cannot be read: {type(error).__name__}: {error}") from error
