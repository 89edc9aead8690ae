"""Shared by steps of several batches: one exchange for all losses, and a random state to draw the same numbers
twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from cosmos_train.losses.gather import world_size


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
