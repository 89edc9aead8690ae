"""What a training run is: typed settings read from YAML, unknown keys refused with the nearest valid name.

Light: nothing here imports torch. A recipe is saved with every checkpoint, so a checkpoint says how it came to be.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from cosmos_train.errors import UserError
from cosmos_train.losses.settings import ObjectiveSettings
from cosmos_train.models.settings import ModelSettings
from cosmos_train.settings import Settings
from cosmos_train.stream.settings import DataSettings

BUNDLED = Path(__file__).parent / "recipes"
CHAINS = BUNDLED / "chains"  # recipes of several stages: `chain`


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
    eps: float = Field(default=1e-8, gt=0, description="AdamW's term that keeps it from dividing by nothing")
    weight_decay: float = Field(
        default=0.1, ge=0, description="on matrices only: not on biases, norms, gates, embeddings or latents"
    )
    clip_norm: float = Field(default=1.0, ge=0, description="gradients are scaled down to this global norm; 0: never")


class TrainSettings(Settings):
    steps: int = Field(gt=0, description="optimiser steps")
    batch_size: int = Field(
        gt=0, description="samples per forward pass, over all processes together: each takes its share of them"
    )
    accumulation: int = Field(
        default=1, gt=0, description="forward passes per step; see objective.pool for what is contrasted"
    )
    start_from: str = Field(
        default="",
        description="a run, a checkpoint or an exported model whose weights this one begins with; a dense one becomes "
        "the experts that the recipe asks for",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto",
        description="arithmetic of the forward pass, the weights stay fp32; auto: bf16 on a GPU, fp32 on a CPU; "
        "fp16 scales the loss",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: a GPU where there is one")
    threads: int = Field(default=0, ge=0, description="CPU threads; 0 leaves it to torch")
    ema_decay: float = Field(
        default=0.0, ge=0, lt=1, description="keep a moving average of the weights with this decay; 0: none"
    )
    log_every: int = Field(default=10, gt=0, description="steps between lines of metrics")
    save_every: int = Field(default=1000, gt=0, description="steps between checkpoints; one is always saved at the end")
    keep: int = Field(default=3, gt=0, description="checkpoints kept")
    wandb: str = Field(default="", description="Weights & Biases project to log to as well; empty: none")
    peak_tflops: float = Field(
        default=0.0, ge=0, description="what the device can do at most, for the MFU; 0: as known of common GPUs"
    )
    profile_at: int = Field(
        default=0, ge=0, description="write a profiler trace of this step and the two after it; 0: none"
    )

    @field_validator("start_from", mode="before")
    @classmethod
    def _nothing(cls, value: Any) -> Any:
        return "" if value is None else value  # what `--set train.start_from=` says


class ParallelSettings(Settings):
    mode: Literal["ddp", "fsdp", "hsdp"] = Field(
        default="ddp",
        description="how several processes share the model: each a copy (ddp), one in shards (fsdp), a copy in shards "
        "per group of `shard_size` (hsdp)",
    )
    shard_size: int = Field(default=0, ge=0, description="hsdp: processes that share a copy; 0: those of one node")
    reshard: bool = Field(
        default=True,
        description="fsdp, hsdp: let go of a block's weights between forward and backward (ZeRO-3); false keeps them "
        "(ZeRO-2)",
    )
    recompute_every: int = Field(
        default=0, ge=0, description="recompute the activations of every so many-th block in backward; 1: all, 0: none"
    )
    compile: bool = Field(default=False, description="compile each block with torch.compile")
    timeout_seconds: int = Field(
        default=600, gt=0, description="how long a process waits for the others before it gives up"
    )


class GuardSettings(Settings):
    spike: float = Field(
        default=8.0,
        ge=0,
        description="a loss this many deviations above its moving mean is a spike: recorded with its samples; 0: off",
    )
    window: int = Field(default=100, gt=1, description="steps that the moving mean and deviation look back")
    on_spike: Literal["record", "skip", "stop"] = Field(
        default="record", description="what to do at a spike: only record it, leave its step out, or stop"
    )
    max_skipped: int = Field(
        default=0,
        ge=0,
        description="steps in a row that may be left out because their loss or gradient is no number, before it stops",
    )
    max_records: int = Field(default=5, ge=0, description="records kept of one run, each with a checkpoint")


class ProbeSettings(Settings):
    """Held-out clips that are captioned and looked for on the way: docs/evaluation.md."""

    every: int = Field(default=0, ge=0, description="steps from one probe to the next, and at the end; 0: none")
    shards: str | list[str] = Field(default="", description="shards that are not trained on, as data.shards")
    clips: int = Field(default=256, ge=2, description="clips looked at, from the first on")
    candidates: int = Field(default=64, ge=2, description="texts that a clip's own is to be found among")
    draws: int = Field(default=10, gt=0, description="random draws of so many clips")
    max_tokens: int = Field(default=40, gt=0, description="longest caption")
    slots: str = Field(
        default="", description="JSON of what captions say: {slot: {value: [words]}}; empty: the sample world's"
    )
    fit: int = Field(
        default=0,
        ge=0,
        description="cosmos, cumo: pictures of the training shards that linear probes are fitted on; 0: none",
    )
    questions: str = Field(
        default="",
        description="cosmos: JSON of sentences whose words are exchanged: {name: {slot, with: [words], without: "
        "[words]}}; empty: the sample world's",
    )

    @model_validator(mode="after")
    def _of_something(self) -> ProbeSettings:
        if self.every and not self.shards:
            raise ValueError("`every` needs `shards`: what is probed")
        return self


class Recipe(Settings):
    name: str = Field(description="what the run is called")
    seed: int = Field(default=0, ge=0, description="of the weights, the order of samples and their augmentation")
    data: DataSettings = DataSettings()
    model: ModelSettings
    objective: ObjectiveSettings = ObjectiveSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    train: TrainSettings
    parallel: ParallelSettings = ParallelSettings()
    guard: GuardSettings = GuardSettings()
    probe: ProbeSettings = ProbeSettings()


def load(source: str, settings: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML file, or the bundled one of that name, with `key=value` settings applied.

    Raises UserError (code 2) for a missing file, bad YAML, an unknown key (naming the nearest) or a bad value.
    """
    path = Path(source)
    if not path.is_file():
        path = BUNDLED / f"{source}.yaml"
    if not path.is_file() and (CHAINS / f"{source}.yaml").is_file():
        path = CHAINS / f"{source}.yaml"
    if not path.is_file():
        bundled = sorted(found.stem for folder in (BUNDLED, CHAINS) for found in folder.glob("*.yaml"))
        raise UserError(f"there is no recipe {source}", f"give a YAML file, or one of: {', '.join(bundled)}", 2)
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {error}", "mend the file", 2) from error
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no settings", "a recipe is a mapping of keys to values", 2)
    if "stages" in values:
        raise UserError(f"{path} is a chain of recipes", "give it to cosmos_train run, launch or ablate", 2)
    return build(values, settings, str(path))


def build(values: dict[str, Any], settings: Sequence[str], source: str) -> Recipe:
    """Validates `values` with `key=value` settings applied; errors name `source`."""
    for setting in settings:
        apply(values, setting)
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


def apply(values: dict[str, Any], setting: str) -> None:
    """Sets what `key=value` says in nested `values`, the value read as YAML. Raises UserError (code 2)."""
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
