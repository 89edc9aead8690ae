"""Floating-point operations and parameters of the layers that families share, from the shapes of their weights.

Matrix products count, with two operations per multiply-add; norms, activations and embeddings do not. Attention counts
every pair of its rectangle, as is usual. Backward counts once for the gradient of the input and once for that of the
weights, if needed. Recomputation and second passes do not count: they are not the model's cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from cosmos_train.models.moe import MixtureMlp, mixtures


@dataclass(frozen=True)
class Operations:
    forward: int
    backward: int

    @property
    def total(self) -> int:
        return self.forward + self.backward


@dataclass(frozen=True)
class Count:
    """Number of parameters of a part of a model, tied ones once."""

    learnable: int
    total: int


def count_parameters(model: nn.Module, part_of: Callable[[str], str]) -> dict[str, Count]:
    """Parameters by part, in order; part_of: maps a parameter's name to its part."""
    sums: dict[str, list[int]] = {}
    for name, parameter in model.named_parameters():
        entry = sums.setdefault(part_of(name), [0, 0])
        entry[0] += parameter.numel() * parameter.requires_grad
        entry[1] += parameter.numel()
    return {part: Count(*numbers) for part, numbers in sums.items()}


def linear(module: nn.Module) -> int:
    """Operations per row of all linear layers below a module."""
    return sum(2 * layer.weight.numel() for layer in module.modules() if isinstance(layer, nn.Linear))


def in_use(module: nn.Module) -> int:
    """Operations per row of the mixtures below a module: of a row's experts. Their gates count as linear layers."""
    return sum(_experts(one) for one in mixtures(module))


def mlp(module: nn.Module) -> int:
    """Operations per row of a feed-forward network, dense or a mixture with its gate."""
    if isinstance(module, MixtureMlp):
        return _experts(module) + 2 * module.gate.weight.numel()
    return linear(module)


def per_token(layer: nn.Module, config: Any) -> int:
    """Operations per token of the weights of a language model's layer.

    For a Hugging Face mixture, only the experts of one token count.
    """
    experts: int = sum(2 * p.numel() for name, p in layer.named_parameters() if ".experts." in name)
    routers = sum(2 * p.numel() for name, p in layer.named_parameters() if name.endswith("mlp.gate.weight"))
    if not experts:
        return linear(layer)
    used: int = experts * config.num_experts_per_tok // config.num_local_experts
    return linear(layer) + routers + used


def per_pair(config: Any) -> int:
    """Operations of attention per layer and pair of tokens, from a Hugging Face config."""
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 4 * int(width * config.num_attention_heads)


def transformer(module: Any, tokens: int) -> int:
    """Operations of one sequence through a tower's transformer (`towers.Transformer`). For experts, those in use."""
    total = 0
    for block in module.resblocks:
        weights = 2 * (block.attn.in_proj_weight.numel() + block.attn.out_proj.weight.numel()) + mlp(block.mlp)
        total += weights * tokens + 4 * tokens**2 * block.attn.out_proj.weight.shape[0]
    return total


def _experts(one: MixtureMlp) -> int:
    return 2 * (one.first.numel() + one.second.numel()) * one.top_k // one.experts
