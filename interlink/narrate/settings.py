"""The settings of narrate: who writes, in which style, how much it remembers, what is wrong with an answer."""

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
    """What is wrong with an answer. Each check has a flag; an answer that fails one is asked for once more."""

    least_tokens: int = Field(3, ge=0, description="shorter answers are `short`")
    most_tokens: int = Field(200, ge=0, description="longer answers are `long` (0 = no limit)")
    repetition: float = Field(0.3, ge=0, le=1, description="more repeated 4-grams than this share are `repetition`")
    copied: float = Field(
        0.8, ge=0, le=1, description="more than this share of words in 5-grams of the speech are `copied` (1 = never)"
    )
    names: bool = Field(True, description="a name that nothing the model was told has is `names`")
    refusal: bool = Field(True, description="phrases with which models refuse are `refusal`")
    language: str = Field("", description="two letters: an answer in another language is `language`; empty = any")


class NarrateSettings(Settings):
    """How captions, speech and what was told before become one telling."""

    style: Style = Field(
        "howto_interlink",
        description="howto_interlink (remembers, COSMO's), fuse (caption + speech, CapsFusion's), short, dense, none",
    )
    engine: str = Field(
        "openai",
        description="openai (any compatible server), transformers or vllm (a model run here), or an entry point of "
        "interlink.writers",
    )
    options: dict[str, str | int | float | bool] = added({}, "options of a third-party engine")
    prompt: str = Field(
        "", description="a template of your own in the place of the style's: sections ## system, first, later, retry"
    )
    history_clips: int = Field(8, ge=0, description="so many tellings before are remembered")
    history_tokens: int = Field(600, ge=0, description="… of at most this many tokens, the latest first (0 = no limit)")
    checks: CheckSettings = Field(CheckSettings(), description="what is wrong with an answer")
    openai: ChatSettings = Field(ChatSettings(), description="settings of the openai engine")
    transformers: WriterSettings = Field(WriterSettings(), description="settings of the transformers engine")
    vllm: VllmSettings = Field(VllmSettings(), description="settings of the vllm engine")
    cache: bool = operational(True, description="keep every answer below ROOT/cache, so that none is asked for twice")

    @property
    def writer(self) -> type[Writer]:
        """The class of the engine. UserError where it cannot be imported."""
        return writer_class(self.engine)

    @property
    def of_engine(self) -> BaseModel | Mapping[str, Any]:
        """What the engine is made from: its block; of a third-party engine its options."""
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
