"""Tensors that may be cut in shards over processes (FSDP): this rank's part, or all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor


def full_tensor(tensor: Tensor) -> Tensor:
    """All of a tensor that may be sharded. All ranks call it. Costs one gather where it is sharded."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensors: Iterable[Tensor]) -> Iterator[Tensor]:
    """What of each tensor lies on this rank; empty shards are left out (no kernel takes them)."""
    from torch.distributed.tensor import DTensor

    for tensor in tensors:
        here = tensor.to_local() if isinstance(tensor, DTensor) else tensor.detach()
        if here.numel():
            yield here
