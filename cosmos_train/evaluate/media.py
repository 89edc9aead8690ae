"""Decodes frames of benchmark media for a model: pictures of any format, spans of videos, folders of frames.

Costs one decode per picture; for a video a seek and the run from its keyframe per frame (about 15 ms at 360p). Videos
of benchmarks are files, often long, and some are GIFs: so they are read in place here, not as bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_train.evaluate.inside import inside
from cosmos_train.evaluate.preprocess import Preprocess
from cosmos_train.evaluate.readers.folder import IMAGES, Media
from cosmos_train.stream.decode import Frame, choose_times
from interlink.containers import LOCAL_ONLY

Clip = tuple[NDArray[np.uint8], NDArray[np.float32]]  # frames (F, 3, size, size), times (F,) seconds since the first
Decode = Callable[[bytes], Frame]  # a picture's bytes as a frame

_RUN = 10.0  # seconds: decode through a gap up to this length, seek beyond it


class Unreadable(Exception):
    """Media that cannot be used; the message gives name and reason."""


def load(path: Path, media: Media, frames: int, preprocess: Preprocess) -> Clip:
    """A picture (one frame), or `frames` frames of a video: the middle of each of this many equal parts of its span.

    Raises Unreadable.
    """
    shown, times = look(path, media, frames, preprocess.decode)
    return preprocess.shape(shown), np.asarray(times, dtype=np.float32) - np.float32(times[0])


def look(path: Path, media: Media, frames: int, decode: Decode) -> tuple[list[Frame], Sequence[float]]:
    """The same as full frames (H, W, 3), and their times, s. Raises Unreadable."""
    try:
        if media.row is not None:
            return [inside(path, media.row, media.column, decode)], (0.0,)
        if path.is_dir():
            return _from_folder(path, media, frames, decode)
        if path.suffix.lower() in IMAGES:
            return [decode(path.read_bytes())], (0.0,)
        return _from_video(path, media, frames)
    except (OSError, ValueError, EOFError) as error:  # errors of av and PIL derive from these
        raise Unreadable(f"{path}: {error}") from error


def _from_folder(path: Path, media: Media, count: int, decode: Decode) -> tuple[list[Frame], Sequence[float]]:
    names = sorted(found for found in path.iterdir() if found.suffix.lower() in IMAGES)
    if not names:
        raise ValueError("the folder holds no pictures")
    length = len(names) / media.frames_per_second
    times = choose_times(media.start or 0.0, min(length, media.end or length), count, None)
    chosen = [min(len(names) - 1, max(0, int(time * media.frames_per_second))) for time in times]
    return [decode(names[number].read_bytes()) for number in chosen], times


def _from_video(path: Path, media: Media, count: int) -> tuple[list[Frame], Sequence[float]]:
    import av

    with av.open(f"file:{path}", options=LOCAL_ONLY) as container:
        if not container.streams.video:
            raise ValueError("there is no video in it")
        stream = container.streams.video[0]
        start, end = media.start or 0.0, media.end
        length = _length(container, stream)
        if length is None:  # a GIF has no duration: decode it once
            length = max((frame.time or 0.0 for frame in container.decode(stream)), default=0.0)
            container.seek(0)
        end = length if end is None else min(end, length)
        if end < start:
            raise ValueError(f"it ends at {length:.1f} s, before the span from {start:.1f} s begins")
        times = choose_times(start, end, count, None)
        found = list(_at(container, stream, times))
    return found, times


def _length(container: Any, stream: Any) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else float(container.duration / 1_000_000)


def _at(container: Any, stream: Any, times: Sequence[float]) -> Iterator[Frame]:
    """The frame on screen at each time, in order."""
    origin = float((stream.start_time or 0) * stream.time_base)
    frames = container.decode(stream)
    shown = following = next(frames, None)
    for time in times:
        if following is not None and time - (following.time or 0.0) + origin > _RUN:
            container.seek(int((time + origin) / stream.time_base), stream=stream)
            frames = container.decode(stream)
            shown = following = next(frames, shown)
        while following is not None and (following.time or 0.0) - origin <= time:
            shown, following = following, next(frames, None)
        if shown is None:
            raise ValueError("no frame can be decoded")
        yield _upright(shown)


def _upright(frame: Any) -> Frame:
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90) % 4))
