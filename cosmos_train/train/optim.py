"""AdamW with decay groups, and the learning rate by step: linear warm-up, then a cosine."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from cosmos_train.models.decay import decays, is_gate
from cosmos_train.recipe import OptimiserSettings


def learning_rate(step: int, steps: int, settings: OptimiserSettings) -> float:
    """The learning rate of step 0, 1, …, steps - 1."""
    if step < settings.warmup_steps:
        return settings.lr * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, steps - settings.warmup_steps)
    cosine = (1 + math.cos(math.pi * min(1.0, done))) / 2
    return settings.lr * (settings.final_lr_share + (1 - settings.final_lr_share) * cosine)


def build_optimiser(
    model: nn.Module,
    settings: OptimiserSettings,
    device: torch.device,
    decays: Callable[[str, nn.Parameter], bool] = decays,
) -> torch.optim.AdamW:
    """AdamW over all learnable parameters, in three groups: decayed, not decayed, and gates with their own rate."""
    learning = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    gates = [p for name, p in learning if is_gate(name)]
    decayed = [p for name, p in learning if decays(name, p) and not is_gate(name)]
    others = [p for name, p in learning if not decays(name, p) and not is_gate(name)]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay, "lr_scale": 1.0},
        {"params": others, "weight_decay": 0.0, "lr_scale": 1.0},
        {"params": gates, "weight_decay": 0.0, "lr_scale": settings.gate_lr_scale},
    ]
    return torch.optim.AdamW(
        groups, lr=settings.lr, betas=settings.betas, eps=settings.eps, fused=device.type in ("cuda", "cpu")
    )


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate * group["lr_scale"]
