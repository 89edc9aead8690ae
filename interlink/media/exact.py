"""Reads the pictures of a video at given times: seeks to the keyframe before each, then decodes forward."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from interlink.media.decoder import PictureDecoder

NEAR = 2.0  # seconds to the next wanted picture up to which decoding continues instead of seeking


def pictures(container: Any, index: int, times: list[float], seek: bool = True) -> Iterator[tuple[float, Any]]:
    """(time, frame) for each of the sorted `times` at which stream `index` has an undamaged picture.

    seek: False reads from the start to the last of `times`, for files in which a time occurs twice.
    """
    from av.error import FFmpegError

    stream = container.streams[index]
    decoder = PictureDecoder(stream)
    decoder.context.skip_frame = "DEFAULT"
    if not seek:  # to well before the start, because some formats find the next keyframe only
        container.seek(int((stream.start_time or 0) - 30 / stream.time_base), stream=stream, backward=True)
    running = _decoded(container, decoder)
    reached = -1e18
    for wanted in times:
        for attempt in range(2 if seek else 1):
            try:
                if seek and (attempt or not reached < wanted <= reached + NEAR):
                    # second attempt from an earlier time: the container's index pointed past the picture
                    target = wanted - (30.0 if attempt else 0.0)
                    container.seek(int(target / stream.time_base), stream=stream, backward=True)
                    decoder.context.flush_buffers()
                    running = _decoded(container, decoder)
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


def _decoded(container: Any, decoder: PictureDecoder) -> Iterator[tuple[float, Any]]:
    from av.error import EOFError as AvEOFError

    base = decoder.stream.time_base
    try:
        for packet in container.demux(decoder.stream):
            for frame in decoder.decode(packet if packet.size else None):
                if frame.pts is not None:
                    yield round(frame.pts * base.numerator / base.denominator, 6), frame
    except AvEOFError:  # the decoder was flushed already
        return
