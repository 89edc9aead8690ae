"""Checkpoints of a small module: names of tensors, what a damaged or foreign one is refused for, the newest one."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cosmos_train.errors import UserError
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train import checkpoint
from cosmos_train.train.checkpoint import Saver, State, differences, find, latest, load, restore, tensors_of
from cosmos_train.train.parallel import World

ALONE = World(0, 1, 1, torch.device("cpu"))
MakeSaver = Callable[..., Saver]


class Model(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.second.weight = self.first.weight  # tied
        self.register_buffer("seen", torch.ones(2))
        self.register_buffer("computed", torch.ones(2), persistent=False)


def trained(steps: int = 1) -> tuple[Model, torch.optim.Optimizer]:
    torch.manual_seed(steps)
    model = Model()
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    for _ in range(steps):
        optimiser.zero_grad()
        model.second(model.first(torch.ones(1, 3))).sum().backward()
        optimiser.step()
    return model, optimiser


def state(step: int = 4) -> State:
    return State(
        step, {"batches": [step]}, 2, "shards", {"begin": "<s>", "end": "</s>", "pad": "<pad>"}, guard={"n": 1}
    )


@pytest.fixture
def saver(tiny: Callable[..., Recipe], words: Tokenizer, tmp_path: Path) -> Iterator[Saver]:
    found = Saver(tmp_path, tiny(), words, ALONE)
    yield found
    found.close()


def saved(saver: Saver, step: int, tensors: dict[str, Tensor]) -> Path:
    saver.save(state(step), tensors)
    found = saver.wait()
    assert found is not None
    return found


def test_tensors_have_names_and_tied_weights_are_one() -> None:
    model, optimiser = trained()
    weights = {"model.first.weight", "model.first.bias", "model.second.bias", "model.seen"}
    assert tensors_of(model).keys() == weights
    found = tensors_of(model, optimiser, {"first.weight": torch.zeros(3, 3)})
    moments = {f"optimiser.{name}.{key}" for name in ("first.weight", "first.bias", "second.bias")
               for key in ("step", "exp_avg", "exp_avg_sq")}  # fmt: skip
    assert found.keys() == weights | moments | {"average.first.weight"}
    assert not any(tensor.requires_grad for tensor in found.values())


def test_everything_comes_back_as_it_was(saver: Saver, tmp_path: Path) -> None:
    model, optimiser = trained(3)
    average = {"first.weight": torch.full((3, 3), 7.0)}
    folder = saved(saver, 4, tensors_of(model, optimiser, average))
    assert folder == tmp_path / "checkpoints" / "step-00000004" == latest(tmp_path) == saver.newest
    loaded = load(tmp_path)
    assert (loaded.state, loaded.recipe, loaded.folder) == (state(), saver.recipe, folder)
    assert (loaded.trained.step, loaded.trained.shards, loaded.trained.folder) == (4, "shards", folder)
    other, second = trained(1)
    kept = {"first.weight": torch.zeros(3, 3)}
    restore(loaded, other, second, kept)
    for (name, one), two in zip(
        tensors_of(model, optimiser, average).items(), tensors_of(other, second, kept).values(), strict=True
    ):
        assert torch.equal(one, two), name


def test_state_of_another_shape_than_its_parameter_comes_back(saver: Saver, tmp_path: Path) -> None:
    model, optimiser = trained()
    rows = torch.arange(3.0)
    optimiser.state[model.first.weight]["rows"] = rows
    saved(saver, 4, tensors_of(model, optimiser))
    other, second = trained(2)
    restore(load(tmp_path), other, second)
    assert torch.equal(second.state[other.first.weight]["rows"], rows)
    assert second.state[other.first.weight]["exp_avg"].shape == (3, 3)
    assert float(second.state[other.first.weight]["step"]) == 1


def test_an_average_that_was_not_saved_starts_at_the_weights(saver: Saver, tmp_path: Path) -> None:
    model, _ = trained(2)
    saved(saver, 4, tensors_of(model, None, {"first.weight": torch.full((3, 3), 7.0)}))
    other, _ = trained(1)
    average = {"first.weight": torch.zeros(3, 3), "first.bias": torch.zeros(3)}
    restore(load(tmp_path), other, average=average)
    assert torch.equal(average["first.weight"], torch.full((3, 3), 7.0))
    assert torch.equal(average["first.bias"], model.first.bias.detach())
    restore(load(tmp_path), other, use_average=True)
    assert torch.equal(other.first.weight, torch.full((3, 3), 7.0))
    assert torch.equal(other.second.bias, model.second.bias)  # not averaged: as it was learned


def test_without_an_average_asking_for_it_is_refused(saver: Saver, tmp_path: Path) -> None:
    saved(saver, 4, tensors_of(trained()[0]))
    with pytest.raises(UserError, match="holds no moving average") as caught:
        restore(load(tmp_path), Model(), use_average=True)
    assert caught.value.code == 2
    with pytest.raises(UserError, match=r"of another model: first\.weight is \(3, 3\), not \(4, 4\)"):
        restore(load(tmp_path), Model(4))


def test_the_newest_few_are_kept_and_leftovers_of_a_kill_go(saver: Saver, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    (folder / ".tmp-step-00000001").mkdir(parents=True)
    (folder / ".tmp-latest").write_text("half")
    tensors = tensors_of(trained()[0])
    for step in (2, 4, 6):
        saved(saver, step, tensors)
    assert sorted(path.name for path in folder.iterdir()) == ["latest", "step-00000004", "step-00000006"]
    assert (folder / "latest").read_text() == "step-00000006\n"
    saved(saver, 6, tensors)  # again: the old one is replaced
    assert saver.wait() == folder / "step-00000006"
    assert not saver.failed


def test_a_pointer_counts_only_if_its_checkpoint_is_whole(saver: Saver, tmp_path: Path) -> None:
    assert latest(tmp_path) is None and find(tmp_path) is None
    assert saver.wait() is None
    tensors = tensors_of(trained()[0])
    one, two = saved(saver, 2, tensors), saved(saver, 4, tensors)
    pointer = tmp_path / "checkpoints" / "latest"
    pointer.write_text("step-00000002\n")
    assert latest(tmp_path) == one
    pointer.write_text("step-00000009")
    assert latest(tmp_path) == two
    (two / "state.json").unlink()
    assert latest(tmp_path) == one == find(tmp_path) == find(one)


def test_what_is_no_checkpoint_or_a_damaged_one_is_refused(saver: Saver, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, said in (
        (tmp_path / "file", "is a file, not a run or a checkpoint"),
        (tmp_path, "there is no checkpoint"),
    ):
        with pytest.raises(UserError, match=said) as caught:
            load(path)
        assert caught.value.code == 2
    folder = saved(saver, 4, tensors_of(trained()[0]))
    for name, text in (("state.json", json.dumps({**asdict(state()), "new": 1})), ("recipe.yaml", "a: ["),
                       ("state.json", "[" * 100_000), ("tokenizer.json", "{")):  # fmt: skip
        whole = (folder / name).read_text()
        (folder / name).write_text(text)
        with pytest.raises(UserError):
            load(folder)
        (folder / name).write_text(whole)
    [weights] = folder.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:50])
    with pytest.raises(UserError, match="step-00000004 is damaged"):
        restore(load(folder), Model())


class Planted:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> Any:
        return Path.touch, (self.made,)


def test_a_planted_pickle_or_tag_does_not_run(saver: Saver, tmp_path: Path) -> None:
    """What `run --resume`, `upcycle` and the caption engine `checkpoint:` read goes through `load` and `restore`."""
    folder = saved(saver, 4, tensors_of(trained()[0]))
    made = tmp_path / "it_ran"
    planted = pickle.dumps(Planted(made))
    for name in (".metadata", "__0_0.distcp", "model.pt", "pytorch_model.bin", "optimizer.pt", "shard-x.pkl"):
        (folder / name).write_bytes(planted)
    restore(load(folder), Model())
    [weights] = folder.glob("*.safetensors")
    weights.write_bytes(planted)
    with pytest.raises(UserError):
        restore(load(folder), Model())
    for name in ("state.json", "tokenizer.json", "recipe.yaml"):
        whole = (folder / name).read_bytes()
        for evil in (planted, f"!!python/object/apply:pathlib.Path.touch [{made}]".encode()):
            (folder / name).write_bytes(evil)
            with pytest.raises(UserError):
                load(folder)
        (folder / name).write_bytes(whole)
    assert not made.exists()
    pickle.loads(planted)
    assert made.exists(), "the plant works where it is loaded"


def test_a_failed_save_is_raised_by_the_next_call_and_leaves_nothing(saver: Saver, tmp_path: Path) -> None:
    saved(saver, 2, tensors_of(trained()[0]))
    commit: Any = saver._commit

    def full(temporary: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    saver._commit = full  # type: ignore[method-assign]
    saver.save(state(4), tensors_of(trained()[0]))
    saver._thread.submit(lambda: None).result()
    assert saver.failed
    with pytest.raises(UserError, match=r"cannot save a checkpoint to .*step-00000004: .*No space left"):
        saver.wait()
    assert not saver.failed
    saver._commit = commit  # type: ignore[method-assign]
    assert saver.wait() == tmp_path / "checkpoints" / "step-00000002"
    assert not list((tmp_path / "checkpoints").glob(".tmp-*"))
    assert saved(saver, 6, tensors_of(trained()[0])).name == "step-00000006"


def test_differences_of_recipes_are_named_by_key(tiny: Callable[..., Recipe]) -> None:
    one, other = tiny(), tiny(train__steps=9, optimiser__lr=1.0, seed=4)
    assert differences(one, other) == ["optimiser.lr 0.002 → 1.0", "seed 3 → 4", "train.steps 8 → 9"]
    assert differences(one, other, ["train", "data"]) == ["train.steps 8 → 9"]
    assert differences(one, one) == []


def test_nothing_of_a_state_is_lost_in_its_file() -> None:
    assert State(**json.loads(json.dumps(asdict(state())))) == state()
    assert (state().world, state().scaler) == (1, {})
    assert checkpoint.State(1, {}, 0, "", {}).guard == {}
