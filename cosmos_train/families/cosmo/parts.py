"""Which part of CosMo a parameter belongs to, and what of each part learns.

Works on `meta` too, where a model of any size costs no memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from cosmos_train.families.cosmo.model import CosMo, build_cosmo
from cosmos_train.models.language import find_stack
from cosmos_train.recipe import Recipe

PARTS = (
    "vision", "resampler", "language, first half", "language, second half", "embeddings and head", "new tokens",
    "cross-attention", "text query", "projections",
)  # fmt: skip


@dataclass(frozen=True)
class Planned:
    """Stands for the tokenizer of a model that is only counted: our tokens follow those its config has."""

    size: int
    begin: int = 0
    end: int = 0
    pad: int = 0

    @property
    def visual(self) -> int:
        return self.size - 2

    @property
    def end_of_chunk(self) -> int:
        return self.size - 1


def plan(recipe: Recipe) -> CosMo:
    """The recipe's model without weights: nothing is downloaded, nothing is allocated."""
    language = recipe.model.language
    words = int(language.config.get("vocab_size", language.vocabulary))
    with torch.device("meta"):
        return build_cosmo(recipe, Planned(words + 2 if language.name else words), weights=False)


@dataclass(frozen=True)
class Count:
    """Parameters of a part, shared ones once."""

    learnable: int
    total: int


def count(model: CosMo) -> dict[str, Count]:
    """By part, in the order of PARTS."""
    owners = _owners(model)
    sums = {part: [0, 0] for part in PARTS}
    for parameter in model.parameters():
        entry = sums[owners.get(id(parameter), "projections")]
        entry[0] += parameter.numel() * parameter.requires_grad
        entry[1] += parameter.numel()
    return {part: Count(*numbers) for part, numbers in sums.items()}


def _owners(model: CosMo) -> dict[int, str]:
    """id of a parameter -> its part; those of the projections and the temperature are left out."""
    language = model.language
    depth = language.depth
    layers = find_stack(language.lm).layers
    modules: list[tuple[str, nn.Module]] = [
        ("vision", model.vision),
        ("resampler", model.resampler),
        ("cross-attention", language.blocks),
        ("text query", model.text_query),
        *(("language, first half", layer) for layer in layers[:depth]),
        *(("language, second half", layer) for layer in layers[depth:]),
        ("embeddings and head", language.lm),  # what of the LM is in no layer; its last norm too
    ]
    if language.new_rows is not None:
        modules.append(("new tokens", language.new_rows))
    found: dict[int, str] = {}
    for part, module in modules:
        for parameter in module.parameters():
            found.setdefault(id(parameter), part)
    return found
