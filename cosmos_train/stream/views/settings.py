"""The `data.views` block of a recipe. Light: imports pydantic alone."""

from __future__ import annotations

import operator
from typing import Literal

from pydantic import Field

from cosmos_train.settings import Settings


class ViewSettings(Settings):
    """Crops of a picture and parts of its caption (`data.form: views`)."""

    global_views: int = Field(default=2, gt=0, description="large crops of a picture, and captions of 1 to `sentences`")
    local_views: int = Field(default=6, ge=0, description="small crops of a picture, and captions of one sentence")
    local_size: int = Field(default=96, gt=0, description="side of a small crop, pixels; a multiple of the patch")
    crop_scale: float = Field(
        default=0.4, gt=0.05, le=1, description="smallest share of the area in large crops, and largest in small crops"
    )
    sentences: int = Field(default=5, gt=0, description="largest number of sentences of a large caption")
    augment: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="factor on the probabilities of colour jitter, grey, blur and solarising; not of flips and crops",
    )
    captions: Literal["auto", "dreamlip", "pixelprose", "document", "text"] = Field(
        default="auto",
        description="source of the sentences: DreamLIP's seven json fields, PixelProse's two, the clips of our "
        "documents (all of their texts in data.text), or a pair's own text; auto: the first of these "
        "that a sample has",
    )
    whole_original: bool = Field(
        default=False,
        exclude_if=operator.not_,
        description="PixelProse's original_caption is one entry of the pool, as in the released code; else it is split "
        "into sentences like the other fields",
    )
