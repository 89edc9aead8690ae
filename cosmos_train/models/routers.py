"""Routers of a language model that is a mixture by itself (Mixtral): watched, to be balanced with the others.

The original patches the block's forward and hands the losses through fields meant for something else; here a hook on
each router keeps what it decided, as `MixtureMlp` does. Costs a softmax over the experts per token and layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cosmos_train.models.moe import Routing

_FAMILIES = ("mixtral",)


def watch_routers(lm: Any) -> int:
    """From now on `routing` of each router of a Mixtral tells of its last call in training; how many there are."""
    if getattr(lm.config, "model_type", "") not in _FAMILIES:
        return 0
    found = [module for module in lm.modules() if type(module).__name__.endswith("TopKRouter")]
    for router in found:
        router.routing = None
        router.register_forward_hook(_keep)
    return len(found)


def _keep(router: Any, _: Any, found: tuple[Tensor, Tensor, Tensor]) -> None:
    """After a router's call: (logits (tokens, E), weights, choice (tokens, k)). Padding counts, as in the original."""
    if router.training:
        logits, _, choice = found
        router.routing = routing_of(logits, choice)


def routing_of(logits: Tensor, choice: Tensor) -> Routing:
    """Of all tokens together; logits (tokens, E), choice (tokens, k), the likeliest first."""
    with torch.autocast(logits.device.type, enabled=False):
        precise = logits if logits.dtype == torch.float64 else logits.float()
        experts = logits.shape[-1]
        chosen = F.one_hot(choice, experts).to(precise.dtype)
        balance = experts * (precise.softmax(-1).mean(0) * chosen[:, 0].mean(0)).sum()
        return Routing(balance, precise.logsumexp(-1).square().mean(), chosen.detach().mean((0, 1)))
