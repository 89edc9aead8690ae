"""Several processes as one: joining them, and parallelizing a model over them. Model code does not depend on it.

In order: recompute → compile → shard or replicate. Gradients are averaged over ranks, so a rank's part of the loss is
multiplied by the number of ranks. Costs per step: one all-reduce of the gradients (ddp), or one gather of the weights
for forward, one for backward and one scatter of the gradients (fsdp), plus a few small numbers.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recompute

from cosmos_train.errors import UserError
from cosmos_train.models.sharded import full_tensor
from cosmos_train.recipe import ParallelSettings, Recipe


@dataclass(frozen=True)
class World:
    """The processes of a run, seen from one of them.

    numbers: the group for the loop's small exchanges, without a GPU; files: the group by which ranks coordinate
    checkpoints in the background.
    """

    rank: int
    size: int
    local_size: int
    device: torch.device
    numbers: dist.ProcessGroup | None = None
    files: dist.ProcessGroup | None = None

    @property
    def first(self) -> bool:
        return self.rank == 0

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Sums over all ranks, elementwise."""
        return self._reduced(numbers, dist.ReduceOp.SUM)

    def largest(self, numbers: Sequence[float]) -> list[float]:
        """Maxima over all ranks, elementwise."""
        return self._reduced(numbers, dist.ReduceOp.MAX)

    def _reduced(self, numbers: Sequence[float], how: dist.ReduceOp.RedOpType) -> list[float]:
        if self.size == 1:
            return list(numbers)
        found = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(found, how, group=self.numbers)
        return found.tolist()

    def all_raise(self, problem: Exception | None) -> None:
        """Raises an error of any rank on every rank, so that none waits for another."""
        if self.size > 1:
            reported: list[str | None] = [None] * self.size
            dist.all_gather_object(reported, None if problem is None else str(problem), group=self.numbers)
            found = [(rank, text) for rank, text in enumerate(reported) if text is not None]
            if problem is None and found:
                raise UserError(f"rank {found[0][0]}: {found[0][1]}", "see its message")
        if problem is not None:
            raise problem


def device_of(recipe: Recipe, local_rank: int = 0) -> torch.device:
    wanted = recipe.train.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted, local_rank) if wanted == "cuda" else torch.device(wanted)


@contextmanager
def world_of(recipe: Recipe) -> Iterator[World]:
    """Joins the processes that torchrun, Slurm or Ray Train started, as the environment says. Without one: a single
    rank."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank, local_rank = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", str(size)))
    device = device_of(recipe, local_rank)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if size == 1:
        yield World(0, 1, 1, device)
        return
    ours = not dist.is_initialized()
    timeout = timedelta(seconds=recipe.parallel.timeout_seconds)
    if ours:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=timeout)
    try:
        numbers, files = (dist.new_group(backend="gloo", timeout=timeout) for _ in range(2))
        yield World(rank, size, local_size, device, numbers, files)
    except RuntimeError as error:
        if not lost(error):
            raise
        raise UserError(
            f"rank {rank} of {size} stops: another process is gone or does not answer ({str(error).splitlines()[0]})",
            "see its message, or the launcher's; then resume with --resume",
        ) from error
    finally:
        if ours:
            _leave()


def lost(error: BaseException) -> bool:
    """Whether an error comes from a collective because another process is gone."""
    text = str(error).lower()
    signs = ("connection", "gloo", "nccl", "timed out", "socket", "peer", "broken pipe")
    return isinstance(error, dist.DistBackendError | dist.DistNetworkError) or any(sign in text for sign in signs)


def _leave() -> None:
    try:
        dist.destroy_process_group()
    except RuntimeError as error:  # the others may be gone, and with them the group
        if not lost(error):
            raise


class Parallelized(nn.Module):
    """A model and its computation per batch as one module, so that wrappers see every use of a weight."""

    def __init__(self, model: nn.Module, compute: Callable[..., Any]) -> None:
        super().__init__()
        self.model = model
        self.compute = compute

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.compute(self.model, *args, **kwargs)


def parallelize(
    model: nn.Module, compute: Callable[..., Any], settings: ParallelSettings, world: World, dtype: torch.dtype
) -> nn.Module:
    """A module that calls compute(model, …), over all ranks. `model` itself keeps its parameter names.

    dtype: number type in which sharded weights are gathered; gradients are always summed in fp32. A single process is
    wrapped only if it has joined a group (`world.numbers`).
    """
    blocks = list(dict.fromkeys(blocks_of(model)))
    if settings.recompute_every:
        for block in blocks[:: settings.recompute_every]:
            _recompute(block)
    if settings.compile:
        for block in blocks:
            block.compile()
    together = Parallelized(model, compute)
    if world.size == 1 and world.numbers is None:
        return together
    if settings.mode == "ddp":
        ids = [world.device.index] if world.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(
            together, device_ids=ids, find_unused_parameters=True, gradient_as_bucket_view=True
        )
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    # Hugging Face's layers reshape their output. Nothing modifies it in place, so the warning does not apply.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
    policy = MixedPrecisionPolicy(
        param_dtype=None if dtype == torch.float32 else dtype, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    mesh = _mesh(settings, world)
    for block in blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy, reshard_after_forward=settings.reshard)
    fully_shard(together, mesh=mesh, mp_policy=policy, reshard_after_forward=settings.reshard)
    _gather_once(together)
    return together


def _gather_once(module: nn.Module) -> None:
    """FSDP2 fails in a backward pass without exchange if a layer's weights were never gathered: those of a plain CLIP's
    teacher never run."""
    from torch.distributed.fsdp import FSDPModule

    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.unshard()
            part.reshard()


def _mesh(settings: ParallelSettings, world: World) -> Any:
    from torch.distributed.device_mesh import init_device_mesh

    kind = world.device.type
    if settings.mode == "fsdp":
        return init_device_mesh(kind, (world.size,), mesh_dim_names=("shard",))
    shard = settings.shard_size or world.local_size
    if world.size % shard:
        raise UserError(
            f"{world.size} processes cannot form groups of {shard}",
            "set parallel.shard_size to a divisor of their number",
            2,
        )
    return init_device_mesh(kind, (world.size // shard, shard), mesh_dim_names=("replicate", "shard"))


@contextmanager
def no_sync(module: nn.Module, last: bool) -> Iterator[None]:
    """Encloses a backward pass: except in the step's last one, gradients add up on this rank and are not exchanged."""
    from torch.distributed.fsdp import FSDPModule

    if isinstance(module, FSDPModule):
        module.set_requires_gradient_sync(last)
        yield
        return
    with module.no_sync() if isinstance(module, nn.parallel.DistributedDataParallel) and not last else nullcontext():
        yield


@contextmanager
def unshard(module: nn.Module) -> Iterator[None]:
    """Inside it, all ranks may call parts of a parallelized model directly: the model's own weights are unsharded."""
    from torch.distributed.fsdp import FSDPModule

    if not isinstance(module, FSDPModule):
        yield
        return
    module.unshard()
    try:
        yield
    finally:
        for part in module.modules():  # also those that stay unsharded after a forward pass: no backward follows
            if isinstance(part, FSDPModule):
                part.reshard()


def clip(parameters: list[nn.Parameter], largest: float) -> Tensor:
    """Scales the gradients down to the global norm `largest`; returns the norm before, the same on all ranks."""
    return full_tensor(nn.utils.clip_grad_norm_(parameters, largest, foreach=True))


def blocks_of(model: nn.Module) -> Iterator[nn.Module]:
    """The layers of a model: the items of its outermost ModuleLists, in order."""
    for child in model.children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from child.children()
        else:
            yield from blocks_of(child)


def _recompute(block: nn.Module) -> None:
    """In place, so that parameters keep their names."""
    forward = block.forward

    @wraps(forward)
    def cheap(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return recompute(forward, *args, use_reentrant=False, **kwargs)

    block.forward = cheap
