"""Chains: each stage begins where another ended, is done once, and says what is missing before any is run."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from cosmos_recipe import cosmos_recipe
from cosmos_train import recipe as recipes
from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.experiments import ablate as ablations
from cosmos_train.experiments import chain as chains
from cosmos_train.experiments.chain import Planned
from cosmos_train.families.cosmo.model import CosMo
from cosmos_train.families.cosmos.model import Cosmos
from cosmos_train.models.moe import mixtures
from cosmos_train.recipe import Recipe
from cosmos_train.train.starting import load_any

TOWER = {"layers": 2, "width": 48, "head_width": 24, "patch_size": 8}
EXPERTS = {"count": 2, "top_k": 1, "places": ["vision"]}


@pytest.fixture
def chain(tiny: Callable[..., Recipe], shards: Path, tmp_path: Path) -> Path:
    """COSMOS, CosMo with its tower, upcycled, trained on: two steps each."""
    few: dict[str, Any] = {"train__steps": 2, "train__batch_size": 2, "train__save_every": 2}
    cosmos = cosmos_recipe(shards, model__vision={"config": TOWER, "frozen": False}, **few)
    (tmp_path / "cosmos.yaml").write_text(recipes.dump(cosmos))
    (tmp_path / "cosmo.yaml").write_text(recipes.dump(tiny(**few)))
    stages = {
        "cosmos": {"recipe": str(tmp_path / "cosmos.yaml")},
        "cosmo": {
            "recipe": str(tmp_path / "cosmo.yaml"), "vision_of": "cosmos", "part": "teacher",
            "set": ["model.vision.frozen=true"],
        },
        "experts": {"upcycle": "cosmo", "experts": EXPERTS},
        "full": {
            "recipe": str(tmp_path / "cosmo.yaml"), "start_from": "experts",
            "set": ["model.experts={count: 2, top_k: 1, places: [vision]}"],
        },
    }  # fmt: skip
    path = tmp_path / "chain.yaml"
    path.write_text(yaml.safe_dump({"name": "meet", "stages": stages}, sort_keys=False))
    return path


def quiet(_: str) -> None: ...


def test_the_chain_is_one_command_and_each_stage_begins_with_the_last(chain: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = CliRunner().invoke(app, ["run", str(chain), "--out", str(out), "--set", "full:train.steps=1"])
    assert said.exit_code == 0, said.output
    assert "1 blocks of 2" not in said.output and "2 blocks of 2 experts" in said.output
    _, cosmos = load_any(out / "cosmos")
    _, cosmo = load_any(out / "cosmo")
    loaded, full = load_any(out / "full")
    assert isinstance(cosmos, Cosmos) and isinstance(cosmo, CosMo)
    tower: Any = cosmo.vision.tower
    assert torch.equal(tower.conv1.weight, cosmos.teacher.visual.conv1.weight)  # frozen: as it was taken
    assert not torch.equal(tower.conv1.weight, cosmos.student.visual.conv1.weight)
    assert len(mixtures(full)) == 2
    assert loaded.step == 1
    logged = [json.loads(line) for line in (out / "full" / "metrics.jsonl").read_text().splitlines()]
    first = logged[0]
    assert first["loss"] == pytest.approx(first["language"] + first["contrastive"] + first["routing"], rel=1e-5)
    assert first["routing"] > 0.1  # L_b of even use is 1, times 0.1
    assert 0 <= first["experts/least_used"] <= 1


def test_what_is_done_is_not_done_again(chain: Path, tmp_path: Path) -> None:
    stages = chains.plan(chains.load(chain), tmp_path / "out")
    trained: list[str] = []

    def train(stage: Planned) -> bool:
        trained.append(stage.name)
        return chains.train_here(stage)

    numbers = chains.run(stages, quiet, train)
    assert trained == ["cosmos", "cosmo", "full"]
    assert numbers is not None and numbers["step"] == 2
    assert numbers["chain_seconds"] > numbers["seconds"] > 0
    assert chains.run(stages, quiet, train) == numbers
    assert trained == ["cosmos", "cosmo", "full"]
    with pytest.raises(UserError, match=r"out.cosmo holds a run with other settings"):
        chains.run(chains.plan(chains.load(chain), tmp_path / "out", ["cosmo:train.steps=3"]), quiet, train)
    later = chains.plan(chains.load(chain), tmp_path / "out", ["cosmos:train.steps=3"])
    with pytest.raises(UserError, match=r"out.cosmos holds a run with other settings"):
        chains.run(later, quiet, train)


def test_a_chain_cut_off_goes_on_where_it_was(chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cosmos_train.train import trainer

    train, calls = trainer.train, []

    def cut(recipe: Recipe, out: Path, **arguments: Any) -> Any:
        """The second stage is stopped by a signal after its first step."""
        calls.append(out.name)
        if len(calls) == 2:
            return train(recipe, out, observe=lambda *_: os.kill(os.getpid(), signal.SIGTERM), **arguments)
        return train(recipe, out, **arguments)

    monkeypatch.setattr(trainer, "train", cut)
    stages = chains.plan(chains.load(chain), tmp_path / "out", ["train.steps=3", "train.save_every=1"])
    assert chains.run(stages, quiet, chains.train_here) is None
    assert calls == ["cosmos", "cosmo"]
    (tmp_path / "out" / "experts").mkdir()
    (tmp_path / "out" / "experts" / "half").write_text("an upcycling that was cut off")
    assert chains.run(stages, quiet, chains.train_here) is not None
    assert calls == ["cosmos", "cosmo", "cosmo", "full"]
    assert "resuming after step" in (tmp_path / "out" / "cosmo" / "log.txt").read_text()


def test_shards_that_are_missing_are_reported_before_anything_runs(chain: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    said = CliRunner().invoke(
        app, ["run", str(chain), "--out", str(tmp_path / "out"), "--set", f"full:data.shards={nowhere}"]
    )
    assert isinstance(said.exception, UserError)
    assert "stage full" in said.exception.what and "nowhere" in said.exception.what
    assert "--set full:data.shards=" in said.exception.do
    assert not (tmp_path / "out").exists()


def test_mistakes_in_a_chain_are_reported(chain: Path, tmp_path: Path) -> None:
    read = chains.load(chain)
    with pytest.raises(UserError, match=r"stage cosmos: .*did you mean train\.steps"):
        chains.plan(read, tmp_path / "out", ["cosmos:train.stepz=1"])
    for wrong in ("experts:train.steps=1", "nothing:train.steps=1"):
        with pytest.raises(UserError, match="is not a stage that trains"):
            chains.plan(read, tmp_path / "out", [wrong])
    for stages, what in (
        ({"a": {"recipe": "x", "upcycle": "b"}}, "either `recipe` or `upcycle`"),
        ({"a": {"upcycle": "b"}}, "needs experts.count"),
        ({"a": {"recipe": "x", "start_from": "b"}, "b": {"recipe": "x"}}, "a needs b, which is not an earlier stage"),
        ({"../a": {"recipe": "x"}}, "a folder name"),
        ({"a": {"upcycle": "b", "experts": EXPERTS, "set": ["x=1"]}}, "takes only `experts`"),
    ):
        chain.write_text(yaml.safe_dump({"name": "wrong", "stages": stages}, sort_keys=False))
        with pytest.raises(UserError, match=what):
            chains.load(chain)
    said = CliRunner().invoke(app, ["size", "tiny_cosmos_full"])
    assert isinstance(said.exception, UserError) and "chain" in said.exception.what


@pytest.mark.parametrize("name", ["cosmos_full", "tiny_cosmos_full", "tiny_cumo"])
def test_the_chains_that_come_along_are_valid(name: str, tmp_path: Path) -> None:
    path = chains.find(name)
    assert path is not None
    chain = chains.load(path)
    assert chain.name == name
    stages = chains.plan(chain, tmp_path)
    assert [stage.folder for stage in stages] == [tmp_path / stage for stage in chain.stages]
    last = stages[-1].recipe
    assert last is not None and last.model.experts.count == 4
    assert last.train.start_from == str(tmp_path / chain.stages[stages[-1].name].start_from)
    assert chains.find("tiny_cosmo") is None and chains.find("nothing") is None


def test_variants_share_the_stages_that_they_have_in_common(chain: Path, tmp_path: Path) -> None:
    path = tmp_path / "ablations.yaml"
    variants = {
        "dense": {"recipe": str(tmp_path / "cosmo.yaml")},
        "full": {},
        "faster": {"set": ["full:optimiser.lr=4e-3"]},
    }
    values = {"recipe": str(chain), "seeds": [5], "measures": {"loss": "loss"}, "baseline": "dense"}
    path.write_text(yaml.safe_dump({**values, "variants": variants}, sort_keys=False))
    read = ablations.load(path)
    dense, full, faster = ablations.runs(read, tmp_path / "out")
    assert [stage.folder for stage in dense.stages] == [tmp_path / "out" / "dense" / "seed-5"]
    assert [stage.folder for stage in faster.stages[:3]] == [stage.folder for stage in full.stages[:3]]
    assert faster.stages[3].folder == tmp_path / "out" / "faster" / "seed-5" / "full"
    assert {stage.recipe.seed for run in (full, faster) for stage in run.stages if stage.recipe} == {5}
    own = {"full": read.variants["full"].model_copy(update={"set": ["cosmos:seed=7"]})}
    one, other = ablations.runs(read.model_copy(update={"seeds": [5, 6], "variants": own}), tmp_path / "again")
    assert one.stages[0].folder == other.stages[0].folder  # the same whatever the seed of the others
    assert one.stages[1].folder != other.stages[1].folder
    lines = ablations.ablate(read, tmp_path / "out", quiet)
    assert [line.done for line in lines] == [1, 1, 1]
    assert not (tmp_path / "out" / "faster" / "seed-5" / "cosmos").exists()
    numbers = json.loads((tmp_path / "out" / "faster" / "seed-5" / "result.json").read_text())["numbers"]
    assert numbers["chain_cpu_seconds"] > numbers["cpu_seconds"]
