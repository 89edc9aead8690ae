"""OCR by a vision-language model: asks a caption engine to transcribe frames. Gives no boxes and no scores.

Costs what that engine costs per frame. For scripts and layouts that small OCR models cannot read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from interlink.engines.captioner import GROUP, Captioner, ClipRequest, Identity, captioner_class, make_captioner
from interlink.engines.reader import FrameRequest, FrameText, Line, Reader
from interlink.engines.settings import OpenAISettings, TransformersSettings
from interlink.errors import StageError
from interlink.settings import Settings
from interlink.stage import Resources

NOTHING = "NONE"
PROMPT = (
    "Write down all text that can be read in this image, exactly as it is written, its lines separated by ' | '. "
    f"Add nothing else. If there is no text, write {NOTHING}."
)


class CaptionReaderSettings(Settings):
    """A caption engine that transcribes."""

    engine: Literal["openai", "transformers"] = Field("openai", description="the caption engine")
    prompt: str = Field(PROMPT, description="the prompt; `|` separates the lines of the answer")
    transformers: TransformersSettings = Field(
        TransformersSettings(),
        description="settings of the transformers engine",
    )
    openai: OpenAISettings = Field(
        OpenAISettings(),
        description="settings of the openai engine",
    )

    @property
    def asked(self) -> BaseModel | Mapping[str, Any]:
        """The block of the chosen engine."""
        return GROUP.settings_of(self.engine, self, {})

    def unread(self) -> frozenset[str]:
        return frozenset(("transformers", "openai")) - {self.engine}


class CaptionReader(Reader):
    """The engine `caption`: sends each frame as a clip."""

    settings_class: ClassVar[type[Settings] | None] = CaptionReaderSettings

    def __init__(self, settings: CaptionReaderSettings) -> None:
        super().__init__(settings)
        self._engine: Captioner = make_captioner(settings.engine, settings.asked, settings.prompt)

    @staticmethod
    def resources(settings: CaptionReaderSettings) -> Resources:
        return captioner_class(settings.engine).resources(settings.asked)

    @staticmethod
    def check(settings: CaptionReaderSettings) -> None:
        captioner_class(settings.engine).check(settings.asked)

    def open(self) -> Identity:
        return self._engine.open()

    def close(self) -> None:
        self._engine.close()

    def read(self, requests: Iterable[FrameRequest]) -> Iterator[FrameText]:
        clips = (
            ClipRequest(request.id, request.frame, frames=(request.image,), times=(0.0,), start=0.0, end=0.0)
            for request in requests
        )
        for answer in self._engine.caption(clips):
            error = answer.error
            if answer.flag == "refused":
                error = StageError("model", "the model refused to read a frame")
            yield FrameText(answer.id, answer.clip, lines_of(answer.caption), error)


def lines_of(answer: str) -> tuple[Line, ...]:
    """The lines of a transcription, in order; no lines if the answer says that there is no text."""
    texts = [text.strip(" `\t") for text in re.split(r"[|\n]", answer)]
    texts = [text for text in texts if text]
    if len(texts) == 1 and texts[0].strip(".*\"' ").upper() == NOTHING:
        return ()
    return tuple(Line(text) for text in texts)
