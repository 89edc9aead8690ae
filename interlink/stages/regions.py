"""regions: describes regions of a clip's frames, with boxes, by a model of dense region captions.

Costs what that model costs. Reads committed frames, never the video. Its rows are evidence for narrate, and go into
documents as `clips[].regions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from interlink.engines.captioner import Identity
from interlink.engines.florence import FlorenceSettings
from interlink.engines.reader import LOOKERS, REGIONS, Reader, reader_class
from interlink.errors import StageError
from interlink.settings import Settings
from interlink.stage import Context, Item, Resources, Row, Stage
from interlink.stages.reading import Reading, line_fields, lost_message, read_videos


class RegionsSettings(Settings):
    """The engine, the frames it looks at, and how many regions are kept."""

    engine: Literal["florence2", "none"] = Field(
        "florence2", description="florence2 (a local Florence-2 of transformers), or none (empty rows)"
    )
    frames_per_clip: int = Field(1, ge=0, description="most frames of a clip to look at, evenly chosen; 0 = all")
    most: int = Field(20, ge=1, description="most regions of a frame, in the model's order")
    florence2: FlorenceSettings = Field(FlorenceSettings(), description="settings of the florence2 engine")

    @property
    def looker(self) -> type[Reader] | None:
        """The class of the engine; None without an engine."""
        return None if self.engine == "none" else reader_class(self.engine, REGIONS)

    @property
    def of_engine(self) -> Any:
        """The engine's block."""
        return REGIONS.settings_of(self.engine, self, {})

    def unread(self) -> frozenset[str]:
        return frozenset(LOOKERS) - {self.engine}


class Regions(Stage):
    """Describes regions in the frames of many videos. The schema is tables.REGIONS."""

    name: ClassVar[str] = "regions"
    version: ClassVar[int] = 1
    settings_class: ClassVar[type[Settings]] = RegionsSettings

    def __init__(self, settings: RegionsSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._engine = settings.looker(settings.of_engine) if settings.looker is not None else None
        self._identity = Identity(settings.engine)

    @staticmethod
    def needs(settings: RegionsSettings) -> tuple[str, ...]:
        return ("keyframes",)

    @staticmethod
    def costly(settings: RegionsSettings) -> bool:
        return settings.looker is not None

    @staticmethod
    def resources(settings: RegionsSettings) -> Resources:
        return Resources(cpus=0.25) if settings.looker is None else settings.looker.resources(settings.of_engine)

    @staticmethod
    def amounts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        frames = [frame for row in rows if row["status"] == "ok" for frame in row["frames"]]
        return {"regions": sum(len(frame["regions"]) for frame in frames)}

    @staticmethod
    def check(settings: RegionsSettings, context: Context) -> None:
        if settings.looker is not None:
            settings.looker.check(settings.of_engine)

    def open(self) -> None:
        if self._engine is not None:
            self._identity = self._engine.open()

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()

    def run(self, items: Iterator[Item]) -> Iterator[Row]:
        if self._engine is None:
            return (self._row(item.id, [], 0, None) for item in items)
        return read_videos(items, self._engine, self.settings.frames_per_clip, self._row)

    def _row(self, item_id: str, read: list[Reading], lost: int, why: StageError | None) -> Row:
        """The row: ok, partial if some frames could not be read."""
        fields: dict[str, Any] = {
            **self._identity.columns(),
            "frames": [
                {
                    "clip": frame.clip,
                    "frame": frame.frame,
                    "regions": [line_fields(line) for line in lines[: self.settings.most]],
                }
                for frame, lines in read
            ],
        }
        return Row(item_id, fields, partial=bool(lost), message=lost_message(read, lost, why))
