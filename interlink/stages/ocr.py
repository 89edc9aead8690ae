"""ocr: the text that is to be seen in the frames that keyframes chose, line by line, with places, scores and times.

Reads committed frames, never the video. As slow as its engine: 0.1 to 0.5 s a frame on one core with `rapidocr`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from interlink.engines.captioner import Identity
from interlink.engines.frames import evenly
from interlink.engines.lines import SeenLine, merge
from interlink.engines.reader import Box, FrameRequest, FrameText, Line, Reader, check_reader, make_reader
from interlink.engines.reader_caption import CaptionReaderSettings
from interlink.engines.reader_rapidocr import RapidOcrSettings
from interlink.errors import StageError
from interlink.stage import Context, Item, Resources, Row, Settings, failed


class OcrSettings(Settings):
    """Who reads, which frames, and when two readings are one line."""

    engine: str = Field("rapidocr", description="rapidocr (an OCR model, with boxes), or caption (a caption engine)")
    frames_per_clip: int = Field(0, ge=0, description="most frames of a clip that are read, evenly chosen; 0 = all")
    edits: float = Field(
        0.2, ge=0, le=1, description="readings that differ in at most this share of their characters are one line"
    )
    overlap: float = Field(
        0.5, ge=0, le=1, description="… if their boxes share at least this much of the smaller one's area"
    )
    gap: int = Field(1, ge=0, description="… and at most this many frames between them did not show it")
    rapidocr: RapidOcrSettings = Field(
        RapidOcrSettings(),
        description="settings of the rapidocr engine",
    )
    caption: CaptionReaderSettings = Field(
        CaptionReaderSettings(),
        description="settings of the caption engine",
    )

    @field_validator("engine")
    @classmethod
    def _known(cls, engine: str) -> str:
        return check_reader(engine)


@dataclass(frozen=True)
class _Frame:
    """A frame to be read: its clip and its number there, as in the keyframes table."""

    clip: int
    frame: int
    time: float
    image: dict[str, Any]


@dataclass
class _Open:
    """A video whose frames are not all read yet."""

    frames: tuple[_Frame, ...]
    answers: dict[int, FrameText] = field(default_factory=dict)


class Ocr:
    """On-screen text of many videos. The schema is tables.OCR."""

    name: ClassVar[str] = "ocr"
    version: ClassVar[int] = 1
    isolated: ClassVar[bool] = False
    scope: ClassVar[Literal["item", "run"]] = "item"
    settings_class: ClassVar[type[Settings]] = OcrSettings

    def __init__(self, settings: OcrSettings, context: Context) -> None:
        self.settings = settings
        self._engine: Reader = make_reader(settings.engine, getattr(settings, settings.engine))
        self._identity = Identity(settings.engine)

    @staticmethod
    def needs(settings: OcrSettings) -> tuple[str, ...]:
        return ("keyframes",)

    @staticmethod
    def costly(settings: OcrSettings) -> bool:
        return True

    @staticmethod
    def resources(settings: OcrSettings) -> Resources:
        if settings.engine == "rapidocr":
            return Resources(cpus=float(settings.rapidocr.threads), memory_mb=800)
        if settings.caption.engine == "transformers":
            return Resources(cpus=1.0, gpus=float(settings.caption.transformers.device.startswith("cuda")))
        return Resources(cpus=0.5, workers=1)  # `concurrency` is what the server is asked for, in all

    def open(self) -> None:
        self._identity = self._engine.open()

    def close(self) -> None:
        self._engine.close()

    def deadline(self, item: Item) -> float:
        return 3600.0

    def run(self, items: Iterator[Item]) -> Iterator[Row]:
        open_videos: dict[str, _Open] = {}
        ready: deque[Row] = deque()
        for answer in self._engine.read(self._requests(items, open_videos, ready)):
            video = open_videos.get(answer.id)
            if video is not None:  # else it has failed in the meantime
                video.answers[answer.frame] = answer
                if len(video.answers) == len(video.frames):
                    ready.append(self._row(answer.id, open_videos.pop(answer.id)))
            while ready:
                yield ready.popleft()
        yield from ready

    def _requests(
        self, items: Iterator[Item], open_videos: dict[str, _Open], ready: deque[Row]
    ) -> Iterator[FrameRequest]:
        for item in items:
            video = _Open(self._frames(item))
            if not video.frames:
                ready.append(self._row(item.id, video))
                continue
            open_videos[item.id] = video
            try:
                for number, frame in enumerate(video.frames):
                    yield FrameRequest(item.id, number, _read(item, frame.image))
            except StageError as error:
                open_videos.pop(item.id, None)
                ready.append(failed(item.id, error))

    def _frames(self, item: Item) -> tuple[_Frame, ...]:
        """The frames to be read, in order of time."""
        found: list[_Frame] = []
        for number, clip in enumerate(item.rows["keyframes"]["clips"]):
            frames = [_Frame(number, n, frame["time"], frame["image"]) for n, frame in enumerate(clip["frames"])]
            frames.sort(key=lambda frame: frame.time)
            found += evenly(tuple(frames), self.settings.frames_per_clip or len(frames))
        return tuple(found)

    def _row(self, item_id: str, video: _Open) -> Row:
        """ok, partial where some frames could not be read, failed where none could or a later try may help."""
        answers = [video.answers[number] for number in range(len(video.frames))]
        errors = [answer.error for answer in answers if answer.error is not None]
        for error in errors:
            if error.error_class not in ("model", "unreadable"):
                return failed(item_id, error)
        if errors and len(errors) == len(answers):
            return failed(item_id, errors[0])
        read = [
            (frame, answer.lines) for frame, answer in zip(video.frames, answers, strict=True) if answer.error is None
        ]
        settings = self.settings
        merged = merge([(frame.time, lines) for frame, lines in read], settings.edits, settings.overlap, settings.gap)
        identity = self._identity
        fields: dict[str, Any] = {
            "engine": identity.engine,
            "model": identity.model,
            "revision": identity.revision,
            "prompt_hash": identity.prompt_hash,
            "parameters": json.dumps(identity.parameters, sort_keys=True, separators=(",", ":")),
            "frames": [
                {"clip": frame.clip, "frame": frame.frame, "lines": [_line(line) for line in lines]}
                for frame, lines in read
            ],
            "lines": [_seen(line) for line in merged],
        }
        message = f"{len(errors)} of {len(answers)} frames could not be read: {errors[0]}" if errors else ""
        return Row(item_id, fields, partial=bool(errors), message=message)


def _line(line: Line) -> dict[str, Any]:
    return {"text": line.text, "score": line.score, "box": _box(line.box)}


def _seen(line: SeenLine) -> dict[str, Any]:
    return {
        **_line(line.best),
        "start": line.start,
        "end": line.end,
        "frames": line.frames,
    }


def _box(box: Box | None) -> dict[str, float] | None:
    return None if box is None else {"left": box.left, "top": box.top, "right": box.right, "bottom": box.bottom}


def _read(item: Item, reference: dict[str, Any]) -> bytes:
    """Raises StageError `unreadable` where a committed frame is gone, `network` where storage does not answer."""
    try:
        return item.blob("keyframes", reference)
    except (FileNotFoundError, EOFError) as error:
        raise StageError("unreadable", f"a committed frame is gone: {error}") from error
    except (OSError, TimeoutError) as error:
        raise StageError("network", f"a frame cannot be read: {type(error).__name__}: {error}") from error
