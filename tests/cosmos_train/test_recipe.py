"""Recipes: typed, and mistakes are answered with what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos_train import recipe as recipes
from cosmos_train.errors import UserError


def test_bundled_recipes_load_and_survive_a_round_trip(tmp_path: Path) -> None:
    for bundled in recipes.BUNDLED.glob("*.yaml"):
        loaded = recipes.load(bundled.stem)
        (tmp_path / "again.yaml").write_text(recipes.dump(loaded))
        assert recipes.load(str(tmp_path / "again.yaml")) == loaded


def test_settings_are_typed() -> None:
    loaded = recipes.load("tiny_cosmo", ["train.steps=7", "optimiser.lr=3e-4", "data.shards=[a, b]"])
    assert (loaded.train.steps, loaded.optimiser.lr, loaded.data.shards) == (7, 3e-4, ["a", "b"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.step=7", "unknown key train.step .*train.steps"),
        ("optimizer.lr=1", "unknown key optimizer .*optimiser"),
        ("data.image.sise=32", r"unknown key data.image.sise .*data.image.size"),
        ("train.steps=many", "train.steps: "),
        ("train.steps=0", "train.steps: .*greater than 0"),
        ("train.steps", "not key=value"),
        ("name.first=x", "name is not a block"),
        ("model.vision.name=ViT-B-32", "either `name` or `config`"),
    ],
)
def test_mistakes_are_wrong_usage_and_say_what_is_meant(setting: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        recipes.load("tiny_cosmo", [setting])
    assert caught.value.code == 2
    assert caught.value.do


def test_a_missing_recipe_names_the_bundled_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no recipe nonsense") as caught:
        recipes.load("nonsense")
    assert "tiny_cosmo" in caught.value.do
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(UserError, match="is not YAML"):
        recipes.load(str(tmp_path / "bad.yaml"))
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(UserError, match="holds no settings"):
        recipes.load(str(tmp_path / "list.yaml"))


def test_every_key_says_what_it_is_for() -> None:
    assert [name for name, _, meaning in recipes.describe() if not meaning and name != "name"] == []
