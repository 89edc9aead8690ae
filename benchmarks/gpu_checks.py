"""Part a, correctness: the tiny twins on the device against fp32 on the CPU, in every number type and wrapper."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from benchmarks.gpu_batches import batch_of, learner, load
from benchmarks.gpu_rows import Numbers, Row, Setup
from cosmos_train.models.moe import _by_expert, grouped
from cosmos_train.train.parallel import World

TWINS = ("tiny_cosmo", "tiny_cosmos", "tiny_cumo_stage3")
# Largest error of the loss, and of all gradients together, relative to those in fp32 on the CPU.
BOUNDS = {"fp32": (1e-4, 1e-3), "bf16": (2e-2, 0.15), "fp16": (1e-2, 0.05)}

Step = tuple[float, list[torch.Tensor]]


def rows() -> list[Row]:
    found = [Row(f"{twin}, {kind}", partial(_twin, twin, kind), 60) for twin in TWINS for kind in BOUNDS]
    found.append(Row("experts, grouped products against a loop", _experts, 30))
    found += [Row(f"{twin}, recomputed", partial(_recomputed, twin), 60) for twin in TWINS]
    found += [Row(f"{mode} on one rank", partial(_one_rank, mode), 60) for mode in ("ddp", "fsdp")]
    return [*found, Row("a checkpoint moves between device and CPU", _checkpoint, 90)]


def _step(name: str, device: str, setup: Setup, *sets: str, world: World | None = None) -> Step:
    """Loss and gradients of one step of 8 samples."""
    recipe = load(name, setup, f"train.device={device}", *sets)
    made = learner(recipe, device, world)
    losses, _ = made.compute([batch_of(recipe, 8)], 0)
    found = [_whole(p.grad) for p in made.learning if p.grad is not None]
    return losses["loss"], found


def _whole(gradient: torch.Tensor) -> torch.Tensor:
    if hasattr(gradient, "full_tensor"):
        gradient = gradient.full_tensor()
    return gradient.detach().float().cpu()


def _errors(found: Step, wanted: Step) -> tuple[float, float]:
    """Relative errors of the loss, and of the gradients as one vector."""
    assert len(found[1]) == len(wanted[1]), "other parameters have gradients"
    apart = math.fsum(float((a - b).square().sum()) for a, b in zip(found[1], wanted[1], strict=True))
    norm = math.fsum(float(b.square().sum()) for b in wanted[1])
    return abs(found[0] - wanted[0]) / abs(wanted[0]), math.sqrt(apart / norm)


def _judged(found: Step, wanted: Step, bounds: tuple[float, float]) -> Numbers:
    loss, gradients = _errors(found, wanted)
    holds = loss <= bounds[0] and gradients <= bounds[1]
    return {"holds": holds, "loss_error": loss, "gradient_error": gradients, "bounds": f"{bounds[0]:g}, {bounds[1]:g}"}


def _twin(name: str, kind: str, setup: Setup) -> Numbers:
    wanted = _step(name, "cpu", setup, "train.precision=fp32")
    return _judged(_step(name, setup.device, setup, f"train.precision={kind}"), wanted, BOUNDS[kind])


def _recomputed(name: str, setup: Setup) -> Numbers:
    wanted = _step(name, setup.device, setup, "train.precision=fp32")
    again = _step(name, setup.device, setup, "train.precision=fp32", "parallel.recompute_every=1")
    return _judged(again, wanted, BOUNDS["fp32"])


def _experts(setup: Setup) -> Numbers:
    """bf16, with and without biases, some experts without tokens."""
    torch.manual_seed(0)
    rows, width, inner, experts = setup.pick((8192, 1024, 4096, 4), (64, 16, 32, 4))
    ends = torch.tensor([rows // 2, rows // 2, rows - rows // 8, rows], dtype=torch.int32, device=setup.device)
    largest = 0.0
    for biased in (False, True):
        tokens = torch.randn(rows, width, device=setup.device, dtype=torch.bfloat16)
        matrices = (torch.randn(experts, inner, width, device=setup.device) / width**0.5).to(torch.bfloat16)
        biases = torch.randn(experts, inner, device=setup.device, dtype=torch.bfloat16) if biased else None
        outputs = []
        for product in (grouped, _by_expert):
            leaf = tokens.clone().requires_grad_()
            found = product(leaf, matrices, biases, ends)
            found.square().mean().backward()
            outputs.append((found.detach().float(), leaf.grad.float()))
        for one, other in zip(*outputs, strict=True):
            largest = max(largest, float((one - other).norm() / other.norm()))
    return {"holds": largest < 1e-2, "relative_error": largest, "bounds": "0.01"}


@contextlib.contextmanager
def _group(setup: Setup) -> Iterator[World]:
    """A group of one process, over NCCL on a GPU."""
    backend = "cpu:gloo,cuda:nccl" if setup.device == "cuda" else "gloo"
    store = dist.FileStore(str(setup.folder / "store"), 1)
    dist.init_process_group(backend, store=store, rank=0, world_size=1)
    try:
        alone = dist.new_group(backend="gloo")
        device = torch.device(setup.device, 0) if setup.device == "cuda" else torch.device("cpu")
        yield World(0, 1, 1, device, alone, alone)
    finally:
        dist.destroy_process_group()
        (setup.folder / "store").unlink(missing_ok=True)


def _one_rank(mode: str, setup: Setup) -> Numbers:
    wanted = _step("tiny_cosmo", setup.device, setup, "train.precision=fp32")
    with _group(setup) as world:
        found = _step("tiny_cosmo", setup.device, setup, "train.precision=fp32", f"parallel.mode={mode}", world=world)
    return _judged(found, wanted, BOUNDS["fp32"])


def _checkpoint(setup: Setup) -> Numbers:
    """Steps 1 to 6 on the device, against 1, 2 on the device, 3, 4 on the CPU, and 5, 6 on the device again."""
    from benchmarks.loop import documents

    shards = documents(setup.folder / "shards")
    straight = _losses(shards, setup.folder / "straight", [(6, setup.device)])
    moved = _losses(shards, setup.folder / "moved", [(2, setup.device), (4, "cpu"), (6, setup.device)])
    error = max(abs(a - b) / abs(a) for a, b in zip(straight, moved, strict=True))
    return {"holds": error < 1e-3, "loss_error": error, "bounds": "0.001"}


def _losses(shards: Path, out: Path, stages: list[tuple[int, str]]) -> list[float]:
    from rich.console import Console

    from cosmos_train import recipe as recipes
    from cosmos_train.train.trainer import train

    found: dict[int, float] = {}

    def observe(step: int, batches: Any, loss: float) -> None:
        found[step] = loss

    for steps, device in stages:
        # The schedule is that of a run of 6 steps, whatever part of it is run.
        sets = [
            f"data.shards={shards}", f"train.device={device}", "train.batch_size=8", "train.steps=6", "train.keep=1",
            "train.save_every=2", "train.threads=0", "optimiser.warmup_steps=1", "train.precision=fp32",
        ]  # fmt: skip
        recipe = recipes.load("tiny_cosmo", sets)
        with contextlib.suppress(_Enough):
            train(recipe, out, resume=True, console=Console(file=io.StringIO()), observe=_until(steps, observe))
    return [found[step] for step in sorted(found)]


class _Enough(Exception):
    pass


def _until(steps: int, observe: Any) -> Any:
    """Ends a run in the first step after `steps`: the checkpoint of `steps` is written then."""

    def see(step: int, batches: Any, loss: float) -> None:
        if step > steps:
            raise _Enough
        observe(step, batches, loss)

    return see
