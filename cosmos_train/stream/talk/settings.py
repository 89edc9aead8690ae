"""The `data.talk` block of a recipe. Light: imports pydantic alone."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cosmos_train.settings import Settings

Prompt = Literal["plain", "mistral_instruct", "mistral_instruct_system", "vicuna_v1"]


class TalkSettings(Settings):
    prompt: Prompt = Field(
        default="mistral_instruct_system",
        description="how turns become text; plain: the picture and the answer alone, without the question",
    )
    image_tokens: int = Field(
        default=576, gt=0, description="places that a picture takes in a row: the patches of its smallest scale"
    )
    pad: bool = Field(
        default=True, description="pictures are made square by borders of the mean colour, else by cutting the middle"
    )
    group_batches: int = Field(
        default=0, ge=0, description="batches are of samples alike in length and modality, sorted within so many; 0: no"
    )
