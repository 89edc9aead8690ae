"""The `data` block of a recipe: the shards, how samples are cut, mixed and packed, and how frames are decoded."""

from __future__ import annotations

import operator
from typing import Literal

from pydantic import Field, model_validator

from cosmos_train.errors import UserError
from cosmos_train.settings import Settings
from cosmos_train.stream.talk.settings import TalkSettings
from cosmos_train.stream.views.settings import ViewSettings

Role = Literal["narration", "caption", "speech", "ocr"]


class ImageSettings(Settings):
    """How pictures are decoded, cropped and augmented."""

    size: int = Field(default=224, gt=0, description="side of the square frames for the vision tower, pixels")
    fit: Literal["squash", "crop"] = Field(
        default="squash",
        description="squash: the whole frame, aspect ratio not kept (as in the paper); crop: the middle square",
    )
    stored_scale: float = Field(
        default=1.25,
        ge=1,
        description="JPEG is decoded at 1/2, 1/4 or 1/8 if that leaves at least `size` times this",
    )
    smallest_crop: float = Field(
        default=0.8, gt=0, le=1, description="a training crop keeps at least this share of each side"
    )
    flip: float = Field(default=0.0, ge=0, le=1, description="probability that a clip is mirrored in training")
    jitter: float = Field(
        default=0.1, ge=0, lt=1, description="training brightness and contrast vary by up to this share, per clip"
    )
    paper_compat: bool = Field(
        default=False,
        exclude_if=operator.not_,
        description="cosmo: augment as the released code: exact decodes, crops of 8 to 100 % of the area, mirrored at "
        "0.5, AutoAugment; then smallest_crop, flip and jitter have no effect",
    )


class PackSettings(Settings):
    """Several samples in one row of tokens."""

    tokens: int = Field(default=0, ge=0, description="tokens of a packed row; 0: one sample per row")
    images: int = Field(default=64, gt=0, description="largest number of frames in a packed row")
    window: int = Field(
        default=512,
        gt=0,
        description="samples to pack together; larger windows fill rows better",
    )


class SourceSettings(Settings):
    """One data type of a mixture. Settings that are not given here are those of `data`."""

    shards: str | list[str] = Field(description="as data.shards")
    weight: float = Field(
        default=1.0, gt=0, description="its weight in a `weighted` mixture, in units of data.weigh_by"
    )
    batch_scale: float = Field(
        default=1.0, gt=0, description="factor on its batch size (the paper: 2 for pairs, 0.5 for video)"
    )
    text: list[Role] | None = Field(default=None, min_length=1, description="as data.text")
    clips_per_sample: int | None = Field(default=None, gt=0, description="as data.clips_per_sample")
    frames_per_clip: int | None = Field(default=None, gt=0, description="as data.frames_per_clip")
    max_tokens: int | None = Field(default=None, gt=3, description="as data.max_tokens")


class DataSettings(Settings):
    """What is read, in which order, and how a sample is made of it."""

    shards: str | list[str] = Field(
        default="", description="a build, a folder with MANIFEST.json, a tar, a glob, or a list of these"
    )
    sources: dict[str, SourceSettings] = Field(
        default={}, description="instead of `shards`: data types by name, each with its shards, weight and lengths"
    )
    mixture: Literal["round_robin", "weighted"] = Field(
        default="round_robin",
        description="order of the sources of batches: in turn (as in the paper), or by weight",
    )
    weigh_by: Literal["samples", "tokens", "images"] = Field(
        default="samples", description="unit of the weights of the sources"
    )
    epoch: Literal["min", "max", "weighted"] = Field(
        default="min",
        description="an epoch ends when the first source (the paper's best) or the last source has been seen once, "
        "or after as many samples as all sources hold together",
    )
    text: list[Role] = Field(
        default=["narration", "caption", "speech"],
        min_length=1,
        description="text of a clip to learn: the first of these that exists",
    )
    learn_lead: bool = Field(
        default=False, description="also learn the text of a page before its first image (the paper does not)"
    )
    clips_per_sample: int = Field(default=2, gt=0, description="adjacent clips of one document in a training sample")
    frames_per_clip: int = Field(
        default=3, gt=0, description="frames per clip, one from each of this many equal parts of it"
    )
    max_tokens: int = Field(default=128, gt=3, description="largest length of a sample, tokens; longer ones are cut")
    form: Literal["clips", "views", "talk"] = Field(
        default="clips",
        description="what a sample is: clips in order (CosMo), views of one picture (COSMOS), or pictures with "
        "conversations about them (CuMo)",
    )
    views: ViewSettings = ViewSettings()
    talk: TalkSettings = TalkSettings()
    pack: PackSettings = PackSettings()
    image: ImageSettings = ImageSettings()
    match_threshold: float = Field(default=0.24, description="MMC4: smallest similarity of an image and its sentence")
    match_noise: float = Field(
        default=0.04,
        ge=0,
        description="MMC4: deviation of the noise (at most 0.08) that varies the matching between epochs",
    )
    workers: int = Field(default=0, ge=0, description="processes that read and decode; 0 reads in the training process")
    cache_megabytes: int = Field(
        default=512,
        ge=0,
        description="decoded frames kept in memory, MB per reading process; no effect on results",
    )
    max_bad_share: float = Field(
        default=0.05, ge=0, le=1, description="stop if more than this share of samples cannot be read"
    )
    stall_seconds: float = Field(
        default=120.0,
        gt=0,
        description="a batch that takes longer is reported with its shard and, with workers, stops the run",
    )

    @model_validator(mode="after")
    def _one_way(self) -> DataSettings:
        if self.sources and self.shards:
            first = next(iter(self.sources))
            raise ValueError(
                f"has the sources {', '.join(self.sources)}: give shards to each, as in data.sources.{first}.shards, "
                "or remove all sources (data.sources={}) to use only data.shards"
            )
        if self.form != "clips" and (self.pack.tokens or (self.mixture == "weighted" and self.weigh_by != "samples")):
            raise ValueError(f"with form: {self.form}, rows are not packed, and mixtures are weighed by samples")
        for name, source in self.named():
            if self.pack.tokens and source.max_tokens > self.pack.tokens:
                raise ValueError(f"pack.tokens is less than the max_tokens of {name}")
            if self.pack.tokens and source.clips_per_sample * source.frames_per_clip > self.pack.images:
                raise ValueError(f"pack.images is less than the frames of one sample of {name}")
        return self

    def named(self) -> list[tuple[str, DataSettings]]:
        """(name, settings as if it were alone) of every source, in the recipe's order."""
        if not self.sources:
            return [("data", self)]
        return [
            (
                name,
                self.model_copy(
                    update={"sources": {}}
                    | {
                        key: value
                        for key in ("shards", "text", "clips_per_sample", "frames_per_clip", "max_tokens")
                        if (value := getattr(source, key)) is not None
                    }
                ),
            )
            for name, source in self.sources.items()
        ]

    def places(self) -> list[str]:
        """The recipe's key for the shards of every source, in the same order."""
        return [f"data.sources.{name}.shards" for name in self.sources] or ["data.shards"]

    def shares(self) -> list[tuple[float, float]]:
        """(weight, batch_scale) of every source, in the same order."""
        return [(source.weight, source.batch_scale) for source in self.sources.values()] or [(1.0, 1.0)]


def rows_of(data: DataSettings, batch_size: int, world_size: int) -> list[int]:
    """The rows of a global batch of every source. Raises UserError if the processes cannot share them evenly."""
    found = []
    for (name, _), (_, scale) in zip(data.named(), data.shares(), strict=True):
        rows = round(batch_size * scale)
        if rows < 1 or rows % world_size:
            raise UserError(
                f"a batch of {rows} rows of {name} cannot be shared evenly by {world_size} processes",
                "set train.batch_size (times batch_scale) to a multiple of their number",
                2,
            )
        found.append(rows)
    return found
