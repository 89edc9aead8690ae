"""The `data.talk` block of a recipe. Light: imports pydantic alone."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cosmos_train.settings import Settings

Prompt = Literal["plain", "mistral_instruct", "mistral_instruct_system", "vicuna_v1"]


class TalkSettings(Settings):
    """Conversations about one picture (`data.form: talk`)."""

    prompt: Prompt = Field(
        default="mistral_instruct_system",
        description="prompt version; plain: only the picture and the answer, without the question",
    )
    image_tokens: int = Field(
        default=576, gt=0, description="tokens of a picture in a row: the patches of its smallest scale"
    )
    pad: bool = Field(
        default=True, description="make pictures square by borders of the mean colour; false: by cropping the middle"
    )
    group_batches: int = Field(
        default=0,
        ge=0,
        description="group samples of similar length and modality, sorted within this many batches; 0: no",
    )
    group_by: Literal["length", "modality"] = Field(
        default="length",
        exclude_if=lambda value: value == "length",
        description="length: batches of similar length; modality: steps of one modality with samples of any length, "
        "spread so that processes get equal total lengths, as LLaVA's sampler does",
    )
