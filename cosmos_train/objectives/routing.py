"""What routers did, as numbers to log, and when to be alarmed. Costs a few small reductions per line of metrics."""

from __future__ import annotations

import torch
from torch import nn

from cosmos_train.losses.gather import world_size
from cosmos_train.metrics import Numbers
from cosmos_train.models.moe import mixtures, utilisation

STARVED = 0.1  # of its even share: below it an expert counts as starved


def routing_numbers(model: nn.Module) -> Numbers:
    """Of the last forward pass, over all processes: the least and largest share of an expert, times their number (1 is
    even), how many experts of all blocks are starved, and how far from even the shares are (entropy, 1 is even)."""
    used = utilisation(model).float()
    if world_size() > 1:
        import torch.distributed as dist

        dist.all_reduce(used)
        used = used / world_size()
    experts = used.shape[1]
    entropy = -(used * used.clamp(min=1e-9).log()).sum(1) / torch.log(torch.tensor(float(max(experts, 2))))
    return {
        "experts/blocks": float(len(mixtures(model))),
        "experts/least_used": float(used.min() * experts),
        "experts/most_used": float(used.max() * experts),
        "experts/starved": float((used * experts < STARVED).sum()),
        "experts/evenness": float(entropy.min()),
    }


def alarm(numbers: Numbers) -> str:
    """A sentence where routing collapses; empty where it does not."""
    starved = int(numbers.get("experts/starved", 0))
    if not starved:
        return ""
    return (
        f"routing collapses: {starved} experts get less than a tenth of their share (the fullest "
        f"{numbers['experts/most_used']:.1f} times it); raise objective.balance_weight or lower optimiser.lr"
    )
