"""The number type of the forward pass: fp32, bf16 or fp16. Weights stay in fp32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from cosmos_train.recipe import Recipe


def compute_dtype(recipe: Recipe, device: torch.device) -> torch.dtype:
    """`train.precision` with auto resolved."""
    wanted = recipe.train.precision
    if wanted == "auto":
        wanted = "bf16" if device.type == "cuda" else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[wanted]


def autocast(recipe: Recipe, device: torch.device) -> AbstractContextManager[Any]:
    """A context that runs the forward pass in that number type."""
    dtype = compute_dtype(recipe, device)
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)
