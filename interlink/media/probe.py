"""Opens media files and describes their streams, before decoding.

Costs one read of the header. Only demuxers of self-contained files are allowed: a playlist or script that would make
the demuxer open other files or addresses is rejected as unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from interlink.containers import FORMATS as FORMATS
from interlink.errors import StageError
from interlink.media.orientation import UPRIGHT, orientation_of
from interlink.stage import Item

# Containers that state the duration in their header, so that a shorter file is truncated.
STATES_DURATION = ("mov,mp4", "matroska", "avi")
ENCRYPTED_TAGS = ("encv", "drmi")  # sample entries of protected tracks
# Titles of tracks with a commentary or a description of what is shown.
COMMENTARY = re.compile(
    r"\b(comment|kommentar|commentaire|comentario|commento|audio.?descri|descriptive|director'?s\b)", re.IGNORECASE
)


@dataclass(frozen=True)
class StreamInfo:
    """One stream as the header describes it. Times are seconds; width and height are pixels as stored."""

    index: int
    kind: str  # video | audio | subtitle | data | attachment
    codec: str  # empty: no decoder for it
    language: str
    default: bool
    cover: bool  # an attached picture, not a video
    duration: float | None
    start: float | None
    width: int = 0
    height: int = 0
    fps: float = 0.0  # average; 0 = not stated
    sar: Fraction = Fraction(1)  # width of a pixel over its height
    commentary: bool = False  # sound that talks about the video: a commentary, or a description for the blind


@dataclass(frozen=True)
class Probe:
    """The description of a container. video: the chosen video stream; None without one."""

    name: str
    format: str
    size: int  # bytes
    duration: float | None  # seconds, as the container states
    streams: tuple[StreamInfo, ...]
    video: StreamInfo | None
    rotation: int = 0  # degrees clockwise of the first picture; set only by `probe`

    @property
    def stated(self) -> float | None:
        """Seconds of video stated in the header; None if this container format does not state them."""
        if self.video is None or not self.format.startswith(STATES_DURATION):
            return None
        known = [seconds for seconds in (self.video.duration, self.duration) if seconds]
        return min(known) if known else None


def square_pixels(width: int, height: int, sar: Fraction) -> tuple[int, int]:
    """Size in square pixels of a stored picture: the height stays, the width follows the sample aspect ratio."""
    return max(1, round(width * sar)), height


@contextmanager
def open_media(path: Path) -> Iterator[Any]:
    """The file as an open PyAV container. Raises StageError `unreadable` or `gone` with the file's name."""
    import av
    from av.error import FFmpegError

    try:
        if path.stat().st_size == 0:
            raise StageError("unreadable", f"{path.name}: the file is empty")
        container = av.open(f"file:{path}", options={"format_whitelist": FORMATS})
    except FileNotFoundError as error:
        raise StageError("gone", f"{path.name}: the file is no longer there") from error
    except (FFmpegError, OSError, UnicodeError) as error:
        raise StageError(
            "unreadable", f"{path.name}: not a media file, or damaged at its start ({_why(error)})"
        ) from error
    with container:
        yield container


def describe(container: Any, path: Path) -> Probe:
    """The description of an open container; reads no further data."""
    streams = tuple(_stream(stream) for stream in container.streams)
    return Probe(
        name=path.name,
        format=container.format.name,
        size=path.stat().st_size,
        duration=container.duration / 1_000_000 if container.duration else None,
        streams=streams,
        video=_watched(streams),
    )


def probe(path: Path) -> Probe:
    """Opens `path`, describes it and decodes one picture for its rotation. Raises StageError if it does not open."""
    from dataclasses import replace

    from av.error import FFmpegError

    with open_media(path) as container:
        found = describe(container, path)
        if found.video is None or not found.video.codec:
            return found
        try:
            first = next(container.decode(container.streams[found.video.index]), None)
        except FFmpegError:
            first = None
        return replace(found, rotation=(orientation_of(first) if first else UPRIGHT).rotation)


@contextmanager
def local_media(item: Item) -> Iterator[Path]:
    """The item's media file on a local disk: the file itself, or a copy that exists during the block."""
    media = str(item.rows["download"]["media"])
    if Path(media).is_absolute():
        yield Path(media)
        return
    try:
        with item.context.root.local(media) as path:
            yield path
    except FileNotFoundError as error:
        raise StageError("gone", f"{media}: the file is no longer there") from error


def _watched(streams: tuple[StreamInfo, ...]) -> StreamInfo | None:
    """The default video stream, else the first; ignores cover art."""
    videos = [stream for stream in streams if stream.kind == "video" and not stream.cover]
    return next((stream for stream in videos if stream.default), videos[0] if videos else None)


def _stream(stream: Any) -> StreamInfo:
    from av.stream import Disposition

    context = stream.codec_context
    shared = {
        "index": stream.index,
        "kind": stream.type or "data",
        "codec": _codec(context),
        "language": stream.metadata.get("language", ""),
        "default": bool(stream.disposition & Disposition.default),
        "cover": bool(stream.disposition & Disposition.attached_pic),
        "duration": _seconds(stream.duration, stream.time_base),
        "start": _seconds(stream.start_time, stream.time_base),
        "commentary": bool(stream.disposition & (Disposition.comment | Disposition.visual_impaired))
        or any(COMMENTARY.search(stream.metadata.get(name, "")) for name in ("title", "handler_name")),
    }
    if stream.type != "video" or context is None:
        return StreamInfo(**shared)
    sar = stream.sample_aspect_ratio or context.sample_aspect_ratio
    return StreamInfo(
        **shared,
        width=context.width,
        height=context.height,
        fps=float(stream.average_rate or 0),
        sar=Fraction(sar) if sar and sar > 0 else Fraction(1),
    )


def _codec(context: Any) -> str:
    """The codec's common name; empty without a decoder, or if the track is encrypted."""
    if context is None or context.codec_tag in ENCRYPTED_TAGS:
        return ""
    return str(context.codec.canonical_name)


def _seconds(value: int | None, time_base: Fraction | None) -> float | None:
    return None if value is None or time_base is None else float(value * time_base)


def _why(error: BaseException) -> str:
    """The message of a system error, without the path in it."""
    return str(getattr(error, "strerror", None) or error)
