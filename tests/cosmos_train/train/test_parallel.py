"""Several processes are one: the same losses, the same batches, across kills and changes of their number."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import nn

from cosmos_train import recipe as recipes
from cosmos_train.errors import UserError
from cosmos_train.recipe import ParallelSettings, Recipe
from cosmos_train.train import checkpoint
from cosmos_train.train.parallel import World, blocks_of, parallelize
from cosmos_train.train.trainer import train
from ranks import finish, here, read_diary, start

Tiny = Callable[..., Recipe]
QUIET = Console(quiet=True)


def write(recipe: Recipe, path: Path) -> str:
    path.write_text(recipes.dump(recipe))
    return str(path)


def losses(diary: dict[int, tuple[list[str], float]]) -> torch.Tensor:
    return torch.tensor([diary[step][1] for step in sorted(diary)], dtype=torch.float64)


@pytest.mark.processes
@pytest.mark.slow
def test_one_process_replicas_and_shards_learn_the_same(tiny: Tiny, shards: Path, tmp_path: Path) -> None:
    """Losses of five steps and the weights after them, through accumulation, clipping, averaging and a checkpoint.

    A probe after the third asks them all the same, and leaves the steps after it as they were.
    """
    (tmp_path / "slots.json").write_text('{"colour": {"red": ["red"], "green": ["green"], "blue": ["blue"]}}')
    probe: dict[str, Any] = {"every": 3, "slots": str(tmp_path / "slots.json"), "clips": 8, "max_tokens": 3}
    common = {
        "probe": probe | {"shards": str(shards)}, "train__steps": 5,
        "train__batch_size": 4, "train__accumulation": 2, "train__ema_decay": 0.9,
        "optimiser__clip_norm": 0.5, "train__save_every": 5,
    }  # fmt: skip
    modes: dict[str, dict[str, Any]] = {
        "single": {},
        "ddp": {"parallel__mode": "ddp"},
        "fsdp": {"parallel__mode": "fsdp"},
        "hsdp": {
            "parallel__mode": "hsdp",
            "parallel__shard_size": 1,
            "parallel__reshard": False,
            "parallel__recompute_every": 2,
        },
    }
    jobs = {
        name: {
            "recipe": write(tiny(**common, **settings), tmp_path / f"{name}.yaml"),
            "out": str(tmp_path / name),
            "diary": str(tmp_path / f"{name}.jsonl"),
        }
        for name, settings in modes.items()
    }
    alone = jobs.pop("single")
    together = start(list(jobs.values()), 2)
    here(alone)
    for code, said in finish(together):
        assert code == 0, said
    whole = read_diary(tmp_path / "single.jsonl")
    assert len(whole) == 5
    expected = _weights(tmp_path / "single")
    probed = _probed(tmp_path / "single")
    assert list(probed) == [3, 5]
    for name in jobs:
        for step, numbers in _probed(tmp_path / name).items():
            assert numbers == pytest.approx(probed[step], abs=0.15), name  # a tie may fall the other way
        found = read_diary(tmp_path / f"{name}.jsonl")
        assert {step: digests for step, (digests, _) in found.items()} == {s: d for s, (d, _) in whole.items()}, name
        assert torch.allclose(losses(found), losses(whole), rtol=0, atol=1e-5), name
        for key, value in _weights(tmp_path / name).items():
            assert torch.allclose(value, expected[key], atol=2e-4), (name, key)  # AdamW turns 1e-8 of noise into 1e-4


def _probed(out: Path) -> dict[int, dict[str, float]]:
    """What the probe said, by step."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line for line in lines if "probe/colour" in line}


def _weights(out: Path) -> dict[str, torch.Tensor]:
    """Weights and their average, read back whole into one process, however many wrote them."""
    from cosmos_train.train.starting import load_model

    found = {}
    for average in (False, True):
        _, model = load_model(out, average)
        found |= {f"{name} {average}": p.detach() for name, p in model.named_parameters()}
    return found


@pytest.mark.slow
@pytest.mark.processes
def test_kills_and_changes_of_the_number_of_processes_change_no_batch(tiny: Tiny, tmp_path: Path) -> None:
    """One process, killed; two (sharded), one of them killed; one to the end: as if nothing had happened."""
    draw = random.Random(time.time_ns())  # any step will do, once a checkpoint is surely whole
    first, second = draw.randint(5, 9), draw.randint(12, 17)
    print("killed after steps", first, second)
    settings = {"train__steps": 20, "train__batch_size": 4, "train__save_every": 2, "parallel__mode": "fsdp"}
    job = {
        "recipe": write(tiny(**settings), tmp_path / "recipe.yaml"),
        "out": str(tmp_path / "run"),
        "diary": str(tmp_path / "cut.jsonl"),
        "resume": True,
    }
    cut_short = start([{**job, "kill": {"0": first}}], 1)
    here({**job, "out": str(tmp_path / "whole"), "diary": str(tmp_path / "whole.jsonl")})
    [(code, _)] = finish(cut_short)
    assert code == -9
    before_second = checkpoint.load(tmp_path / "run").state.step
    codes = finish(start([{**job, "kill": {"1": second}}], 2))
    assert codes[1][0] == -9
    assert codes[0][0] == 1
    assert "rank 0 of 2 stops: another process is gone" in codes[0][1]
    assert checkpoint.load(tmp_path / "run").state.step >= second - 3
    after_second = checkpoint.load(tmp_path / "run").state.step
    here(job)
    cut, uncut = read_diary(tmp_path / "cut.jsonl"), read_diary(tmp_path / "whole.jsonl")
    assert {step: digests for step, (digests, _) in cut.items()} == {s: d for s, (d, _) in uncut.items()}
    assert torch.allclose(losses(cut), losses(uncut), rtol=0, atol=1e-5)
    for step in range(1, before_second + 1):  # one process all the way
        assert cut[step][1] == uncut[step][1], step
    assert before_second <= first and second - 3 <= after_second <= second


def test_blocks_are_the_members_of_the_outermost_lists() -> None:
    layer = nn.Sequential(nn.ModuleList([nn.Linear(1, 1)]), nn.ReLU())
    model = nn.Module()
    model.inner = nn.Module()
    model.inner.layers = nn.ModuleList([layer, layer])
    model.extra = nn.ModuleDict({"3": nn.Linear(2, 2)})
    assert list(blocks_of(model)) == [layer, model.extra["3"]]


def test_recomputing_activations_changes_no_gradient_and_no_name() -> None:
    def build() -> nn.Module:
        torch.manual_seed(0)
        model = nn.Module()
        model.layers = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Tanh()) for _ in range(3)])
        return model

    def compute(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        for layer in model.layers:
            x = layer(x)
        return x.sum()

    gradients = []
    for every in (0, 1, 2):
        model = build()
        module = parallelize(
            model, compute, ParallelSettings(recompute_every=every), World(0, 1, 1, torch.device("cpu")), torch.float32
        )
        torch.manual_seed(1)
        module(torch.ones(2, 4, requires_grad=True)).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys() == gradients[2].keys()
    for other in gradients[1:]:
        assert all(torch.equal(gradients[0][name], other[name]) for name in gradients[0])


def test_compiled_blocks_compute_the_same_under_the_same_names() -> None:
    def compute(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return model.layers[0](x).sum()

    torch.manual_seed(0)
    model = nn.Module()
    model.layers = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), nn.Tanh())])
    x = torch.ones(2, 4)
    plain = compute(model, x)
    alone = World(0, 1, 1, torch.device("cpu"))
    module = parallelize(model, compute, ParallelSettings(compile=True), alone, torch.float32)
    compiled = module(x)
    compiled.backward()
    assert torch.allclose(compiled, plain)
    assert [name for name, p in model.named_parameters() if p.grad is not None] == [
        "layers.0.0.weight",
        "layers.0.0.bias",
    ]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_and_goes_on_to_the_bit(tiny: Tiny, tmp_path: Path, precision: str) -> None:
    recipe = tiny(train__precision=precision, train__save_every=3, train__steps=8)
    whole: dict[int, float] = {}
    train(recipe, tmp_path / "whole", console=QUIET, observe=lambda step, _, loss: whole.update({step: loss}))
    assert whole[8] < whole[1]
    cut: dict[int, float] = {}

    def observe(step: int, _: list[object], loss: float) -> None:
        if step == 5 and not cut.get(5):
            cut[5] = loss
            raise KeyboardInterrupt
        cut[step] = loss

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "cut", console=QUIET, observe=observe)
    saved = checkpoint.load(tmp_path / "cut").state
    assert saved.step == 3
    assert ("scale" in saved.scaler) == (precision == "fp16")
    train(recipe, tmp_path / "cut", True, QUIET, observe)
    assert cut == whole


def test_a_shard_size_that_does_not_divide_is_refused() -> None:
    world = World(0, 4, 4, torch.device("cpu"))
    with pytest.raises(UserError, match="4 processes cannot form groups of 3"):
        parallelize(
            nn.Linear(1, 1), lambda m, x: m(x), ParallelSettings(mode="hsdp", shard_size=3), world, torch.float32
        )
