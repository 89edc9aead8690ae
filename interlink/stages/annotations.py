"""annotations: reads published texts with times, which later stages use instead of making their own.

`transcribe` uses the speech instead of subtitles, keyframes.segmenter `annotations` the times of the clips, and
caption.engine `annotations` their texts. Costs one lookup in an indexed file (interlink.annotations) and, for times
that count from where a player begins, a read of the media file's header.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from interlink.annotations.settings import AnnotationSource, AnnotationsSettings
from interlink.errors import Dropped, UserError
from interlink.settings import Settings
from interlink.stage import Context, Item, PerItem, Resources, Row

if TYPE_CHECKING:
    from interlink.annotations.entries import Span
    from interlink.annotations.file import AnnotationFile

KINDS = ("clips", "speech")
SOURCE_LIST = "source list"  # the column `file` for texts from the source list


class Annotations(PerItem):
    """One row per item: the texts of its clips, and its speech. The schema is tables.ANNOTATIONS."""

    name: ClassVar[str] = "annotations"
    version: ClassVar[int] = 2
    isolated: ClassVar[bool] = True  # it opens media files to read their clock
    settings_class: ClassVar[type[Settings]] = AnnotationsSettings

    def __init__(self, settings: AnnotationsSettings, context: Context) -> None:
        super().__init__(settings, context)
        self.settings: AnnotationsSettings = settings
        self._files: dict[str, AnnotationFile] = {}

    @staticmethod
    def needs(settings: AnnotationsSettings) -> tuple[str, ...]:
        return ("download",)

    @staticmethod
    def resources(settings: AnnotationsSettings) -> Resources:
        return Resources(cpus=0.25)

    @staticmethod
    def check(settings: AnnotationsSettings, context: Context) -> None:
        if not (settings.clips.wanted or settings.speech.wanted):
            raise UserError(
                "the stage annotations has nothing to read", "set annotations.clips.path or .speech.path", 2
            )
        for kind, path in (("clips", settings.clips.path), ("speech", settings.speech.path)):
            if path and not Path(path).expanduser().is_file():
                raise UserError(f"cannot read {path}: there is no such file", f"check annotations.{kind}.path", 2)

    def open(self) -> None:
        """Raises UserError where no file is named, or a file is missing or holds no annotations."""
        from interlink.annotations.file import AnnotationFile

        self.check(self.settings, self.context)
        for kind in KINDS:
            if path := self._source(kind).path:
                self._files[kind] = AnnotationFile(path, f"annotations.{kind}.path", self.context.root)

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def process(self, item: Item) -> Row:
        """Raises Dropped (not_annotated) where a file does not have the item and the recipe requires it."""
        from interlink.annotations.entries import Span, disjoint

        found: dict[str, list[Span] | None] = {kind: self._find(kind, item) for kind in KINDS}
        wanted = any(found[kind] and self._shifts(kind) for kind in KINDS)
        offset = _player_start(item) if wanted else 0.0
        fields: dict[str, Any] = {"clock_offset": offset}
        for kind in KINDS:
            spans = found[kind]
            if spans is None:
                fields[kind] = None
                continue
            if self._shifts(kind):
                spans = [Span(s.text, round(s.start + offset, 6), round(s.end + offset, 6)) for s in spans]
            spans = disjoint(spans) if kind == "clips" else spans
            file = self._files.get(kind)
            origin = {"file": file.name, "revision": file.revision} if file else {"file": SOURCE_LIST, "revision": ""}
            fields[kind] = {**origin, "spans": [asdict(span) for span in spans]}
        return Row(item.id, fields)

    def _source(self, kind: str) -> AnnotationSource:
        return self.settings.clips if kind == "clips" else self.settings.speech

    def _shifts(self, kind: str) -> bool:
        return kind in self._files and self._source(kind).clock == "player"

    def _find(self, kind: str, item: Item) -> list[Span] | None:
        """The spans of the item; None where they are not wanted, or missing and the recipe allows it."""
        from interlink.annotations.listed import of_source

        source, listed = self._source(kind), item.rows["collect"]
        if not source.wanted:
            return None
        if kind in self._files:
            spans = self._files[kind].find(listed["video_id"] or "", item.id, listed["path"] or "")
            where = self._files[kind].name
        else:
            spans = of_source(source.columns, listed, item.rows["download"])
            where = _described(source.columns, listed["metadata"])
        if spans:
            return spans
        if source.missing == "drop":
            raise Dropped("not_annotated", f"{where} has no {kind} of {listed['video_id'] or item.id}")
        return None


def _described(columns: Sequence[str], metadata: str | None) -> str:
    """The source list by the columns that were asked; by those that it has, if it has none of these."""
    there = sorted(json.loads(metadata or "{}"))
    if not there or {*columns} & {*there, "title", "text", "speech"}:
        return f"the source list ({', '.join(columns)})"
    return f"the source list with the columns {', '.join(there)}, not {', '.join(columns)} (annotations.clips.columns),"


def _player_start(item: Item) -> float:
    if not item.rows["download"]["media"]:
        return 0.0  # no video, no clock
    from interlink.media.clock import presentation_start

    return presentation_start(item)
