"""caption: captions every clip with an engine of `interlink.engines`. Costs what that engine costs.

Batches mix clips of many videos. Frames are read when the engine asks for more, so that memory holds only clips in
work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from pydantic import BaseModel, Field, field_validator, model_validator

from interlink.engines.cache import AnswerCache, CachedCaptioner
from interlink.engines.captioner import (
    ENGINES,
    GROUP,
    Captioner,
    ClipCaption,
    ClipRequest,
    Identity,
    captioner_class,
    check_engine,
    make_captioner,
)
from interlink.engines.frames import read_frame
from interlink.engines.lines import written_in_clips
from interlink.engines.settings import (
    AnnotatedSettings,
    CheckpointSettings,
    OpenAISettings,
    TranscriptSettings,
    TransformersSettings,
    VllmCaptionSettings,
)
from interlink.engines.speech import sentences_of_clips, speech_of_clips
from interlink.errors import StageError
from interlink.settings import Settings, added, operational
from interlink.shards.document import join
from interlink.stage import Context, Item, Resources, Row, Stage, failed

# Flags that are not faults of the engine.
_EXPECTED = ("", "no_speech", "no_frames", "not_annotated", "length", "unfamiliar")


class CaptionSettings(Settings):
    """The caption engine and its prompt."""

    engine: str = Field(
        "transcript",
        description="transcript (the speech in the clip), annotations (published texts), transformers, vllm, "
        "openai, checkpoint (checkpoint:FOLDER, checkpoint:sample-world), or an entry point of interlink.captioners",
    )
    options: dict[str, str | int | float | bool] = added({}, "options of a third-party engine")
    prompt: str = Field(
        "",
        description="the prompt; {title}, {speech} and {ocr} (needs ocr) are replaced; empty = the engine's default",
    )
    transcript: TranscriptSettings = Field(TranscriptSettings(), description="settings of the transcript engine")
    annotations: AnnotatedSettings = added(AnnotatedSettings(), "settings of the annotations engine")
    transformers: TransformersSettings = Field(
        TransformersSettings(),
        description="settings of the transformers engine",
    )
    vllm: VllmCaptionSettings = Field(
        VllmCaptionSettings(),
        description="settings of the vllm engine",
    )
    openai: OpenAISettings = Field(
        OpenAISettings(),
        description="settings of the openai engine",
    )
    checkpoint: CheckpointSettings = Field(
        CheckpointSettings(),
        description="settings of the checkpoint engine",
    )

    cache: bool = operational(
        True,
        description="keep every answer in ROOT/cache, so that no clip is sent twice (not of free engines)",
    )

    @model_validator(mode="before")
    @classmethod
    def _in_one_word(cls, values: Any) -> Any:
        """Splits `engine: checkpoint:FOLDER` into the engine and its model."""
        engine = values.get("engine") if isinstance(values, dict) else None
        if not isinstance(engine, str) or not engine.startswith("checkpoint:"):
            return values
        given = values.get("checkpoint") or {}
        given = given.model_dump() if isinstance(given, CheckpointSettings) else dict(given)
        return {**values, "engine": "checkpoint", "checkpoint": {**given, "model": engine.partition(":")[2]}}

    @property
    def captioner(self) -> type[Captioner]:
        """The class of the engine. Raises UserError where it cannot be imported."""
        return captioner_class(self.engine)

    @property
    def of_engine(self) -> BaseModel | Mapping[str, Any]:
        """The settings of the engine: its block, or `options` for a third-party engine."""
        return GROUP.settings_of(self.engine, self, self.options)

    def unread(self) -> frozenset[str]:
        unused = set(ENGINES) - {self.engine}
        return frozenset(unused | ({"options"} if self.engine in type(self).model_fields else set()))

    @field_validator("engine")
    @classmethod
    def _known(cls, engine: str) -> str:
        return check_engine(engine)


@dataclass
class _Open:
    """A video with clips that are not captioned yet."""

    clips: int
    file: str = ""  # the annotation file, and its revision
    revision: str = ""
    answers: dict[int, ClipCaption] = field(default_factory=dict)


class Caption(Stage):
    """Captions the clips of many videos. The schema is tables.CAPTION."""

    name: ClassVar[str] = "caption"
    version: ClassVar[int] = 3
    settings_class: ClassVar[type[Settings]] = CaptionSettings

    def __init__(self, settings: CaptionSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._engine: Captioner = make_captioner(settings.engine, settings.of_engine, settings.prompt)
        self._asked: Captioner | CachedCaptioner = self._engine
        self._identity = Identity(settings.engine)

    @staticmethod
    def needs(settings: CaptionSettings) -> tuple[str, ...]:
        further = settings.captioner.tables(settings.of_engine)
        written = ("ocr",) if "{ocr}" in settings.prompt else ()
        return tuple(dict.fromkeys(("keyframes", "transcribe", "download", *further, *written)))

    @staticmethod
    def costly(settings: CaptionSettings) -> bool:
        return not settings.captioner.free

    @staticmethod
    def resources(settings: CaptionSettings) -> Resources:
        return settings.captioner.resources(settings.of_engine)

    @staticmethod
    def together(settings: CaptionSettings) -> int:
        """How many videos the stage wants at once, so that batches are full even with small partitions."""
        return settings.captioner.parallel(settings.of_engine)

    @staticmethod
    def amounts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        clips = [clip for row in rows if row["status"] == "ok" for clip in row["clips"]]
        counts = {"clips": len(clips), "tokens": sum(clip["tokens"] or 0 for clip in clips)}
        unfamiliar = sum(clip["flag"] == "unfamiliar" for clip in clips)
        return counts | ({"flagged unfamiliar": unfamiliar} if unfamiliar else {})

    @staticmethod
    def check(settings: CaptionSettings, context: Context) -> None:
        make_captioner(settings.engine, settings.of_engine, settings.prompt)  # raises UserError for wrong options
        settings.captioner.check(settings.of_engine)

    def open(self) -> None:
        self._identity = self._engine.open()
        if self.settings.cache and not self._engine.free:
            fresh = self.context.fresh.get(self.name, 0)
            cache = AnswerCache(self.context.root, self.name, self._identity, fresh)
            self._asked = CachedCaptioner(self._engine, cache, self._identity.prompt)

    def close(self) -> None:
        self._engine.close()

    def run(self, items: Iterator[Item]) -> Iterator[Row]:
        open_videos: dict[str, _Open] = {}
        ready: deque[Row] = deque()
        for answer in self._asked.caption(self._requests(items, open_videos, ready)):
            video = open_videos.get(answer.id)
            if video is not None:  # otherwise it has failed in the meantime
                video.answers[answer.clip] = answer
                if len(video.answers) == video.clips:
                    ready.append(self._row(answer.id, open_videos.pop(answer.id)))
            while ready:
                yield ready.popleft()
        yield from ready

    def _requests(
        self, items: Iterator[Item], open_videos: dict[str, _Open], ready: deque[Row]
    ) -> Iterator[ClipRequest]:
        for item in items:
            clips = item.rows["keyframes"]["clips"]
            # An engine that repeats annotations gets its provenance from the annotation file.
            given = _annotated(item) if self._engine.free else {}
            video = _Open(len(clips), given.get("file", ""), given.get("revision", ""))
            if not clips:
                ready.append(self._row(item.id, video))
                continue
            open_videos[item.id] = video
            try:
                yield from self._of_item(item)
            except StageError as error:
                open_videos.pop(item.id, None)
                ready.append(failed(item.id, error))

    def _of_item(self, item: Item) -> Iterator[ClipRequest]:
        clips = item.rows["keyframes"]["clips"]
        speech = speech_of_clips(clips, item.rows["transcribe"]["sentences"])
        annotated = sentences_of_clips(clips, _annotated(item).get("spans", ()))
        title = item.rows["collect"]["title"] or item.rows["download"]["title"] or ""
        written = written_in_clips(item.rows["ocr"]) if "ocr" in item.rows else {}
        for number, clip in enumerate(clips):
            frames = sorted(clip["frames"], key=lambda frame: frame["time"])
            images = () if self._engine.free else tuple(read_frame(item, f["image"]) for f in frames)
            yield ClipRequest(
                id=item.id,
                clip=number,
                frames=images,
                times=tuple(frame["time"] for frame in frames),
                start=clip["start"],
                end=clip["end"],
                speech=speech[number].text,
                title=title,
                annotation=join(span["text"] for span in annotated[number]),
                ocr="; ".join(written.get(number, ())),
            )

    def _row(self, item_id: str, video: _Open) -> Row:
        """The row: ok, partial if the engine refused some clips, failed if it refused all or another error occurred."""
        answers = [video.answers[number] for number in range(video.clips)]
        faults = [answer.error for answer in answers if answer.error is not None]
        for fault in faults:
            if fault.error_class != "model":  # a retry of the clip may succeed
                return failed(item_id, fault)
        lost = [answer for answer in answers if answer.error is not None or answer.flag not in _EXPECTED]
        message = ""
        if lost:
            why = str(lost[0].error or f"answer {lost[0].flag}")
            message = f"no caption for {len(lost)} of {len(answers)} clips: {why}"
        if lost and len(lost) == len(answers):
            return failed(item_id, StageError("model", message))
        identity = self._identity
        if video.file:  # its texts are the captions
            identity = replace(identity, model=video.file, revision=video.revision or identity.revision)
        fields: dict[str, Any] = {
            **identity.columns(),
            "clips": [
                {
                    "clip": a.clip,
                    "caption": a.caption,
                    "flag": "error" if a.error else a.flag,
                    "fit": a.fit,
                    "tokens": a.tokens or None,
                }
                for a in answers
            ],
        }
        return Row(item_id, fields, partial=bool(lost), message=message)


def _annotated(item: Item) -> Mapping[str, Any]:
    """The annotations of the item's clips; empty where the engine does not read them, or the item has none."""
    return (item.rows["annotations"]["clips"] or {}) if "annotations" in item.rows else {}
