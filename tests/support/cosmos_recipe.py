"""A COSMOS small enough for tests."""

from __future__ import annotations

import copy
from typing import Any

from cosmos_train.recipe import Recipe

TINY: dict[str, Any] = {
    "name": "test",
    "seed": 3,
    "data": {
        "form": "views",
        "text": ["caption"],
        "max_tokens": 16,
        "image": {"size": 32},
        "views": {"local_size": 16, "local_views": 3, "sentences": 2, "augment": 0.5},
    },
    "model": {
        "kind": "cosmos",
        "vision": {"config": {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8}, "frozen": False},
        "language": {"config": {"context_length": 16, "width": 32, "heads": 2, "layers": 2}, "vocabulary": 400},
        "embedding_width": 32,
        "pooler_heads": 2,
    },
    "objective": {"teacher": {"momentum": 0.9}},
    "optimiser": {"lr": 2e-3, "warmup_steps": 5, "clip_norm": 0},
    "train": {
        "steps": 8, "batch_size": 4, "precision": "fp32", "device": "cpu", "threads": 1, "log_every": 1,
        "save_every": 4, "keep": 2,
    },
}  # fmt: skip


def cosmos_recipe(shards: object, **settings: Any) -> Recipe:
    """On these shards; keyword arguments are settings with `__` for the dot."""
    values = copy.deepcopy(TINY)
    for key, value in {"data__shards": str(shards), **settings}.items():
        *parents, last = key.split("__")
        block = values
        for parent in parents:
            block = block.setdefault(parent, {})
        block[last] = value
    return Recipe.model_validate(values)
