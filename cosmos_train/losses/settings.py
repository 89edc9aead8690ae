"""The `objective` block of a recipe. Light: nothing here imports torch."""

from __future__ import annotations

import operator
from typing import Any, Literal

from pydantic import Field, field_validator

from cosmos_train.settings import Settings


class ObjectiveCompat(Settings):
    """Deviations of the released code from our defaults. `paper_compat: true` sets them all."""

    single_pairs: bool = Field(
        default=False, description="contrast only samples of one clip: interleaved samples have no contrastive loss"
    )
    mean_of_batches: bool = Field(
        default=False,
        description="the language loss of a step is the mean of its batches' means, regardless of token counts (of a "
        "CuMo, of each process's batches)",
    )
    own_process: bool = Field(default=False, description="contrast only within each process's batch")
    no_guard: bool = Field(default=False, description="clips with equal captions are negatives of each other")
    blank_pictures: bool = Field(
        default=False,
        exclude_if=operator.not_,
        description="cumo: each sample without a picture runs a blank one through tower and connector, which the "
        "routers' losses count",
    )


class TeacherSettings(Settings):
    """How COSMOS's teacher is updated."""

    momentum: float = Field(
        default=0.999, ge=0, lt=1, description="initial momentum: the share of itself that the teacher keeps at a step"
    )
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="constant (as in the released runs), or a cosine from `momentum` to 1"
    )
    order: Literal["after_step", "before_step"] = Field(
        default="after_step",
        description="update it after the optimiser step, or (as the released code) before it",
    )


class ObjectiveSettings(Settings):
    """The losses and their weights."""

    language_weight: float = Field(default=1.0, ge=0, description="weight of the language-model loss")
    contrastive_weight: float = Field(default=1.0, ge=0, description="weight of the contrastive loss")
    contrastive: Literal["infonce", "siglip"] = Field(
        default="infonce", description="symmetric softmax over the candidates (CLIP), or a sigmoid per pair (SigLIP)"
    )
    pairs: Literal["first", "every"] = Field(
        default="first",
        description="contrast the first clip of a sample (free), or every clip (one more pass of the LM's first half)",
    )
    pool: Literal["step", "batch"] = Field(
        default="step",
        description="candidates under accumulation: all batches of one source in a step together (their towers run "
        "twice), or each batch by itself",
    )
    clip_weight: float = Field(default=1.0, ge=0, description="cosmos: weight of the contrastive loss over views")
    distill_weight: float = Field(
        default=1.0,
        ge=0,
        description="cosmos: weight of the distillation loss; 0 trains a plain CLIP, and runs neither teacher nor "
        "cross-attention",
    )
    teacher: TeacherSettings = TeacherSettings()
    balance_weight: float = Field(
        default=0.1,
        ge=0,
        description="with experts: weight of the load-balance loss (the loss is 1 if all are used equally)",
    )
    router_z_weight: float = Field(
        default=0.01, ge=0, description="with experts: weight of the squared log-sum-exp of the gates' logits"
    )
    paper_compat: ObjectiveCompat = ObjectiveCompat()
    options: dict[str, Any] = Field(
        default={}, exclude_if=operator.not_, description="settings of a third-party objective, which validates them"
    )

    @field_validator("paper_compat", mode="before")
    @classmethod
    def _all_or_none(cls, value: Any) -> Any:
        return dict.fromkeys(ObjectiveCompat.model_fields, value) if isinstance(value, bool) else value
