"""ocr: reads the text in the frames that keyframes chose, line by line, with boxes, scores and times.

Reads committed frames, never the video. Costs what its engine costs: 0.1 to 0.5 s per frame on one core for `rapidocr`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field, field_validator

from interlink.engines.captioner import Identity
from interlink.engines.lines import SeenLine, merge
from interlink.engines.reader import GROUP, READERS, Reader, check_reader, reader_class
from interlink.engines.reader_caption import CaptionReaderSettings
from interlink.engines.reader_rapidocr import RapidOcrSettings
from interlink.errors import StageError
from interlink.settings import Settings
from interlink.stage import Context, Item, Resources, Row, Stage
from interlink.stages.reading import Reading, line_fields, lost_message, read_videos


class OcrSettings(Settings):
    """The engine, the frames it reads, and when two readings are the same line."""

    engine: str = Field("rapidocr", description="rapidocr (an OCR model, with boxes), or caption (a caption engine)")
    frames_per_clip: int = Field(0, ge=0, description="most frames of a clip to read, evenly chosen; 0 = all")
    edits: float = Field(
        0.2, ge=0, le=1, description="readings that differ in at most this share of their characters are the same line"
    )
    overlap: float = Field(
        0.5, ge=0, le=1, description="… if their boxes share at least this much of the smaller one's area"
    )
    gap: int = Field(1, ge=0, description="… and at most this many frames between them do not show it")
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

    @property
    def reader(self) -> type[Reader]:
        """The class of the engine."""
        return reader_class(self.engine)

    @property
    def of_engine(self) -> Any:
        """The engine's block."""
        return GROUP.settings_of(self.engine, self, {})

    def unread(self) -> frozenset[str]:
        return frozenset(READERS) - {self.engine}


class Ocr(Stage):
    """Reads the on-screen text of many videos. The schema is tables.OCR."""

    name: ClassVar[str] = "ocr"
    version: ClassVar[int] = 1
    settings_class: ClassVar[type[Settings]] = OcrSettings

    def __init__(self, settings: OcrSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._engine = settings.reader(settings.of_engine)
        self._identity = Identity(settings.engine)

    @staticmethod
    def needs(settings: OcrSettings) -> tuple[str, ...]:
        return ("keyframes",)

    @staticmethod
    def costly(settings: OcrSettings) -> bool:
        return True

    @staticmethod
    def resources(settings: OcrSettings) -> Resources:
        return settings.reader.resources(settings.of_engine)

    @staticmethod
    def amounts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        return {"lines": sum(len(row["lines"]) for row in rows if row["status"] == "ok")}

    @staticmethod
    def check(settings: OcrSettings, context: Context) -> None:
        settings.reader.check(settings.of_engine)

    def open(self) -> None:
        self._identity = self._engine.open()

    def close(self) -> None:
        self._engine.close()

    def run(self, items: Iterator[Item]) -> Iterator[Row]:
        return read_videos(items, self._engine, self.settings.frames_per_clip, self._row)

    def _row(self, item_id: str, read: list[Reading], lost: int, why: StageError | None) -> Row:
        """The row: ok, partial if some frames could not be read."""
        settings = self.settings
        merged = merge([(frame.time, lines) for frame, lines in read], settings.edits, settings.overlap, settings.gap)
        fields: dict[str, Any] = {
            **self._identity.columns(),
            "frames": [
                {"clip": frame.clip, "frame": frame.frame, "lines": [line_fields(line) for line in lines]}
                for frame, lines in read
            ],
            "lines": [_seen(line) for line in merged],
        }
        return Row(item_id, fields, partial=bool(lost), message=lost_message(read, lost, why))


def _seen(line: SeenLine) -> dict[str, Any]:
    return {**line_fields(line.best), "start": line.start, "end": line.end, "frames": line.frames}
