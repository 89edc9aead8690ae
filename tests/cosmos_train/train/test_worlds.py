"""The processes of a run: sums, errors that all of them raise, devices, groups of shards, and lost processes."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from cosmos_train.errors import UserError
from cosmos_train.recipe import ParallelSettings, Recipe
from cosmos_train.train.parallel import World, _mesh, clip, device_of, lost, no_sync, parallelize, unshard, world_of
from forked import on_ranks

Tiny = Callable[..., Recipe]
CPU = torch.device("cpu")


def test_one_process_is_a_world_of_its_own(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with world_of(tiny()) as world:
        assert (world.rank, world.size, world.local_size, world.device, world.first) == (0, 1, 1, CPU, True)
        assert world.sum([1.5, 2.0]) == world.largest([1.5, 2.0]) == [1.5, 2.0]
        world.all_raise(None)
        with pytest.raises(ValueError, match="mine"):
            world.all_raise(ValueError("mine"))
    assert not World(1, 2, 2, CPU).first


def joined(tiny: Tiny, ports: tuple[int, int]) -> Callable[[int], Any]:
    def rank_of(rank: int) -> Any:
        dist.destroy_process_group()  # the one that the fork made: this test joins one by the environment
        names = {"WORLD_SIZE": 2, "RANK": rank, "LOCAL_RANK": 0, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": ports[0]}
        os.environ.update({name: str(value) for name, value in names.items()})
        os.environ.pop("LOCAL_WORLD_SIZE", None)
        with world_of(tiny()) as world:
            found = [world.rank, world.size, world.local_size, world.sum([rank + 1.0])]
            ours = dist.is_initialized()
        left = dist.is_initialized()
        os.environ["MASTER_PORT"] = str(ports[1])
        dist.init_process_group("gloo", world_size=2, rank=rank)
        with world_of(tiny()) as world:
            pass
        return found, ours, left, dist.is_initialized()

    return rank_of


def test_processes_join_as_the_environment_says_and_leave_the_group_that_they_made(tiny: Tiny) -> None:
    with socket.socket() as first, socket.socket() as second:
        for free in (first, second):
            free.bind(("127.0.0.1", 0))
        ports = first.getsockname()[1], second.getsockname()[1]
    found = on_ranks(2, joined(tiny, ports))
    assert [one[0] for one in found] == [[rank, 2, 2, [3.0]] for rank in range(2)]
    # A group that somebody else made (Ray Train) stays.
    assert [one[1:] for one in found] == [(True, False, True)] * 2


def exchanged(rank: int) -> dict[str, Any]:
    world = World(rank, 3, 3, CPU)
    found: dict[str, Any] = {"sum": world.sum([rank, 2.5]), "largest": world.largest([-rank, rank])}
    world.all_raise(None)
    try:
        world.all_raise(ValueError("full") if rank == 1 else None)
    except (UserError, ValueError) as error:
        found["raised"] = [type(error).__name__, str(error).splitlines()[0]]
    return found


def test_numbers_and_errors_are_those_of_all_ranks() -> None:
    found = on_ranks(3, exchanged)
    assert [one["sum"] for one in found] == [[3, 7.5]] * 3
    assert [one["largest"] for one in found] == [[0, 2]] * 3
    assert found[1]["raised"] == ["ValueError", "full"]
    for rank in (0, 2):
        assert found[rank]["raised"][0] == "UserError"
        assert found[rank]["raised"][1].startswith("rank 1: full")


def test_devices_follow_the_recipe(tiny: Tiny) -> None:
    assert device_of(tiny(train__device="cpu"), 3) == CPU
    assert device_of(tiny(train__device="cuda"), 3) == torch.device("cuda", 3)
    auto = device_of(tiny(train__device="auto"), 0)
    assert auto.type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(
    "text", ["Connection reset", "gloo: x", "NCCL error", "Timed out", "Socket", "peer", "Broken pipe"]
)
def test_errors_of_a_lost_process_are_known_by_their_text(text: str) -> None:
    assert lost(RuntimeError(text))
    assert lost(dist.DistBackendError("x")) and lost(dist.DistNetworkError("x"))
    assert not lost(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def compute(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return model(x).sum()  # type: ignore[no-any-return]


def steps(mode: Any) -> Callable[[int], Any]:
    def rank_of(rank: int) -> Any:
        torch.manual_seed(0)
        model = nn.Linear(2, 2, bias=False)
        settings = ParallelSettings.model_validate({"mode": mode})
        module = parallelize(model, compute, settings, World(rank, 2, 2, CPU), torch.float32)
        found = []
        for last in (False, True):
            with no_sync(module, last):
                module(torch.full((1, 2), 1.0 + rank)).backward()
            found.append(next(model.parameters()).grad.clone())  # type: ignore[union-attr]
        return found

    return rank_of


def test_gradients_add_up_on_their_rank_and_are_averaged_in_the_last_pass() -> None:
    found = on_ranks(2, steps("ddp"))
    for rank, (own, mean) in enumerate(found):
        assert torch.equal(own, torch.full((2, 2), 1.0 + rank))
        assert torch.equal(mean, torch.full((2, 2), 3.0))  # twice 1 and twice 2


def test_one_process_is_neither_replicated_nor_sharded() -> None:
    model = nn.Linear(2, 2)
    for mode in ("ddp", "fsdp"):
        settings = ParallelSettings.model_validate({"mode": mode})
        module: Any = parallelize(model, compute, settings, World(0, 1, 1, CPU), torch.float32)
        assert module.model is model and list(module.state_dict()) == ["model.weight", "model.bias"]
        with no_sync(module, False), unshard(module):
            assert float(module(torch.zeros(1, 2))) == pytest.approx(float(model.bias.sum()))


def test_clipping_scales_to_the_norm_and_gives_the_one_before() -> None:
    weight = nn.Parameter(torch.zeros(2))
    for largest, wanted in ((1.0, [0.6, 0.8]), (10.0, [3.0, 4.0])):
        weight.grad = torch.tensor([3.0, 4.0])
        assert float(clip([weight], largest)) == pytest.approx(5.0)
        assert weight.grad.tolist() == pytest.approx(wanted, rel=1e-5)


def test_every_nth_block_is_recomputed_and_only_with_gradients() -> None:
    class Counted(nn.Module):
        calls = 0

        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return self.linear(x).tanh()  # type: ignore[no-any-return]

    model = nn.Module()
    model.layers = nn.ModuleList([Counted() for _ in range(5)])

    def chain(model: Any, x: torch.Tensor) -> torch.Tensor:
        for layer in model.layers:
            x = layer(x)
        return x.sum()

    module = parallelize(model, chain, ParallelSettings(recompute_every=2), World(0, 1, 1, CPU), torch.float32)
    module(torch.ones(1, 2)).backward()
    assert [layer.calls for layer in model.layers] == [2, 1, 2, 1, 2]
    with torch.no_grad():
        module(torch.ones(1, 2))
    assert [layer.calls for layer in model.layers] == [3, 2, 3, 2, 3]


@pytest.mark.parametrize(
    ("mode", "size", "names", "shape"),
    [("fsdp", 0, ("shard",), (2,)), ("hsdp", 1, ("replicate", "shard"), (2, 1)),
     ("hsdp", 2, ("replicate", "shard"), (1, 2)), ("hsdp", 0, ("replicate", "shard"), (1, 2))],
)  # fmt: skip
def test_shards_lie_over_all_processes_or_over_groups(
    mode: str, size: int, names: tuple[str, ...], shape: tuple[int, ...]
) -> None:
    def rank_of(rank: int) -> Any:
        mesh = _mesh(ParallelSettings.model_validate({"mode": mode, "shard_size": size}), World(rank, 2, 2, CPU))
        return mesh.mesh_dim_names, tuple(mesh.mesh.shape)

    assert on_ranks(2, rank_of) == [(names, shape)] * 2
