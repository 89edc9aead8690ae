"""The part of a run that learns: the model over all processes, its optimiser, moving average and step callback.

It carries no random state: each step seeds its own from (seed, step, rank).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from cosmos_train.families.base import Family, Numbers, StepContext
from cosmos_train.models.ema import MovingAverage
from cosmos_train.recipe import Recipe
from cosmos_train.train import checkpoint
from cosmos_train.train.checkpoint import Loaded
from cosmos_train.train.optim import build_optimiser, learning_rate, set_learning_rate
from cosmos_train.train.parallel import World, clip, no_sync, parallelize
from cosmos_train.train.precision import autocast, compute_dtype


class Learner:
    """model: as built by the family; parallelized: the module to call; average: of the weights, None if not kept."""

    def __init__(self, recipe: Recipe, family: Family, model: nn.Module, world: World) -> None:
        """model: on the device, with its initial weights."""
        self.recipe, self.family, self.model, self.world = recipe, family, model, world
        dtype = compute_dtype(recipe, world.device)
        self.parallelized = parallelize(model, family.compute, recipe.parallel, world, dtype)
        self.learning = [p for p in model.parameters() if p.requires_grad]
        self.optimiser = build_optimiser(model, recipe.optimiser, world.device, family.decays)
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=dtype == torch.float16)
        self.average = MovingAverage(model, recipe.train.ema_decay) if recipe.train.ema_decay else None
        self.callback = family.step_callback(model, recipe)
        self._context = StepContext(
            partial(autocast, recipe, world.device),
            lambda loss: self.scaler.scale(loss).backward(),  # type: ignore[no-untyped-call]
            partial(no_sync, self.parallelized),
        )

    @property
    def rate(self) -> float:
        rate: float = self.optimiser.param_groups[0]["lr"]
        return rate

    def restore(self, saved: Loaded) -> None:
        """Reads weights, optimiser state and moving average from a checkpoint."""
        average = self.average.tensors if self.average else None
        checkpoint.restore(saved, self.model, self.optimiser, average, self.world)
        if saved.state.scaler and self.scaler.is_enabled():
            self.scaler.load_state_dict(saved.state.scaler)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors to save in a checkpoint."""
        return checkpoint.tensors_of(self.model, self.optimiser, self.average.tensors if self.average else None)

    def compute(self, batches: Sequence[Any], step: int) -> tuple[Numbers, float]:
        """Computes the step's clipped gradients. Returns its losses over all ranks, and the norm before clipping."""
        torch.manual_seed(_seed(self.recipe.seed, step, self.world.rank))
        there = [batch.to(self.world.device) for batch in batches]
        losses = self.family.step(self.parallelized, there, self.recipe, self._context)
        self.scaler.unscale_(self.optimiser)
        norm = float(clip(self.learning, self.recipe.optimiser.clip_norm or math.inf))
        return dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True)), norm

    def set_rate(self, step: int) -> None:
        """Sets the learning rate of a step."""
        set_learning_rate(self.optimiser, learning_rate(step, self.recipe.train.steps, self.recipe.optimiser))

    def update(self, step: int, skip: bool) -> None:
        """Takes the optimiser step, unless it is skipped; then clears the gradients."""
        if not skip:
            self.callback.before_step(step)
            self.scaler.step(self.optimiser)
            self.callback.after_step(step)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        if self.average is not None and not skip:
            self.average.update(step + 1)


def _seed(seed: int, step: int, rank: int) -> int:
    """Seed of the random numbers (dropout) of `rank` in a step: the same whenever the step is computed."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{step}/{rank}".encode(), digest_size=7).digest(), "little")
