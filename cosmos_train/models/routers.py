"""Watches the routers of a language model that is itself a mixture (Mixtral), so that they can be balanced too.

The original patches the block's forward and passes the losses through unrelated fields; here a hook on each router
reports its decisions, as `MixtureMlp` does. Costs a softmax over the experts per token and layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from cosmos_train.models.routing import Router, Routing

_FAMILIES = ("mixtral",)


def watch_routers(lm: Any) -> int:
    """Makes each router of a Mixtral report its calls in training; returns the number of routers."""
    if getattr(lm.config, "model_type", "") not in _FAMILIES:
        return 0
    found = [module for module in lm.modules() if type(module).__name__.endswith("TopKRouter")]
    for router in found:
        router.watch = Router()
        router.register_forward_hook(_report)
    return len(found)


def _report(router: Any, _: Any, found: tuple[Tensor, Tensor, Tensor]) -> None:
    """Called after a router: (logits (tokens, E), weights, choice (tokens, k)). Counts padding, as in the original."""
    if router.training:
        logits, _, choice = found
        router.watch.report(routing_of(logits, choice))


def routing_of(logits: Tensor, choice: Tensor) -> Routing:
    """Routing of all tokens together; logits (tokens, E), choice (tokens, k), the likeliest first."""
    with torch.autocast(logits.device.type, enabled=False):
        precise = logits if logits.dtype == torch.float64 else logits.float()
        experts = logits.shape[-1]
        chosen = F.one_hot(choice, experts).to(precise.dtype)
        balance = experts * (precise.softmax(-1).mean(0) * chosen[:, 0].mean(0)).sum()
        return Routing(balance, precise.logsumexp(-1).square().mean(), chosen.detach().mean((0, 1)), len(chosen))
