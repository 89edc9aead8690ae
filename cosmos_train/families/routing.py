"""Routing as numbers to log, and an alarm for its collapse. Costs a few small reductions per line of metrics."""

from __future__ import annotations

import torch
from torch import nn

from cosmos_train.losses.gather import world_size
from cosmos_train.models.routing import utilisation

STARVED = 0.1  # share of the even share below which an expert counts as starved


def routing_numbers(model: nn.Module) -> dict[str, float]:
    """Over all calls since the last line of metrics and all processes: the least and largest share of an expert, times
    their number (1 is even), the number of starved experts of all blocks, and the evenness of the shares (entropy, 1 is
    even). Empty if no router ran; all processes must call it."""
    tokens = utilisation(model)
    if not tokens:
        return {}
    if world_size() > 1:
        import torch.distributed as dist

        together = torch.cat(tokens)  # blocks may have different numbers of experts
        dist.all_reduce(together)
        tokens = list(torch.split(together, [len(one) for one in tokens]))
    used = [one / one.sum() for one in tokens]
    shares = torch.cat([one * len(one) for one in used])
    entropy = [
        -(one * one.clamp(min=1e-9).log()).sum() / torch.log(torch.tensor(float(max(len(one), 2)))) for one in used
    ]
    return {
        "experts/blocks": float(len(used)),
        "experts/least_used": float(shares.min()),
        "experts/most_used": float(shares.max()),
        "experts/starved": float((shares < STARVED).sum()),
        "experts/evenness": float(torch.stack(entropy).min()),
    }


def alarm(numbers: dict[str, float]) -> str:
    """A warning if routing collapses; empty if not."""
    starved = int(numbers.get("experts/starved", 0))
    if not starved:
        return ""
    return (
        f"routing is collapsing: {starved} experts get less than a tenth of their share (the fullest "
        f"{numbers['experts/most_used']:.1f} times it); raise objective.balance_weight or lower optimiser.lr"
    )
