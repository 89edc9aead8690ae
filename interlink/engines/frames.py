"""Frames of a clip as a model wants to see them."""

from __future__ import annotations

from typing import Any, TypeVar

from interlink.errors import StageError

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
        raise StageError("unreadable", f"a frame is no JPEG: {error}") from error
