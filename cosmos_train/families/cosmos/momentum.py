"""The teacher's update: teacher ← m · teacher + (1 - m) · student, once a step, shard by shard.

COSMOS keeps m constant (0.999 at 1k samples a step, 0.99 at 4k); a cosine schedule moves it to 1 (BYOL, DINO). The
original updates the teacher before the optimiser's step, so that it lags one update: `before_step`. Costs one fused
pass over the weights on this process, and no exchange.
"""

from __future__ import annotations

import math

import torch

from cosmos_train.families.cosmos.model import LARGEST_LOG_SCALE, Cosmos
from cosmos_train.losses.settings import TeacherSettings
from cosmos_train.models.sharded import local


def momentum(step: int, steps: int, settings: TeacherSettings) -> float:
    """m of step 0, 1, …, steps - 1."""
    if settings.schedule == "constant":
        return settings.momentum
    return 1 - (1 - settings.momentum) * (1 + math.cos(math.pi * step / steps)) / 2


class Teacher:
    """Updates the teacher of `model`, and clamps both logit scales of both halves to [1, 100]."""

    def __init__(self, model: Cosmos, settings: TeacherSettings, steps: int) -> None:
        self.settings, self.steps = settings, steps
        self._teacher = list(model.teacher.parameters())
        self._student = list(model.student.parameters())
        self._scales = [
            scale for one in (model.student, model.teacher) for scale in (one.logit_scale, one.distill_logit_scale)
        ]

    def before_step(self, step: int) -> None:
        """Called before optimiser step number `step`, from 0."""
        if self.settings.order == "before_step":
            self._follow(step)

    def after_step(self, step: int) -> None:
        with torch.no_grad():
            for scale in local(self._scales):
                scale.clamp_(0.0, LARGEST_LOG_SCALE)
        if self.settings.order == "after_step":
            self._follow(step)

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        share = 1 - momentum(step, self.steps, self.settings)
        torch._foreach_lerp_(list(local(self._teacher)), list(local(self._student)), share)
