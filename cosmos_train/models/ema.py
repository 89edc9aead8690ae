"""A moving average of the weights, stored where the weights are: for sharded weights, as shards.

average ← decay · average + (1 - decay) · weights, after each optimiser step. Costs one copy of the learnable weights,
and one fused pass over it per step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cosmos_train.models.sharded import local


class MovingAverage:
    """The average of the learnable parameters of `model`. `tensors`: by name, as saved in checkpoints."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError("the decay must be in [0, 1)")
        self.decay = decay
        self._weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.tensors: dict[str, Tensor] = {name: p.detach().clone() for name, p in self._weights.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Call after optimiser step number `step`, from 1. Early steps use a smaller decay: at most (1 + t) / (10 +
        t)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(local(self.tensors.values())), list(local(self._weights.values())), 1 - decay)
