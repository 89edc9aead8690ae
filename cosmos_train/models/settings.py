"""The `model` block of a recipe. Light: nothing here imports torch."""

from __future__ import annotations

import operator
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cosmos_train.settings import Settings


class VisionSettings(Settings):
    """The image tower."""

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
        default=None, description="mean of red, green and blue (0 to 1) that the tower expects; none: its default"
    )
    std: tuple[float, float, float] | None = Field(
        default=None, description="deviation of red, green and blue that the tower expects; none: its default"
    )
    frozen: bool = Field(default=True, description="do not train the tower (as in the paper)")

    @model_validator(mode="after")
    def _one_source(self) -> VisionSettings:
        if self.name and self.config:
            raise ValueError("give either `name` or `config`")
        return self


class ResamplerSettings(Settings):
    """CosMo's resampler: a fixed number of vectors for all frames of a clip."""

    depth: int = Field(default=6, gt=0, description="layers")
    heads: int = Field(default=8, gt=0, description="attention heads")
    head_width: int = Field(default=64, gt=0, description="width of a head")
    latents: int = Field(
        default=64, gt=0, description="tokens per clip for the language model; one more is the contrastive query"
    )
    frame_time: bool = Field(
        default=True, description="give the resampler the time of each frame (the released code does not)"
    )
    frozen: bool = Field(default=False, description="do not train the resampler")


class LanguageSettings(Settings):
    """The language model."""

    name: str = Field(
        default="", description="a Hugging Face causal LM: hub id or local folder; empty: built from `config`"
    )
    config: dict[str, Any] = Field(
        default={},
        description="model_type and other fields of its Hugging Face config, for an LM from scratch; with `name`: "
        "fields that its config must match",
    )
    vocabulary: int = Field(
        default=2048, gt=300, description="size of the byte-level BPE trained on the shards (LM from scratch)"
    )
    trained: Literal["auto", "all", "embeddings", "new_tokens", "none"] = Field(
        default="auto",
        description="the part of the LM to train: everything, its input embeddings, only rows for `<visual>` and "
        "`<|endofchunk|>`, or nothing; auto: new_tokens with `name`, else all",
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        default="float32", description="number type of a frozen LM; bfloat16 needs train.precision bf16"
    )

    @model_validator(mode="after")
    def _learnable_type(self) -> LanguageSettings:
        if self.dtype == "bfloat16" and self.learns in ("all", "embeddings"):
            raise ValueError("trained weights must be float32: set dtype to float32, or `trained` to new_tokens")
        return self

    @property
    def learns(self) -> Literal["all", "embeddings", "new_tokens", "none"]:
        """`trained` with auto resolved."""
        if self.trained != "auto":
            return self.trained
        return "new_tokens" if self.name else "all"


class FusionSettings(Settings):
    """CosMo's gated cross-attention between the halves of the language model."""

    unimodal_depth: int = Field(
        default=12, gt=0, description="number of LM layers before the first cross-attention: the text encoder half"
    )
    interval: int = Field(
        default=2, gt=0, description="a gated cross-attention block before every n-th layer of the second half"
    )
    heads: int = Field(default=8, gt=0, description="attention heads")
    head_width: int = Field(default=64, gt=0, description="width of a head before the bottleneck")
    bottleneck: int = Field(
        default=2, gt=0, description="cross-attention and its feed-forward are narrower by this ratio"
    )
    attend: Literal["immediate", "all"] = Field(
        default="immediate", description="text sees the frames of its own clip, or all frames before it"
    )
    frozen: bool = Field(default=False, description="do not train the cross-attention blocks and their gates")

    @model_validator(mode="after")
    def _divisible(self) -> FusionSettings:
        if self.heads * self.head_width % (self.heads * self.bottleneck):
            raise ValueError(f"head_width {self.head_width} is not a multiple of bottleneck {self.bottleneck}")
        return self


class ModelCompat(Settings):
    """Deviations of the released code from our defaults. `paper_compat: true` sets them all."""

    attention_scale: bool = Field(
        default=False, description="divide cross-attention by the root of the head width before the bottleneck"
    )
    average_before_media: bool = Field(
        default=False,
        description="with attend: all, text before any media sees the average of all media instead of nothing",
    )
    temperature: bool = Field(
        default=False,
        description="similarities are scaled by e^0.2 at first, without a bound; `temperature` has no effect",
    )
    pool_padding: bool = Field(default=False, description="the text query pools padding, too")
    earlier_half: bool = Field(default=False, description="the text query sees the states one layer before the split")
    imagenet_pixels: bool = Field(
        default=False, description="frames are normalised with ImageNet's mean and deviation, not the tower's own"
    )
    upsampled_scales: bool = Field(
        default=False,
        exclude_if=operator.not_,
        description="cumo: pictures have the tower's size, and larger scales are enlarged from it (bicubic); then "
        "data.image.size is the tower's",
    )


class ExpertSettings(Settings):
    """Experts in place of dense feed-forward networks."""

    count: int = Field(default=0, ge=0, description="experts in each block; 0: dense")
    top_k: int = Field(default=2, gt=0, description="experts per token")
    places: list[Literal["vision", "connector", "text", "language"]] = Field(
        default=["vision", "connector"],
        min_length=1,
        description="networks to replace by mixtures: of the vision tower, CuMo's connector, COSMOS's text tower, a "
        "gated language model",
    )

    @model_validator(mode="after")
    def _enough(self) -> ExpertSettings:
        if self.count and self.top_k > self.count:
            raise ValueError(f"top_k {self.top_k} is more than the {self.count} experts")
        return self


class ConnectorSettings(Settings):
    """CuMo's connector between vision tower and language model."""

    scales: list[int] = Field(
        default=[1, 3], min_length=1, description="scales of a picture: whole (1), and cut into n x n tiles (n)"
    )
    frozen: bool = Field(default=False, description="do not train the connector")

    @field_validator("scales")
    @classmethod
    def _ascending(cls, value: list[int]) -> list[int]:
        if value[0] != 1 or sorted(set(value)) != value:
            raise ValueError("scales must start with 1 and ascend")
        return value


class ModelSettings(Settings):
    """The model: its family and its parts."""

    kind: str = Field(
        default="cosmo",
        description="kind of model family: cosmo; cosmos, a self-distilled CLIP; cumo, an LM with a vision connector; "
        "or a third-party kind",
    )
    vision: VisionSettings = VisionSettings()
    resampler: ResamplerSettings = ResamplerSettings()
    language: LanguageSettings = LanguageSettings()
    fusion: FusionSettings = FusionSettings()
    embedding_width: int = Field(default=512, gt=0, description="width of the contrastive space")
    embedding_frozen: bool = Field(
        default=False, description="do not train the text query, both projections and the temperature"
    )
    temperature: float = Field(
        default=0.07, gt=0, description="initial contrastive temperature; similarities are divided by it"
    )
    pooler_heads: int = Field(default=8, gt=0, description="cosmos: attention heads of both cross-attention poolers")
    connector: ConnectorSettings = ConnectorSettings()
    experts: ExpertSettings = ExpertSettings()
    paper_compat: ModelCompat = ModelCompat()
    options: dict[str, Any] = Field(
        default={}, exclude_if=operator.not_, description="settings of a third-party model family, which validates them"
    )

    @field_validator("paper_compat", mode="before")
    @classmethod
    def _all_or_none(cls, value: Any) -> Any:
        return dict.fromkeys(ModelCompat.model_fields, value) if isinstance(value, bool) else value
