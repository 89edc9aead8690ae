"""The gradients of one optimiser step from several batches, equal to those of one batch that holds all samples.

The language loss is additive over batches. The contrastive loss is not: each clip's candidates include the other
batches. So features are computed first, without gradients; the loss over all of them gives each feature's gradient;
then every batch runs again, with the same random numbers, and backpropagates its features' gradients (GradCache, Gao et
al. 2021). The logit scale is a factor of the one loss, so its gradient enters once, not once per batch. Costs the
towers' forward pass twice. If each batch is the only one of its source, or `objective.pool` is batch, there is one
pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from cosmos_train.families.accumulation import RandomState, mean_over_processes
from cosmos_train.families.base import StepContext
from cosmos_train.families.cosmo.objective import Outputs, contrast, learned_tokens
from cosmos_train.losses.gather import world_size
from cosmos_train.losses.settings import ObjectiveSettings
from cosmos_train.stream.batch import Batch

Forward = Callable[..., Outputs]  # forward(batch, settings, language=True): `objective.compute`, possibly wrapped


@dataclass(frozen=True)
class StepLosses:
    """Losses of a whole step over all processes: means per learned token and per pair; tokens: number of learned
    tokens; routing: the mean over batches, None without experts."""

    total: Tensor
    language: Tensor
    contrastive: Tensor
    tokens: int
    routing: Tensor | None = None


def accumulate(
    forward: Forward,
    batches: Sequence[Batch],
    settings: ObjectiveSettings,
    context: StepContext,
) -> StepLosses:
    """Runs backward for each batch of a step. Gradients must be averaged over processes afterwards.

    batches: this process's, on the device; the same number on every process, and in the same order of sources.
    Unreadable ones are included.
    """
    share = _token_shares(batches, settings)
    cached = _pooled(forward, batches, settings, context)
    language = contrastive = routing = torch.zeros((), device=batches[0].rows.tokens.device)
    routed = False
    for number, batch in enumerate(batches):
        with context.no_sync(number == len(batches) - 1):
            if cached is not None:
                cached[number].random.restore()
            with context.autocast():
                outputs = forward(batch, settings)
            worded = outputs.language.float() * share.weights[number]
            if cached is None:
                contrasted = contrast(outputs, settings) / len(batches)
                part = contrasted
            else:
                contrasted, part = cached[number].loss, cached[number].surrogate(outputs)
            loss = settings.language_weight * worded + settings.contrastive_weight * part
            if outputs.routing is not None:
                own = outputs.routing.float() / len(batches)
                loss, routing, routed = loss + own, routing + own.detach(), True
            context.backward(loss)
        language, contrastive = language + worded.detach(), contrastive + contrasted.detach()
    sums = {"language": language, "contrastive": contrastive, "routing": routing}
    language, contrastive, routing = mean_over_processes(sums).values()
    total = settings.language_weight * language + settings.contrastive_weight * contrastive + routing
    return StepLosses(total, language, contrastive, share.tokens, routing if routed else None)


@dataclass(frozen=True)
class _Shares:
    """Factor on each batch's summed language loss; tokens: learned in the step, over all processes."""

    weights: list[float]
    tokens: int


def _token_shares(batches: Sequence[Batch], settings: ObjectiveSettings) -> _Shares:
    counted = torch.tensor([learned_tokens(batch) for batch in batches], device=batches[0].rows.tokens.device)
    if world_size() > 1:
        dist.all_reduce(counted)
    counts = [int(count) for count in counted]
    if settings.paper_compat.mean_of_batches:
        return _Shares([world_size() / (len(counts) * max(1, count)) for count in counts], sum(counts))
    return _Shares([world_size() / max(1, sum(counts))] * len(counts), sum(counts))


@dataclass(frozen=True)
class _Cached:
    """One batch: the gradients of the step's loss at its outputs, and its part of that loss."""

    random: RandomState
    gradients: tuple[Tensor, Tensor, Tensor, Tensor]  # at media, text, scale, bias
    loss: Tensor

    def surrogate(self, outputs: Outputs) -> Tensor:
        """A scalar with the same gradient at the outputs as the step's loss."""
        found = (outputs.media, outputs.text, outputs.scale, outputs.bias)
        return sum(
            ((output.float() * gradient).sum() for output, gradient in zip(found, self.gradients, strict=True)),
            outputs.scale.new_zeros(()),
        )


def _pooled(
    forward: Forward,
    batches: Sequence[Batch],
    settings: ObjectiveSettings,
    context: StepContext,
) -> list[_Cached] | None:
    """The contrastive loss of each source over its batches, with feature gradients; None if no source has two
    batches."""
    sources = Counter(batch.source for batch in batches)
    if settings.pool == "batch" or not settings.contrastive_weight or max(sources.values()) == 1:
        return None
    randoms, features = [], []
    for batch in batches:
        randoms.append(RandomState.now(batch.rows.tokens.device))
        with torch.no_grad(), context.autocast():
            features.append(forward(batch, settings, language=False))
    cached: dict[int, _Cached] = {}
    for source, members in sources.items():
        numbers = [number for number, batch in enumerate(batches) if batch.source == source]
        leaves = [_leaf(features[number]) for number in numbers]
        pool = Outputs(
            features[numbers[0]].language,
            torch.cat([leaf.media for leaf in leaves]),
            torch.cat([leaf.text for leaf in leaves]),
            torch.cat([leaf.group for leaf in leaves]),
            leaves[0].scale,
            leaves[0].bias,
        )
        loss = contrast(pool, settings) * (members / len(batches))
        wanted = [tensor for leaf in leaves for tensor in (leaf.media, leaf.text)]
        *rows, scale, bias = torch.autograd.grad(loss, [*wanted, pool.scale, pool.bias], materialize_grads=True)
        for place, number in enumerate(numbers):
            once = float(place == 0)  # scale and bias are factors of the one loss
            gradients = (rows[2 * place], rows[2 * place + 1], scale * once, bias * once)
            cached[number] = _Cached(randoms[number], gradients, loss.detach() * once)
    return [cached[number] for number in range(len(batches))]


def _leaf(outputs: Outputs) -> Outputs:
    """The same numbers in fp32, as leaves that collect gradients."""
    media, text, scale, bias = (
        tensor.detach().float().requires_grad_()
        for tensor in (outputs.media, outputs.text, outputs.scale, outputs.bias)
    )
    return Outputs(outputs.language, media, text, outputs.group, scale, bias)
