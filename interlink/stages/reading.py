"""Passes frames of many videos to an engine that reads pictures, and makes a video's row when all its frames are read.

Shared by `ocr` and `regions`. Frames are read from storage when the engine asks for more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from interlink.engines.frames import evenly, read_frame
from interlink.engines.reader import Box, FrameRequest, FrameText, Line, Reader
from interlink.errors import StageError
from interlink.stage import Item, Row, failed


@dataclass(frozen=True)
class ChosenFrame:
    """A frame to read: the indices of its clip and of the frame in the keyframes table; time: seconds."""

    clip: int
    frame: int
    time: float
    image: dict[str, Any]


Reading = tuple[ChosenFrame, tuple[Line, ...]]
# (id, readings in order of time, number of frames that could not be read, the first reason) -> the row.
MakeRow = Callable[[str, list[Reading], int, StageError | None], Row]


@dataclass
class _Open:
    """A video with frames that are not read yet."""

    frames: tuple[ChosenFrame, ...]
    answers: dict[int, FrameText] = field(default_factory=dict)


def read_videos(items: Iterator[Item], engine: Reader, frames_per_clip: int, make: MakeRow) -> Iterator[Row]:
    """A row for each item: from `make`, or failed where no frame could be read or a retry may help.

    frames_per_clip: most frames of a clip to read, evenly chosen; 0: all.
    """
    open_videos: dict[str, _Open] = {}
    ready: deque[Row] = deque()

    def requests() -> Iterator[FrameRequest]:
        for item in items:
            video = _Open(_frames(item, frames_per_clip))
            if not video.frames:
                ready.append(_row(item.id, video, make))
                continue
            open_videos[item.id] = video
            try:
                for number, frame in enumerate(video.frames):
                    yield FrameRequest(item.id, number, read_frame(item, frame.image))
            except StageError as error:
                open_videos.pop(item.id, None)
                ready.append(failed(item.id, error))

    for answer in engine.read(requests()):
        found = open_videos.get(answer.id)
        if found is not None:  # otherwise it has failed in the meantime
            found.answers[answer.frame] = answer
            if len(found.answers) == len(found.frames):
                ready.append(_row(answer.id, open_videos.pop(answer.id), make))
        while ready:
            yield ready.popleft()
    yield from ready


def _frames(item: Item, most: int) -> tuple[ChosenFrame, ...]:
    """The frames to read, in order of time."""
    found: list[ChosenFrame] = []
    for number, clip in enumerate(item.rows["keyframes"]["clips"]):
        frames = [ChosenFrame(number, n, frame["time"], frame["image"]) for n, frame in enumerate(clip["frames"])]
        frames.sort(key=lambda frame: frame.time)
        found += evenly(tuple(frames), most or len(frames))
    return tuple(found)


def _row(item_id: str, video: _Open, make: MakeRow) -> Row:
    answers = [video.answers[number] for number in range(len(video.frames))]
    errors = [answer.error for answer in answers if answer.error is not None]
    for error in errors:
        if error.error_class not in ("model", "unreadable"):
            return failed(item_id, error)
    if errors and len(errors) == len(answers):
        return failed(item_id, errors[0])
    read = [(frame, answer.lines) for frame, answer in zip(video.frames, answers, strict=True) if answer.error is None]
    return make(item_id, read, len(errors), errors[0] if errors else None)


def line_fields(line: Line) -> dict[str, Any]:
    """The columns of tables.READING."""
    return {"text": line.text, "score": line.score, "box": _box(line.box)}


def lost_message(read: Sequence[Reading], lost: int, why: StageError | None) -> str:
    """A message about frames that could not be read; empty if there are none."""
    return f"{lost} of {len(read) + lost} frames could not be read: {why}" if lost else ""


def _box(box: Box | None) -> dict[str, float] | None:
    return None if box is None else {"left": box.left, "top": box.top, "right": box.right, "bottom": box.bottom}
