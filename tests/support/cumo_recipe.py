"""A CuMo small enough for tests."""

from __future__ import annotations

import copy
from typing import Any

from cosmos_train.recipe import Recipe

TINY: dict[str, Any] = {
    "name": "test",
    "seed": 3,
    "data": {
        "form": "talk",
        "text": ["caption"],
        "max_tokens": 64,
        "image": {"size": 32},
        "talk": {"prompt": "plain", "image_tokens": 4},
    },
    "model": {
        "kind": "cumo",
        "vision": {"config": {"layers": 3, "width": 32, "head_width": 16, "patch_size": 8}, "frozen": False},
        "language": {
            "config": {
                "model_type": "mistral", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 128,
                "tie_word_embeddings": False,
            },
            "vocabulary": 400,
        },
        "connector": {"scales": [1, 2]},
    },
    "optimiser": {"lr": 2e-3, "warmup_steps": 5, "weight_decay": 0.0},
    "train": {
        "steps": 8, "batch_size": 4, "precision": "fp32", "device": "cpu", "threads": 1, "log_every": 1,
        "save_every": 4, "keep": 2,
    },
}  # fmt: skip


def cumo_recipe(shards: object, **settings: Any) -> Recipe:
    """On these shards; keyword arguments are settings with `__` for the dot."""
    values = copy.deepcopy(TINY)
    for key, value in {"data__shards": str(shards), **settings}.items():
        *parents, last = key.split("__")
        block = values
        for parent in parents:
            block = block.setdefault(parent, {})
        block[last] = value
    return Recipe.model_validate(values)
