"""CuMo's objective: next-token loss on answers, and losses that balance the experts.

    L = L_lm + balance_weight * sum of places' L_b + router_z_weight * sum of places' L_z    (Li et al. 2024; 0.1, 0.01)

A place is the tower, the connector or the LM; within one, losses are means over blocks, of a block over its calls
(the tower runs once per scale). The language loss is a mean
over all learned tokens of a step, over batches and processes; the routers' losses are means over batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from cosmos_train.families.accumulation import mean_over_processes
from cosmos_train.families.base import StepContext
from cosmos_train.families.cumo.model import CuMo
from cosmos_train.losses.gather import world_size
from cosmos_train.losses.language import language_loss
from cosmos_train.losses.settings import ObjectiveSettings
from cosmos_train.models.routing import record_routing
from cosmos_train.stream.batch import IGNORED
from cosmos_train.stream.talk.batch import TalkBatch

Outputs = tuple[Tensor, Tensor, Tensor]  # the summed language loss, balance, z


def learned_tokens(batch: TalkBatch) -> int:
    return int((batch.labels[:, 1:] != IGNORED).sum())


def compute(model: CuMo, batch: TalkBatch, settings: ObjectiveSettings) -> Outputs:
    """The losses of one batch. Every part of the model runs, even if nothing is readable."""
    tokens, labels, mask = batch.tokens, batch.labels, batch.token_mask
    if not len(tokens):
        tokens = tokens.new_zeros(1, 2)
        labels, mask = tokens + IGNORED, tokens == 0
    with record_routing(model) as routing:
        blanks = int((~batch.pictured).sum()) if settings.paper_compat.blank_pictures else 0
        logits = model(batch.frames, tokens, mask, blanks)
    summed, _ = language_loss(logits, labels)
    summed = summed + 0 * logits[:, :1].float().sum()  # a zero gradient if no token is learned
    balance, z = routing.losses() or (summed.new_zeros(()), summed.new_zeros(()))
    return summed, balance, z


def accumulate(
    forward: Callable[..., Outputs],
    batches: Sequence[TalkBatch],
    settings: ObjectiveSettings,
    context: StepContext,
) -> dict[str, Tensor]:
    """Runs backward for each batch of a step; arguments and losses as of `Family.step`."""
    shares = _shares(batches, settings)
    names = ("loss", "language", "balance", "router_z")
    sums = {name: torch.zeros((), device=batches[0].tokens.device) for name in names}
    for number, batch in enumerate(batches):
        with context.no_sync(number == len(batches) - 1):
            with context.autocast():
                summed, balance, z = forward(batch, settings)
            parts = summed.float() * shares[number], balance.float() / len(batches), z.float() / len(batches)
            loss = parts[0] + settings.balance_weight * parts[1] + settings.router_z_weight * parts[2]
            context.backward(loss)
        for name, part in zip(sums, (loss, *parts), strict=True):
            sums[name] = sums[name] + part.detach()
    return mean_over_processes(sums)


def _shares(batches: Sequence[TalkBatch], settings: ObjectiveSettings) -> list[float]:
    """The factor on each batch's summed language loss, before the mean over processes."""
    counts = [learned_tokens(batch) for batch in batches]
    if settings.paper_compat.mean_of_batches:  # each process by itself, as Hugging Face's trainer
        return [1 / (len(counts) * max(1, count)) for count in counts]
    counted = torch.tensor(sum(counts), device=batches[0].tokens.device)
    if world_size() > 1:
        dist.all_reduce(counted)
    return [world_size() / max(1, int(counted))] * len(counts)
