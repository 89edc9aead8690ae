"""A tiny CosMo of a few families of language models, random weights and open gates: what it says matters not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cosmos_train.families.cosmo.model import CosMo, build_cosmo
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer

WORDS = (
    "a red square lies left on the right below beyond green blue yellow purple white what colour is it question short "
    "answer yes no the image says hateful output man dog cat plays slices an apple with someone photo of wooden table"
)

FAMILIES: dict[str, dict[str, Any]] = {
    "opt": {"word_embed_proj_dim": 32, "ffn_dim": 64, "dropout": 0.0},
    "llama": {"intermediate_size": 64, "num_key_value_heads": 1},
    "mistral": {"intermediate_size": 64, "num_key_value_heads": 1, "sliding_window": None, "head_dim": 16},
    "gpt_neox": {"intermediate_size": 64, "rotary_pct": 0.5},
    "qwen2": {"intermediate_size": 64, "num_key_value_heads": 1},
}


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.train([WORDS], 360)


@pytest.fixture(scope="session")
def recipe_of() -> Callable[..., Recipe]:
    def make(family: str = "opt", attend: str = "immediate") -> Recipe:
        language = {
            "model_type": family,
            "hidden_size": 32,
            "num_hidden_layers": 4,
            "num_attention_heads": 2,
            "max_position_embeddings": 256,
            "tie_word_embeddings": False,  # or the likeliest word is always the last one
            **FAMILIES[family],
        }
        return Recipe.model_validate(
            {
                "name": "tiny",
                "data": {"clips_per_sample": 1, "frames_per_clip": 2, "max_tokens": 64, "image": {"size": 32}},
                "model": {
                    "vision": {
                        "config": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
                        "frozen": False,
                    },
                    "resampler": {"depth": 1, "heads": 2, "head_width": 16, "latents": 3},
                    "language": {"config": language, "vocabulary": 360},
                    "fusion": {
                        "unimodal_depth": 2, "interval": 1, "heads": 2, "head_width": 16, "bottleneck": 2,
                        "attend": attend,
                    },
                    "embedding_width": 16,
                },
                "optimiser": {"lr": 1e-3},
                "train": {"steps": 1, "batch_size": 2, "precision": "fp32", "device": "cpu", "threads": 1},
            }
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def model_of(tokenizer: Tokenizer, recipe_of: Callable[..., Recipe]) -> Callable[..., CosMo]:
    """Models whose gates are open and whose language models have opinions (weights larger than usual)."""

    def make(family: str = "opt", attend: str = "immediate", gate: float = 0.7, seed: int = 0) -> CosMo:
        torch.manual_seed(seed)
        model = build_cosmo(recipe_of(family, attend), tokenizer)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "gate" in name:
                    parameter.fill_(gate)
                elif name.startswith("language.lm") and parameter.dim() == 2:
                    parameter.mul_(20.0 if "head" in name or "embed_out" in name else 8.0)
        return model.eval()

    return make
