"""A checkpoint is whole or absent, wherever its save ends, and the one before still loads."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import nn

from cosmos_train import recipe as recipes
from cosmos_train.errors import UserError
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train import checkpoint
from cosmos_train.train.checkpoint import Saver, State
from cosmos_train.train.parallel import World
from disk import FAULTS, Disk, Fault, Operation, in_child

STEPS = (2, 4, 6)  # that are there before, of which two are kept, and the one whose save is hit


class Setting(NamedTuple):
    """What a save needs, a folder with the checkpoints before, and what a save does to the disk."""

    recipe: Recipe
    tokenizer: Tokenizer
    before: Path
    operations: list[Operation]


def state_at(step: int) -> State:
    return State(step, {"sample": step}, 0, "corpus", {})


def weights_at(step: int) -> nn.Linear:
    model = nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.fill_(step)
        model.bias.fill_(step / 2)
    return model


def save(setting: Setting, out: Path, step: int, fault: Fault | None = None) -> list[Operation]:
    out.mkdir(exist_ok=True)
    world = World(0, 1, 1, torch.device("cpu"))
    with Disk(out, fault) as disk, closing(Saver(out, setting.recipe, setting.tokenizer, world)) as saver:
        saver.save(state_at(step), checkpoint.tensors_of(weights_at(step)))
        saver.wait()
    return disk.operations


@pytest.fixture(scope="module")
def setting(words: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    folder = tmp_path_factory.mktemp("faults")
    made = Setting(recipes.load("tiny_cosmo", ["data.shards=x", "train.keep=2"]), words, folder / "before", [])
    for step in STEPS[:2]:
        save(made, made.before, step)
    shutil.copytree(made.before, folder / "whole")
    made.operations.extend(save(made, folder / "whole", STEPS[2]))
    yield made


def step_of(out: Path) -> int:
    """The step that a run would go on from; its checkpoint is read, and holds what was saved."""
    loaded = checkpoint.load(out)
    model = nn.Linear(3, 2)
    checkpoint.restore(loaded, model)
    step = loaded.state.step
    assert loaded.state == state_at(step)
    assert torch.equal(model.weight, weights_at(step).weight) and torch.equal(model.bias, weights_at(step).bias)
    return step


def names(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "checkpoints").iterdir())


def test_a_checkpoint_is_synced_before_it_gets_its_name_and_the_pointer_moves_after(setting: Setting) -> None:
    kinds = [(operation.kind, operation.path, operation.target) for operation in setting.operations]
    temporary = "checkpoints/.tmp-step-00000006"
    named = kinds.index(("rename", temporary, "checkpoints/step-00000006"))
    pointed = kinds.index(("rename", "checkpoints/.tmp-latest", "checkpoints/latest"))
    removed = kinds.index(("rename", "checkpoints/step-00000002", "checkpoints/.tmp-old-step-00000002"))
    assert named < pointed < removed
    for number in (named, pointed):
        assert kinds[number + 1] == ("fsync", "checkpoints", "")
    before = setting.operations[:named]
    files = {operation.path for operation in before if operation.kind in ("open", "write")}
    assert {Path(name).suffix for name in files} == {".json", ".yaml", ".safetensors"}
    for name in files:
        last = max(n for n, operation in enumerate(before) if operation.path == name and operation.kind != "fsync")
        assert any(operation.kind == "fsync" and operation.path == name for operation in before[last:]), name
    assert before[-1] == Operation("fsync", temporary, is_folder=True)
    assert ("fsync", "checkpoints/.tmp-latest", "") in kinds[named:pointed]


@pytest.mark.parametrize("how", FAULTS)
def test_a_save_that_is_hit_at_some_points_leaves_a_whole_checkpoint(
    setting: Setting, how: str, tmp_path: Path
) -> None:
    strike(setting, how, list(range(FAULTS.index(how), len(setting.operations), 6)), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", FAULTS)
def test_a_save_that_is_hit_at_any_point_leaves_a_whole_checkpoint(setting: Setting, how: str, tmp_path: Path) -> None:
    strike(setting, how, list(range(len(setting.operations))), tmp_path)


def strike(setting: Setting, how: str, points: list[int], folder: Path) -> None:
    wrong: list[str] = []
    for at in points:
        out = folder / "out"
        shutil.copytree(setting.before, out)
        for problem in hit(setting, out, Fault(at, how)):
            wrong.append(f"{how} at {at}: {problem} ({setting.operations[at]})")
        shutil.rmtree(out)
    assert not wrong, "\n".join(wrong)


def hit(setting: Setting, out: Path, fault: Fault) -> Iterator[str]:
    """Saves step 6 with a fault, looks what is there, and saves step 8 without."""

    def attempt() -> None:
        try:
            save(setting, out, STEPS[2], fault)
        except UserError as error:
            assert "cannot save a checkpoint" in error.what and "earlier checkpoints are intact" in error.do

    code = in_child(attempt)
    if code != (0 if fault.how in ("ENOSPC", "EIO") else -9):
        yield f"the save with the fault ended with {code}"
    for found in (out / "checkpoints").glob("step-*"):  # whatever has a final name is whole
        if (code := in_child(lambda found=found: step_of(found))) != 0:  # type: ignore[misc]
            yield f"{found.name} does not load"
    if (code := in_child(lambda: check(out, STEPS[1:]))) != 0:
        yield "no checkpoint loads"
    if (code := in_child(lambda: save(setting, out, 8))) != 0:
        yield f"the save after it ended with {code}"
    if (code := in_child(lambda: check(out, (8,)))) != 0:
        yield "the checkpoint after it does not load"
    if any(name.startswith(".tmp-") for name in names(out)) or len(names(out)) != 3:
        yield f"left over: {names(out)}"


def check(out: Path, steps: tuple[int, ...]) -> None:
    assert step_of(out) in steps
