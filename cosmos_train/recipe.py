"""The recipe of a training run: typed settings read from YAML. An unknown key is refused with the nearest valid name.

Light: nothing here imports torch. A recipe is saved with every checkpoint, so each checkpoint records its settings.
"""

from __future__ import annotations

import difflib
import operator
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
CHAINS = BUNDLED / "chains"  # recipes with several stages, see `experiments.chain`


class OptimiserSettings(Settings):
    """AdamW and its schedule."""

    lr: float = Field(default=5e-4, gt=0, description="peak learning rate")
    gate_lr_scale: float = Field(
        default=1.0,
        gt=0,
        description="factor on the learning rate of the cross-attention gates; short runs need it to open them",
    )
    warmup_steps: int = Field(default=500, ge=0, description="steps of linear warm-up")
    final_lr_share: float = Field(default=0.0, ge=0, le=1, description="the cosine ends at this share of `lr`")
    betas: tuple[float, float] = Field(default=(0.9, 0.95), description="AdamW's averaging factors")
    eps: float = Field(default=1e-8, gt=0, description="AdamW's term that avoids division by zero")
    weight_decay: float = Field(
        default=0.1, ge=0, description="of matrices only, not of biases, norms, gates, embeddings or latents"
    )
    clip_norm: float = Field(default=1.0, ge=0, description="gradients are scaled down to this global norm; 0: never")


class TrainSettings(Settings):
    """Steps, batches, precision, checkpoints and logs."""

    steps: int = Field(gt=0, description="optimiser steps")
    batch_size: int = Field(
        gt=0, description="samples per forward pass over all processes; each process takes its share"
    )
    accumulation: int = Field(
        default=1, gt=0, description="forward passes per step; objective.pool sets which samples are contrasted"
    )
    per_process: int = Field(
        default=0,
        ge=0,
        exclude_if=operator.not_,
        description="samples per forward pass of a process, at most (times batch_scale): a larger batch is cut into "
        "several passes, so a step is the same on any number of processes; 0: not cut",
    )
    start_from: str = Field(
        default="",
        description="initial weights: a run, a checkpoint or an exported model; a dense model becomes the experts if "
        "the recipe has experts",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto",
        description="number type of the forward pass; weights stay fp32; auto: bf16 on a GPU, fp32 on a CPU; "
        "fp16 scales the loss",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: a GPU if there is one")
    threads: int = Field(default=0, ge=0, description="CPU threads; 0: torch decides")
    ema_decay: float = Field(
        default=0.0, ge=0, lt=1, description="keep a moving average of the weights with this decay; 0: none"
    )
    log_every: int = Field(default=10, gt=0, description="steps between lines of metrics")
    save_every: int = Field(default=1000, gt=0, description="steps between checkpoints; the last step is always saved")
    keep: int = Field(default=3, gt=0, description="number of checkpoints to keep")
    wandb: str = Field(default="", description="Weights & Biases project to log to in addition; empty: none")
    peak_tflops: float = Field(
        default=0.0, ge=0, description="peak of the device, for the MFU; 0: look it up (common GPUs)"
    )
    profile_at: int = Field(
        default=0, ge=0, description="write a profiler trace of this step and the two after it; 0: none"
    )

    @field_validator("start_from", mode="before")
    @classmethod
    def _nothing(cls, value: Any) -> Any:
        return "" if value is None else value  # `--set train.start_from=` gives None

    def passes(self, world_size: int) -> tuple[int, int]:
        """(samples of a forward pass over all processes, forward passes of a step) on so many processes."""
        if not self.per_process or self.batch_size <= self.per_process * world_size:
            return self.batch_size, self.accumulation
        least = -(-self.batch_size // (self.per_process * world_size))
        even = (n for n in range(least, self.batch_size + 1) if self.batch_size % (n * world_size) == 0)
        parts = next(even, 1)  # none: the stream says that processes cannot share the batch
        return self.batch_size // parts, self.accumulation * parts


class ParallelSettings(Settings):
    """How processes share the model."""

    mode: Literal["ddp", "fsdp", "hsdp"] = Field(
        default="ddp",
        description="how processes share the model: each has a copy (ddp), one copy in shards (fsdp), or one copy in "
        "shards per group of `shard_size` (hsdp)",
    )
    shard_size: int = Field(
        default=0, ge=0, description="hsdp: processes that share a copy; 0: the processes of one node"
    )
    reshard: bool = Field(
        default=True,
        description="fsdp, hsdp: free a block's weights between forward and backward (ZeRO-3); false keeps them "
        "(ZeRO-2)",
    )
    recompute_every: int = Field(
        default=0, ge=0, description="recompute the activations of every n-th block in backward; 1: all, 0: none"
    )
    compile: bool = Field(default=False, description="compile each block with torch.compile")
    timeout_seconds: int = Field(
        default=600, gt=0, description="how long a process waits for the others before it fails"
    )


class GuardSettings(Settings):
    """What happens when the loss is not finite or jumps."""

    spike: float = Field(
        default=8.0,
        ge=0,
        description="a loss this many deviations above its moving mean is a spike, recorded with its samples; 0: off",
    )
    window: int = Field(default=100, gt=1, description="steps covered by the moving mean and deviation")
    on_spike: Literal["record", "skip", "stop"] = Field(
        default="record", description="what to do at a spike: record it only, skip the step, or stop"
    )
    max_skipped: int = Field(
        default=0,
        ge=0,
        description="consecutive steps that may be skipped because loss or gradient is not finite; then the run stops",
    )
    max_records: int = Field(default=5, ge=0, description="records to keep per run, each with a checkpoint")


class ProbeSettings(Settings):
    """Scores of held-out clips during training: docs/how-to/evaluate.md."""

    every: int = Field(default=0, ge=0, description="steps between probes; one more runs at the end; 0: none")
    shards: str | list[str] = Field(default="", description="held-out shards, as data.shards")
    clips: int = Field(default=256, ge=2, description="clips to score, starting with the first")
    candidates: int = Field(default=64, ge=2, description="texts among which a clip must find its own")
    draws: int = Field(default=10, gt=0, description="random draws of `candidates` clips")
    max_tokens: int = Field(default=40, gt=0, description="longest caption, tokens")
    slots: str = Field(
        default="", description="JSON table of slots: {slot: {value: [words]}}; empty: the sample world's"
    )
    fit: int = Field(
        default=0,
        ge=0,
        description="cosmos, cumo: pictures of the training shards to fit linear probes on; 0: none",
    )
    questions: str = Field(
        default="",
        description="cosmos: JSON of questions that swap a word of a sentence: {name: {slot, with: [words], without: "
        "[words]}}; empty: the sample world's",
    )

    @model_validator(mode="after")
    def _of_something(self) -> ProbeSettings:
        if self.every and not self.shards:
            raise ValueError("`every` needs `shards`, the shards to probe")
        return self


class Recipe(Settings):
    """A training run."""

    name: str = Field(description="name of the run")
    seed: int = Field(default=0, ge=0, description="seed of the weights, the order of samples and their augmentation")
    data: DataSettings = DataSettings()
    model: ModelSettings
    objective: ObjectiveSettings = ObjectiveSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    train: TrainSettings
    parallel: ParallelSettings = ParallelSettings()
    guard: GuardSettings = GuardSettings()
    probe: ProbeSettings = ProbeSettings()


def load(source: str, settings: Sequence[str] = ()) -> Recipe:
    """Loads the recipe in a YAML file, or the bundled recipe of that name, and applies `key=value` settings.

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
        raise UserError(f"{path} is not YAML: {error}", "fix the file", 2) from error
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no settings", "a recipe is a mapping of keys to values", 2)
    if "stages" in values:
        raise UserError(f"{path} is a chain of recipes", "give it to cosmos_train run, launch or ablate", 2)
    return build(values, settings, str(path))


def build(values: dict[str, Any], settings: Sequence[str], source: str) -> Recipe:
    """Validates `values` with `key=value` settings applied. Errors name `source`."""
    for setting in settings:
        apply(values, setting)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UserError(
            f"{source}: {_explain(error)}", "see `cosmos_train keys` for what a recipe may hold", 2
        ) from None


def dump(recipe: Recipe) -> str:
    """The recipe as YAML with all defaults. `load` reads it back."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def describe(model: type[BaseModel] = Recipe, prefix: str = "") -> list[tuple[str, str, str]]:
    """(dotted key, default, description) of every setting of a recipe, in order."""
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
    """Applies `key=value` to nested `values`; the value is read as YAML. Raises UserError (code 2)."""
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
            raise UserError(f"--set {key}: {parent} is not a block of settings", "see `cosmos_train keys`", 2)
        block = inner
    block[last] = value


def _explain(error: ValidationError) -> str:
    """One line: unknown keys with their nearest valid name if there are any, else what is wrong with the values."""
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
