"""The `model` block of a recipe. Light: nothing here imports torch."""

from __future__ import annotations

import operator
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cosmos_train.settings import Settings


class VisionSettings(Settings):
    name: str = Field(default="", description="an open_clip model name (ViT-L-14); empty: built from `config`")
    pretrained: str = Field(
        default="",
        description="open_clip tag or a local file with the weights of `name`; with `config` a local file in "
        "open_clip's layout, as `cosmos_train export` of a COSMOS writes it",
    )
    config: dict[str, Any] = Field(
        default={}, description="fields of open_clip's CLIPVisionCfg, for a tower from scratch"
    )
    mean: tuple[float, float, float] | None = Field(
        default=None, description="mean red, green and blue of pixels (0 to 1) that the tower expects; none: its own"
    )
    std: tuple[float, float, float] | None = Field(
        default=None, description="deviation of red, green and blue of pixels that it expects; none: its own"
    )
    frozen: bool = Field(default=True, description="keep the tower's weights as they are (the paper's)")

    @model_validator(mode="after")
    def _one_source(self) -> VisionSettings:
        if self.name and self.config:
            raise ValueError("give either `name` or `config`")
        return self


class ResamplerSettings(Settings):
    depth: int = Field(default=6, gt=0, description="layers")
    heads: int = Field(default=8, gt=0, description="attention heads")
    head_width: int = Field(default=64, gt=0, description="width of a head")
    latents: int = Field(
        default=64, gt=0, description="tokens per clip for the language model; one more is the contrastive query"
    )
    frame_time: bool = Field(
        default=True, description="tell the resampler when each frame was shown (the released code does not)"
    )
    frozen: bool = Field(default=False, description="keep the resampler's weights as they are")


class LanguageSettings(Settings):
    name: str = Field(
        default="", description="a Hugging Face causal LM: hub id or local folder; empty: built from `config`"
    )
    config: dict[str, Any] = Field(
        default={},
        description="model_type and fields of its Hugging Face config: of an LM from scratch, or, beside `name`, what "
        "the config found there must say",
    )
    vocabulary: int = Field(
        default=2048, gt=300, description="size of the byte-level BPE trained on the shards (LM from scratch)"
    )
    trained: Literal["auto", "all", "embeddings", "new_tokens", "none"] = Field(
        default="auto",
        description="what of the LM learns: everything, its input embeddings, only rows for `<visual>` and "
        "`<|endofchunk|>`, or nothing; auto: new_tokens with `name`, else all",
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        default="float32", description="number type of an LM that does not learn; bfloat16 needs train.precision bf16"
    )

    @model_validator(mode="after")
    def _learnable_type(self) -> LanguageSettings:
        if self.dtype == "bfloat16" and self.learns in ("all", "embeddings"):
            raise ValueError("weights that learn stay float32: set dtype to float32, or `trained` to new_tokens")
        return self

    @property
    def learns(self) -> Literal["all", "embeddings", "new_tokens", "none"]:
        """`trained` with auto decided."""
        if self.trained != "auto":
            return self.trained
        return "new_tokens" if self.name else "all"


class FusionSettings(Settings):
    unimodal_depth: int = Field(
        default=12, gt=0, description="LM layers before the first cross-attention: the text encoder half"
    )
    interval: int = Field(
        default=2, gt=0, description="a gated cross-attention block before every so many layers of the second half"
    )
    heads: int = Field(default=8, gt=0, description="attention heads")
    head_width: int = Field(default=64, gt=0, description="width of a head before the bottleneck")
    bottleneck: int = Field(
        default=2, gt=0, description="cross-attention and its feed-forward are narrower by this ratio"
    )
    attend: Literal["immediate", "all"] = Field(
        default="immediate", description="text sees its own clip's frames, or all before it"
    )
    frozen: bool = Field(default=False, description="keep the cross-attention blocks and their gates as they are")

    @model_validator(mode="after")
    def _divisible(self) -> FusionSettings:
        if self.heads * self.head_width % (self.heads * self.bottleneck):
            raise ValueError(f"head_width {self.head_width} is no multiple of bottleneck {self.bottleneck}")
        return self


class ModelCompat(Settings):
    """As the released code does it, where that differs from what we hold right. `paper_compat: true` sets all."""

    attention_scale: bool = Field(
        default=False, description="divide cross-attention by the root of the head width before the bottleneck"
    )
    average_before_media: bool = Field(
        default=False, description="with attend: all, text before any media sees the average of all, not nothing"
    )
    temperature: bool = Field(
        default=False, description="similarities times e^0.2 at first, without bound; `temperature` is not used"
    )
    pool_padding: bool = Field(default=False, description="the text query pools padding too")
    earlier_half: bool = Field(default=False, description="the text query sees the states one layer before the split")
    imagenet_pixels: bool = Field(
        default=False, description="frames are normalised with ImageNet's mean and deviation, not the tower's own"
    )


class ExpertSettings(Settings):
    count: int = Field(default=0, ge=0, description="experts in each block; 0: dense")
    top_k: int = Field(default=2, gt=0, description="experts that a token is sent to")
    places: list[Literal["vision", "connector", "text", "language"]] = Field(
        default=["vision", "connector"],
        min_length=1,
        description="which feed-forward networks are mixtures: the vision tower's, CuMo's connector, COSMOS's text "
        "tower, a gated language model's",
    )

    @model_validator(mode="after")
    def _enough(self) -> ExpertSettings:
        if self.count and self.top_k > self.count:
            raise ValueError(f"a token cannot go to {self.top_k} of {self.count} experts")
        return self


class ConnectorSettings(Settings):
    """CuMo's way from pictures to words."""

    scales: list[int] = Field(
        default=[1, 3], min_length=1, description="pictures are seen whole (1) and in tiles of so many a side"
    )
    frozen: bool = Field(default=False, description="keep the connector's weights as they are")

    @field_validator("scales")
    @classmethod
    def _ascending(cls, value: list[int]) -> list[int]:
        if value[0] != 1 or sorted(set(value)) != value:
            raise ValueError("scales begin with 1 and ascend")
        return value


class ModelSettings(Settings):
    kind: str = Field(
        default="cosmo",
        description="the model family: cosmo; cosmos, a self-distilled CLIP; cumo, an LM that sees through a "
        "connector; or a third-party one",
    )
    vision: VisionSettings = VisionSettings()
    resampler: ResamplerSettings = ResamplerSettings()
    language: LanguageSettings = LanguageSettings()
    fusion: FusionSettings = FusionSettings()
    embedding_width: int = Field(default=512, gt=0, description="width of the contrastive space")
    embedding_frozen: bool = Field(
        default=False, description="keep the text query, both projections and the temperature as they are"
    )
    temperature: float = Field(
        default=0.07, gt=0, description="initial contrastive temperature; similarities are divided by it"
    )
    pooler_heads: int = Field(default=8, gt=0, description="cosmos: attention heads of both cross-attention poolers")
    connector: ConnectorSettings = ConnectorSettings()
    experts: ExpertSettings = ExpertSettings()
    paper_compat: ModelCompat = ModelCompat()
    options: dict[str, Any] = Field(
        default={}, exclude_if=operator.not_, description="settings of a third-party model family, which checks them"
    )

    @field_validator("paper_compat", mode="before")
    @classmethod
    def _all_or_none(cls, value: Any) -> Any:
        return dict.fromkeys(ModelCompat.model_fields, value) if isinstance(value, bool) else value
