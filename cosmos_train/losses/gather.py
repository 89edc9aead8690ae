"""Rows of all processes, with gradients for their owners. Costs one all-gather, and its reverse in backward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


@dataclass(frozen=True)
class Gathered:
    """media, text: (C, E) of all processes; group (C,); first: index of this process's first row."""

    media: Tensor
    text: Tensor
    group: Tensor
    first: int


def gather(media: Tensor, text: Tensor, group: Tensor, everywhere: bool) -> Gathered:
    """The pairs of all processes in order of rank, or (everywhere=False, or one process) those given.

    Processes may hold different numbers of pairs, including none. Gradients for rows of another process are sent to it
    and added up there.
    """
    if not everywhere or world_size() == 1:
        return Gathered(media, text, group, 0)
    sizes = _sizes(media)
    longest = max(1, *sizes)  # at least one row, so that processes without any pair exchange padding
    rows = torch.cat([_padded(part, longest) for part in (media, text)], -1)
    groups = [torch.zeros(longest, dtype=group.dtype, device=group.device) for _ in sizes]
    dist.all_gather(groups, _padded(group, longest))
    gathered = torch.split(_gather_with_grad(rows), longest)
    both = torch.cat([part[:size] for part, size in zip(gathered, sizes, strict=True)])
    all_groups = torch.cat([part[:size] for part, size in zip(groups, sizes, strict=True)])
    width = media.shape[1]
    return Gathered(both[:, :width], both[:, width:], all_groups, sum(sizes[: dist.get_rank()]))


def gather_rows(rows: Tensor) -> tuple[Tensor, int]:
    """Rows (b, F) of all processes in order of rank, with gradients, and the index of this process's first; b may
    differ."""
    sizes = _sizes(rows)
    longest = max(1, *sizes)
    parts = torch.split(_gather_with_grad(_padded(rows, longest)), longest)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)]), sum(sizes[: dist.get_rank()])


def _sizes(rows: Tensor) -> list[int]:
    """The number of rows of each process."""
    counts = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(world_size())]
    dist.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    return [int(count) for count in counts]


def _gather_with_grad(rows: Tensor) -> Tensor:
    from torch.distributed import _functional_collectives as collectives

    # Renamed in torch 2.13, which warns about the old name at each use.
    new: Any = getattr(collectives, "all_gather_single_autograd", None)
    gathers: Any = new or collectives.all_gather_tensor_autograd
    found: Tensor = gathers(rows.contiguous(), 0, dist.group.WORLD)
    return found


def _padded(rows: Tensor, count: int) -> Tensor:
    return torch.cat([rows, rows.new_zeros(count - len(rows), *rows.shape[1:])])
