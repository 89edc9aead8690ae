"""caption: words for every clip, by an engine of `interlink.engines`. As slow as that engine; clips of many videos mix.

Frames are read when the engine asks for more, so that only what is in work is in memory.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from interlink.engines.cache import AnswerCache, CachedCaptioner
from interlink.engines.captioner import Captioner, ClipCaption, ClipRequest, Identity, check_engine, make_captioner
from interlink.engines.frames import read_frame
from interlink.engines.settings import CheckpointSettings, OpenAISettings, TransformersSettings
from interlink.engines.speech import speech_of_clips
from interlink.errors import StageError
from interlink.stage import Context, Item, Resources, Row, Settings, failed, operational

_EXPECTED = ("", "no_speech", "no_frames", "length")  # flags that are no fault of the engine


class TranscriptSettings(Settings):
    """The transcript engine has nothing to choose."""


class CaptionSettings(Settings):
    """Who captions, and how it is asked."""

    engine: str = Field(
        "transcript",
        description="transcript (the speech in the clip), transformers, openai, or checkpoint (checkpoint:FOLDER)",
    )
    prompt: str = Field(
        "", description="what the engine is asked; {title} and {speech} are filled in; empty = the engine's own"
    )
    transcript: TranscriptSettings = Field(TranscriptSettings(), description="settings of the transcript engine")
    transformers: TransformersSettings = Field(
        TransformersSettings(),
        description="settings of the transformers engine",
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
        True, description="keep every answer below ROOT/cache, so that none is asked for twice (not of transcript)"
    )

    @model_validator(mode="before")
    @classmethod
    def _in_one_word(cls, values: Any) -> Any:
        """`engine: checkpoint:FOLDER` is the engine and its path."""
        engine = values.get("engine") if isinstance(values, dict) else None
        if not isinstance(engine, str) or not engine.startswith("checkpoint:"):
            return values
        given = values.get("checkpoint") or {}
        given = given.model_dump() if isinstance(given, CheckpointSettings) else dict(given)
        return {**values, "engine": "checkpoint", "checkpoint": {**given, "path": engine.partition(":")[2]}}

    @field_validator("engine")
    @classmethod
    def _known(cls, engine: str) -> str:
        return check_engine(engine)


@dataclass
class _Open:
    """A video whose clips are not all captioned yet."""

    clips: int
    answers: dict[int, ClipCaption] = field(default_factory=dict)


class Caption:
    """Captions of the clips of many videos."""

    name: ClassVar[str] = "caption"
    version: ClassVar[int] = 1
    isolated: ClassVar[bool] = False
    scope: ClassVar[Literal["item", "run"]] = "item"
    settings_class: ClassVar[type[Settings]] = CaptionSettings

    def __init__(self, settings: CaptionSettings, context: Context) -> None:
        self.settings = settings
        self.context = context
        self._engine: Captioner = make_captioner(settings.engine, getattr(settings, settings.engine), settings.prompt)
        self._asked: Captioner | CachedCaptioner = self._engine
        self._identity = Identity(settings.engine)

    @staticmethod
    def needs(settings: CaptionSettings) -> tuple[str, ...]:
        return ("keyframes", "transcribe", "download")

    @staticmethod
    def costly(settings: CaptionSettings) -> bool:
        return settings.engine != "transcript"

    @staticmethod
    def resources(settings: CaptionSettings) -> Resources:
        if settings.engine in ("transformers", "checkpoint"):
            device: str = getattr(settings, settings.engine).device
            return Resources(cpus=1.0, gpus=float(device.startswith("cuda")))
        if settings.engine == "openai":
            return Resources(cpus=0.5, workers=1)  # `concurrency` is what the server is asked for, in all
        return Resources(cpus=0.25)

    def open(self) -> None:
        self._identity = self._engine.open()
        if self.settings.cache and self.settings.engine != "transcript":
            fresh = self.context.fresh.get(self.name, 0)
            cache = AnswerCache(self.context.root, self.name, self._identity, fresh)
            self._asked = CachedCaptioner(self._engine, cache, self._identity.prompt)

    def close(self) -> None:
        self._engine.close()

    def deadline(self, item: Item) -> float:
        return 3600.0

    def run(self, items: Iterator[Item]) -> Iterator[Row]:
        open_videos: dict[str, _Open] = {}
        ready: deque[Row] = deque()
        for answer in self._asked.caption(self._requests(items, open_videos, ready)):
            video = open_videos.get(answer.id)
            if video is not None:  # else it has failed in the meantime
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
            video = _Open(len(clips))
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
        title = item.rows["collect"]["title"] or item.rows["download"]["title"] or ""
        for number, clip in enumerate(clips):
            frames = sorted(clip["frames"], key=lambda frame: frame["time"])
            # The engine that only repeats the speech needs no pixels read.
            images = () if self.settings.engine == "transcript" else tuple(read_frame(item, f["image"]) for f in frames)
            yield ClipRequest(
                id=item.id,
                clip=number,
                frames=images,
                times=tuple(frame["time"] for frame in frames),
                start=clip["start"],
                end=clip["end"],
                speech=speech[number].text,
                title=title,
            )

    def _row(self, item_id: str, video: _Open) -> Row:
        """ok, partial where the engine refused some clips, failed where it refused all or something else went wrong."""
        answers = [video.answers[number] for number in range(video.clips)]
        faults = [answer.error for answer in answers if answer.error is not None]
        for fault in faults:
            if fault.error_class != "model":  # the clip may well succeed another time
                return failed(item_id, fault)
        lost = [answer for answer in answers if answer.error is not None or answer.flag not in _EXPECTED]
        message = ""
        if lost:
            why = str(lost[0].error or f"answer {lost[0].flag}")
            message = f"no caption for {len(lost)} of {len(answers)} clips: {why}"
        if lost and len(lost) == len(answers):
            return failed(item_id, StageError("model", message))
        identity = self._identity
        fields: dict[str, Any] = {
            "engine": identity.engine,
            "model": identity.model,
            "revision": identity.revision,
            "prompt_hash": identity.prompt_hash,
            "parameters": json.dumps(identity.parameters, sort_keys=True, separators=(",", ":")),
            "clips": [{"clip": a.clip, "caption": a.caption, "flag": "error" if a.error else a.flag} for a in answers],
        }
        return Row(item_id, fields, partial=bool(lost), message=message)
