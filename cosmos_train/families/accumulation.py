"""Shared by steps of several batches: one exchange for all losses, and a random state to draw the same numbers
twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

from cosmos_train.losses.gather import world_size

if TYPE_CHECKING:
    from cosmos_train.recipe import Recipe


NO_NEGATIVES = (
    "the contrastive loss is 0: no pair had another one to be distinguished from, so it teaches nothing; raise "
    "train.batch_size, or use samples with texts that differ"
)


def without_negatives(recipe: Recipe, world: int, samples: int, pairs_per_sample: int = 1) -> list[str]:
    """A warning for every source with contrastive batches of one pair: its loss says nothing.

    world: number of processes; samples: of an epoch of all sources.
    """
    from cosmos_train.stream.settings import rows_of

    data, objective = recipe.data, recipe.objective
    together = recipe.train.accumulation if objective.pool == "step" and len(data.named()) == 1 else 1
    found = []
    for (name, one), rows in zip(data.named(), rows_of(data, recipe.train.batch_size, world), strict=True):
        if one.pack.tokens:
            continue  # a row holds several samples
        share = rows // world if objective.paper_compat.own_process else rows
        if min(share * together, samples) * pairs_per_sample == 1:
            found.append(
                f"a contrastive batch of {name} has one pair and no negatives, so its contrastive loss "
                f"({objective.contrastive}) teaches nothing: raise train.batch_size"
            )
    return found


def mean_over_processes(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Means of losses over processes, in one exchange."""
    stacked = torch.stack(list(losses.values()))
    if world_size() > 1:
        dist.all_reduce(stacked)
    return dict(zip(losses, (stacked / world_size()).unbind(), strict=True))


@dataclass(frozen=True)
class RandomState:
    """Torch's random state, of the CPU and of the current GPU."""

    cpu: Tensor
    cuda: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> RandomState:
        return cls(torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None)

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda)
