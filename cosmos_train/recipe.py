"""What a training run is: typed settings read from YAML, unknown keys refused with the nearest valid name.

Light: nothing here imports torch. A recipe is saved with every checkpoint, so a checkpoint says how it came to be.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cosmos_train.errors import UserError

BUNDLED = Path(__file__).parent / "recipes"


class Settings(BaseModel):
    """Base of every block: unknown keys are refused, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ImageSettings(Settings):
    size: int = Field(default=224, gt=0, description="side of the square frame the vision tower sees, pixels")
    fit: Literal["squash", "crop"] = Field(
        default="squash",
        description="squash: the whole frame, aspect ratio not kept (the paper's); crop: the middle square",
    )
    stored_scale: float = Field(
        default=1.25,
        ge=1,
        description="frames are decoded to `size` times this before the random crop, and cached at that size",
    )
    smallest_crop: float = Field(
        default=0.8, gt=0, le=1, description="a training crop keeps at least this share of each side"
    )
    flip: float = Field(default=0.0, ge=0, le=1, description="probability that a clip is mirrored in training")
    jitter: float = Field(
        default=0.1, ge=0, lt=1, description="training brightness and contrast vary by up to this share, per clip"
    )


class DataSettings(Settings):
    shards: str | list[str] = Field(
        default="", description="a build, a folder with MANIFEST.json, a tar, a glob, or a list of these"
    )
    text: list[Literal["narration", "caption", "speech", "ocr"]] = Field(
        default=["narration", "caption", "speech"],
        min_length=1,
        description="which text of a clip to learn: the first that is there",
    )
    clips_per_sample: int = Field(default=2, gt=0, description="adjacent clips of one document in a training sample")
    frames_per_clip: int = Field(
        default=3, gt=0, description="frames per clip, one from each of so many equal runs of its frames"
    )
    max_tokens: int = Field(default=128, gt=3, description="length at which a sample is cut, tokens")
    image: ImageSettings = ImageSettings()
    workers: int = Field(default=0, ge=0, description="processes that read and decode; 0 reads in the training process")
    cache_megabytes: int = Field(
        default=512,
        ge=0,
        description="decoded frames kept in memory, MB per reading process; no effect on what is learned",
    )
    max_bad_share: float = Field(
        default=0.05, ge=0, le=1, description="stop when more than this share of samples cannot be read"
    )


class VisionSettings(Settings):
    name: str = Field(default="", description="an open_clip model name (ViT-L-14); empty: built from `config`")
    pretrained: str = Field(default="", description="open_clip tag or a local file with the weights of `name`")
    config: dict[str, Any] = Field(
        default={}, description="fields of open_clip's CLIPVisionCfg, for a tower from scratch"
    )
    frozen: bool = Field(default=True, description="keep the tower's weights as they are (the paper's)")

    @model_validator(mode="after")
    def _one_source(self) -> VisionSettings:
        if bool(self.name) == bool(self.config):
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


class LanguageSettings(Settings):
    name: str = Field(
        default="", description="a Hugging Face causal LM: hub id or local folder; empty: built from `config`"
    )
    config: dict[str, Any] = Field(
        default={}, description="model_type and fields of its Hugging Face config, for an LM from scratch"
    )
    vocabulary: int = Field(
        default=2048, gt=300, description="size of the byte-level BPE trained on the shards (LM from scratch)"
    )

    @model_validator(mode="after")
    def _one_source(self) -> LanguageSettings:
        if bool(self.name) == bool(self.config):
            raise ValueError("give either `name` or `config`")
        return self


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


class ModelSettings(Settings):
    vision: VisionSettings
    resampler: ResamplerSettings = ResamplerSettings()
    language: LanguageSettings
    fusion: FusionSettings = FusionSettings()
    embedding_width: int = Field(default=512, gt=0, description="width of the contrastive space")
    temperature: float = Field(
        default=0.07, gt=0, description="initial contrastive temperature; similarities are divided by it"
    )
    paper_compat: bool = Field(
        default=False,
        description="as released: attention scaled for wide heads; with attend=all, text before media averages it",
    )


class ObjectiveSettings(Settings):
    language_weight: float = Field(default=1.0, ge=0, description="weight of the language-model loss")
    contrastive_weight: float = Field(default=1.0, ge=0, description="weight of the contrastive loss")
    pairs: Literal["first", "every"] = Field(
        default="first",
        description="contrast the first clip of a sample (free), or every clip (one more pass of the LM's first half)",
    )


class OptimiserSettings(Settings):
    lr: float = Field(default=5e-4, gt=0, description="peak learning rate")
    gate_lr_scale: float = Field(
        default=1.0,
        gt=0,
        description="the cross-attention gates learn this much faster; short runs need it to open them",
    )
    warmup_steps: int = Field(default=500, ge=0, description="steps of linear warm-up")
    final_lr_share: float = Field(default=0.0, ge=0, le=1, description="the cosine ends at this share of `lr`")
    betas: tuple[float, float] = Field(default=(0.9, 0.95), description="AdamW's averaging factors")
    weight_decay: float = Field(
        default=0.1, ge=0, description="on matrices only: not on biases, norms, gates, embeddings or latents"
    )
    clip_norm: float = Field(default=1.0, gt=0, description="gradients are scaled down to this global norm")


class TrainSettings(Settings):
    steps: int = Field(gt=0, description="optimiser steps")
    batch_size: int = Field(gt=0, description="samples per forward pass")
    accumulation: int = Field(
        default=1, gt=0, description="forward passes per step; the contrastive loss contrasts within each"
    )
    precision: Literal["fp32", "bf16"] = Field(
        default="bf16", description="arithmetic of the forward pass; weights stay fp32"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: a GPU where there is one")
    threads: int = Field(default=0, ge=0, description="CPU threads; 0 leaves it to torch")
    log_every: int = Field(default=10, gt=0, description="steps between lines of metrics")
    save_every: int = Field(default=1000, gt=0, description="steps between checkpoints; one is always saved at the end")
    keep: int = Field(default=3, gt=0, description="checkpoints kept")


class Recipe(Settings):
    name: str = Field(description="what the run is called")
    seed: int = Field(default=0, ge=0, description="of the weights, the order of samples and their augmentation")
    data: DataSettings = DataSettings()
    model: ModelSettings
    objective: ObjectiveSettings = ObjectiveSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    train: TrainSettings


def load(source: str, settings: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML file, or the bundled one of that name, with `key=value` settings applied.

    Raises UserError (code 2) for a missing file, bad YAML, an unknown key (naming the nearest) or a bad value.
    """
    path = Path(source)
    if not path.is_file():
        path = BUNDLED / f"{source}.yaml"
    if not path.is_file():
        bundled = sorted(found.stem for found in BUNDLED.glob("*.yaml"))
        raise UserError(f"there is no recipe {source}", f"give a YAML file, or one of: {', '.join(bundled)}", 2)
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {error}", "mend the file", 2) from error
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no settings", "a recipe is a mapping of keys to values", 2)
    return build(values, settings, str(path))


def build(values: dict[str, Any], settings: Sequence[str], source: str) -> Recipe:
    """Validates `values` with `key=value` settings applied; errors name `source`."""
    for setting in settings:
        _apply(values, setting)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UserError(
            f"{source}: {_explain(error)}", "see `cosmos_train keys` for what a recipe may hold", 2
        ) from None


def dump(recipe: Recipe) -> str:
    """The recipe as YAML, every default spelled out; `load` reads it back."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def describe(model: type[BaseModel] = Recipe, prefix: str = "") -> list[tuple[str, str, str]]:
    """(dotted key, default, description) of everything a recipe may hold, in order."""
    found: list[tuple[str, str, str]] = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += describe(inner, f"{prefix}{name}.")
        else:
            default = "required" if field.is_required() else repr(field.default)
            found.append((f"{prefix}{name}", default, field.description or ""))
    return found


def _apply(values: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise UserError(f"--set {setting} is not key=value", "for example: --set train.steps=100", 2)
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {setting}: the value is not YAML", "quote it", 2) from error
    *parents, last = key.split(".")
    block = values
    for parent in parents:
        inner = block.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise UserError(f"--set {key}: {parent} is no block of settings", "see `cosmos_train keys`", 2)
        block = inner
    block[last] = value


def _explain(error: ValidationError) -> str:
    """One line: unknown keys with their nearest valid name first, else what is wrong with the values."""
    found = error.errors()
    unknown = [e for e in found if e["type"] == "extra_forbidden"]
    lines = []
    for one in unknown or found:
        key = ".".join(str(part) for part in one["loc"])
        if one["type"] == "extra_forbidden":
            valid = [name for name, _, _ in describe()]
            valid += sorted({name.rpartition(".")[0] for name in valid if "." in name})
            close = difflib.get_close_matches(key, valid, n=1, cutoff=0.0)
            lines.append(f"unknown key {key} (did you mean {close[0]}?)")
        else:
            lines.append(f"{key}: {one['msg'].removeprefix('Value error, ')}" if key else one["msg"])
    return "; ".join(lines)
