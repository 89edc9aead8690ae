"""The recipes that come along: all are valid, and the tiny twins take their big ones' path through the trainer."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cosmos_train.cli import app
from cosmos_train.recipe import BUNDLED, load
from cosmos_train.train.trainer import train

NAMES = sorted(path.stem for path in BUNDLED.glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_recipe_is_valid_and_named_after_its_file(name: str) -> None:
    assert load(name).name == name


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("tiny_cos")])
def test_a_tiny_twin_trains(name: str, shards: Path, tmp_path: Path) -> None:
    settings = {"data.shards": shards, "train.steps": 2, "train.batch_size": 2, "train.threads": 1}
    recipe = load(name, [f"{key}={value}" for key, value in settings.items()])
    result = train(recipe, tmp_path / "run")
    assert result.step == 2
    assert result.numbers["loss"] > 0


def test_the_size_of_a_recipe_is_reported_without_weights_or_data() -> None:
    answer = CliRunner().invoke(app, ["size", "cosmo_2b"], env={"COLUMNS": "120"})
    assert answer.exit_code == 0, answer.output
    last = answer.output.rstrip().splitlines()[-1].split()
    assert last[:3] == ["all", "212.54", "1831.48"]
    assert float(last[3]) == pytest.approx(1881.55, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "millions"), [("cosmos_vitb16_cc3m", 2 * 152.38), ("cumo_stage3_mistral7b", 8210.0), ("tiny_cosmos", 1.82)]
)
def test_the_size_of_other_kinds_is_reported_too(name: str, millions: float) -> None:
    answer = CliRunner().invoke(app, ["size", name], env={"COLUMNS": "120"})
    assert answer.exit_code == 0, answer.output
    last = answer.output.rstrip().splitlines()[-1].split()
    assert last[0] == "all"
    assert float(last[2]) == pytest.approx(millions, rel=0.01)
    assert float(last[3]) > 0
