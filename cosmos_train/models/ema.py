"""A moving average of the weights, kept where the weights are: of sharded weights, the shard.

average ← decay · average + (1 - decay) · weights, after each optimiser step. Costs one copy of what learns, and one
fused pass over it a step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cosmos_train.models.sharded import local


class MovingAverage:
    """Of the parameters of `model` that learn. `tensors`: by name, as a checkpoint keeps them."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError("a decay lies in [0, 1)")
        self.decay = decay
        self._weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.tensors: dict[str, Tensor] = {name: p.detach().clone() for name, p in self._weights.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After optimiser step number `step`, from 1. Early on the average follows faster: decay (1 + t) / (10 + t)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(local(self.tensors.values())), list(local(self._weights.values())), 1 - decay)
