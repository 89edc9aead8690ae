"""Reads the pictures of a video at given times: seeks to the keyframe before each, then decodes forward."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

NEAR = 2.0  # seconds to the next wanted picture up to which decoding continues instead of seeking


def pictures(container: Any, index: int, times: list[float]) -> Iterator[tuple[float, Any]]:
    """(time, frame) for each of the sorted `times` at which stream `index` has an undamaged picture."""
    from av.error import FFmpegError

    stream = container.streams[index]
    stream.codec_context.skip_frame = "DEFAULT"
    running: Iterator[tuple[float, Any]] = iter(())
    reached = -1e18
    for wanted in times:
        for attempt in range(2):
            try:
                if attempt or not reached < wanted <= reached + NEAR:
                    # second attempt from an earlier time: the container's index pointed past the picture
                    target = wanted - (30.0 if attempt else 0.0)
                    container.seek(int(target / stream.time_base), stream=stream, backward=True)
                    running = _decoded(container, stream)
                frame = None
                while reached < wanted or frame is None:
                    reached, frame = next(running, (1e18, None))
                    if frame is None:
                        break
            except FFmpegError:
                reached = 1e18  # forces a seek for the next picture
                continue
            if frame is not None and reached == wanted and not frame.is_corrupt:
                yield wanted, frame
                break


def _decoded(container: Any, stream: Any) -> Iterator[tuple[float, Any]]:
    base = stream.time_base
    for frame in container.decode(stream):
        if frame.pts is not None:
            yield round(frame.pts * base.numerator / base.denominator, 6), frame
