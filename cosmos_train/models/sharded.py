"""Tensors that may be sharded over processes (FSDP): this rank's part, or the full tensor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor


def full_tensor(tensor: Tensor) -> Tensor:
    """The full tensor. All ranks call it. Costs one gather if it is sharded."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensors: Iterable[Tensor]) -> Iterator[Tensor]:
    """This rank's part of each tensor. Leaves out empty shards (kernels do not accept them)."""
    from torch.distributed.tensor import DTensor

    for tensor in tensors:
        here = tensor.to_local() if isinstance(tensor, DTensor) else tensor.detach()
        if here.numel():
            yield here
