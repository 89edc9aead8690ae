"""The part of CosMo that a parameter belongs to, and the learnable parameters of each part.

Works on `meta` too, where a model of any size costs no memory.
"""

from __future__ import annotations

from torch import nn

from cosmos_train.families.cosmo.model import CosMo
from cosmos_train.models.flops import Count
from cosmos_train.models.language import find_stack

PARTS = (
    "vision", "resampler", "language, first half", "language, second half", "embeddings and head", "new tokens",
    "cross-attention", "text query", "projections",
)  # fmt: skip


def count(model: CosMo) -> dict[str, Count]:
    """Parameters by part, in the order of PARTS."""
    owners = _owners(model)
    sums = {part: [0, 0] for part in PARTS}
    for parameter in model.parameters():
        entry = sums[owners.get(id(parameter), "projections")]
        entry[0] += parameter.numel() * parameter.requires_grad
        entry[1] += parameter.numel()
    return {part: Count(*numbers) for part, numbers in sums.items()}


def _owners(model: CosMo) -> dict[int, str]:
    """id of a parameter -> its part; projections and temperature are left out."""
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
        ("embeddings and head", language.lm),  # parameters of the LM outside its layers, with its last norm
    ]
    if language.new_rows is not None:
        modules.append(("new tokens", language.new_rows))
    found: dict[int, str] = {}
    for part, module in modules:
        for parameter in module.parameters():
            found.setdefault(id(parameter), part)
    return found
