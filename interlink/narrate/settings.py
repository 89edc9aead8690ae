"""The settings of narrate: engine, style, history and the checks of answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from interlink.engines.settings import ChatSettings, VllmSettings, WriterSettings
from interlink.engines.writer import GROUP, WRITERS, Writer, check_writer, writer_class
from interlink.narrate.template import Template
from interlink.settings import Settings, added, operational

Style = Literal["howto_interlink", "fuse", "short", "dense", "none"]


class CheckSettings(Settings):
    """Checks of an answer. Each check has a flag; a clip is asked for once more if its answer fails a check."""

    least_tokens: int = Field(3, ge=0, description="answers with fewer tokens: flag `short`")
    most_tokens: int = Field(200, ge=0, description="answers with more tokens: flag `long` (0 = no limit)")
    repetition: float = Field(0.3, ge=0, le=1, description="a larger share of repeated 4-grams: flag `repetition`")
    copied: float = Field(
        0.8,
        ge=0,
        le=1,
        description="a larger share of words in 5-grams of the speech: flag `copied` (1 = never)",
    )
    names: bool = Field(True, description="names that are not in the input of the model: flag `names`")
    refusal: bool = Field(True, description="phrases of refusal: flag `refusal`")
    language: str = Field("", description="two letters; answers in another language: flag `language`; empty = any")


class NarrateSettings(Settings):
    """How captions, speech and previous narrations become one narration."""

    style: Style = Field(
        "howto_interlink",
        description="howto_interlink (COSMO's, with history), fuse (CapsFusion's), short, dense, none",
    )
    engine: str = Field(
        "openai",
        description="openai (any compatible server), transformers or vllm (a local model), or an entry point of "
        "interlink.writers",
    )
    options: dict[str, str | int | float | bool] = added({}, "options of a third-party engine")
    prompt: str = Field(
        "", description="a custom template instead of the style's, with the sections ## system, first, later, retry"
    )
    history_clips: int = Field(8, ge=0, description="number of previous narrations in a request")
    history_tokens: int = Field(600, ge=0, description="most tokens of these, the latest kept first (0 = no limit)")
    checks: CheckSettings = Field(CheckSettings(), description="checks of an answer")
    openai: ChatSettings = Field(ChatSettings(), description="settings of the openai engine")
    transformers: WriterSettings = Field(WriterSettings(), description="settings of the transformers engine")
    vllm: VllmSettings = Field(VllmSettings(), description="settings of the vllm engine")
    cache: bool = operational(True, description="keep every answer in ROOT/cache, so that no request is sent twice")

    @property
    def writer(self) -> type[Writer]:
        """The class of the engine. Raises UserError where it cannot be imported."""
        return writer_class(self.engine)

    @property
    def of_engine(self) -> BaseModel | Mapping[str, Any]:
        """The settings of the engine: its block, or `options` for a third-party engine."""
        return GROUP.settings_of(self.engine, self, self.options)

    def unread(self) -> frozenset[str]:
        unused = set(WRITERS) - ({self.engine} if self.style != "none" else set())
        return frozenset(unused | ({"options"} if self.engine in type(self).model_fields else set()))

    @field_validator("engine")
    @classmethod
    def _known(cls, engine: str) -> str:
        return check_writer(engine)

    @field_validator("prompt")
    @classmethod
    def _whole(cls, prompt: str) -> str:
        if prompt:
            Template.parse(prompt)
        return prompt
