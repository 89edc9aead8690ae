"""The start time of a container's clock. Costs a read of its header.

Sidecar subtitles count from 0, where a player begins; clips, frames and embedded subtitles have the container's times.
They differ by the container's start time: the earliest start of its streams, as in players and ffmpeg.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlink.errors import StageError
from interlink.media.probe import FORMATS, open_media
from interlink.stage import Item

WRAP = 2**33 / 90_000  # seconds after which the clock of a transport stream starts again
KEPT = 1.0  # least start of a container, seconds, that shows that it kept the clock of its transport stream


@dataclass(frozen=True)
class Clock:
    """start: seconds in the container's clock at which a player begins. stream: it is a transport stream."""

    start: float
    stream: bool

    def offset(self, mapped: float | None) -> tuple[float, str]:
        """(seconds to add to the times of a subtitle file, a doubt or ""). mapped: its X-TIMESTAMP-MAP, or None.

        Times count from where a player begins, or, with a map, are those of the transport stream.
        """
        if mapped is None:
            return self.start, ""
        if self.stream or self.start >= KEPT:
            return round(mapped + round((self.start - mapped) / WRAP) * WRAP, 6), ""
        return self.start, "its X-TIMESTAMP-MAP is for a transport stream, but the media file has another clock"


def container_clock(item: Item) -> Clock:
    """The clock of an item's media file. Raises StageError if the file does not open."""
    media = str(item.rows["download"]["media"])
    root = item.context.root
    if Path(media).is_absolute() or root.is_local:
        path = Path(media) if Path(media).is_absolute() else Path(root.full(media))
        with open_media(path) as container:
            return _clock(container)
    with _remote(item, media) as container:
        return _clock(container)


def presentation_start(item: Item) -> float:
    """Seconds in the container's clock at which a player begins. Raises StageError if the file does not open."""
    return container_clock(item).start


def _clock(container: Any) -> Clock:
    start = 0.0 if container.start_time is None else round(container.start_time / 1_000_000, 6)
    return Clock(start, container.format.name == "mpegts")


@contextmanager
def _remote(item: Item, media: str) -> Iterator[Any]:
    """A container on object storage; only the ranges with its header are read."""
    import av
    from av.error import FFmpegError

    root = item.context.root
    try:
        with (
            root.file_system().open(root.full(media), "rb") as file,
            av.open(file, options={"format_whitelist": FORMATS}) as container,
        ):
            yield container
    except FileNotFoundError as error:
        raise StageError("gone", f"{media}: the file is no longer there") from error
    except FFmpegError as error:
        raise StageError("unreadable", f"{media}: not a media file, or damaged at its start") from error
    except OSError as error:
        raise StageError("network", f"{media}: {error}") from error
