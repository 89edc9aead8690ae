"""The model card of an export: data, training, evaluations, use, limits, licence and how to load it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from cosmos_recipe import cosmos_recipe
from cosmos_train.cli import app
from cosmos_train.families.base import Family, Trained
from cosmos_train.families.registry import find
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train.card import complete, evaluations
from cosmos_train.train.trainer import train
from cumo_recipe import cumo_recipe
from interlink.storage import Storage
from releasing import make, put, simple

SECTIONS = ["Training data", "Training", "Evaluation", "Intended use", "Limits", "Licence"]


@pytest.fixture(scope="module")
def run(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("card") / "run"
    train(cosmos_recipe(shards, train__steps=1), folder, False, Console(quiet=True))
    return folder


def stored(run: Path, step: int, **result: Any) -> None:
    (run / "evaluations").mkdir(exist_ok=True)
    content = {"format_version": 1, "task": "imagenet-classify", "step": step, "results": [result]}
    (run / "evaluations" / f"imagenet-classify-{step}.json").write_text(json.dumps(content))


def front_matter(card: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(card.split("---")[1])
    return found


def test_an_export_says_everything_and_names_no_folder(run: Path, shards: Path, tmp_path: Path) -> None:
    stored(run, 1, measure="accuracy", score=41.25, error=0.5, chance=0.1, split="val", examples=50000)
    stored(run, 9, measure="accuracy", score=99.0)  # of another step
    (run / "evaluations" / "broken-1.json").write_text("[")
    given = ["export", str(run), str(tmp_path / "out"), "--licence", "apache-2.0"]
    assert CliRunner().invoke(app, given).exit_code == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert [line.removeprefix("## ") for line in card.splitlines() if line.startswith("## ")] == SECTIONS
    about = front_matter(card)
    assert (about["license"], about["library_name"]) == ("apache-2.0", "open_clip")
    assert about["pipeline_tag"] == "zero-shot-image-classification" and about["tags"] == ["interlink", "cosmos"]
    assert 'open_clip.create_model_from_pretrained("local-dir:FOLDER")' in card
    assert "| imagenet-classify | val |  | accuracy | 41.25 | 0.50 | 0.10 | 50000 |" in card and "99.00" not in card
    assert "1 of 1 steps of " in card and "The weights are under apache-2.0." in card
    assert str(shards.parent) not in card and str(tmp_path) not in card


def families(tiny: Callable[..., Recipe]) -> list[tuple[Family, Recipe]]:
    return [(find("cosmo"), tiny()), (find("cosmos"), cosmos_recipe("")), (find("cumo"), cumo_recipe(""))]


def test_every_family_has_use_limits_and_a_task_of_the_hub(tiny: Callable[..., Recipe], words: Tokenizer) -> None:
    for family, recipe in families(tiny):
        card = complete("# title", Trained(Path("out"), recipe, words, 5, ""), family)
        assert family.use != Family.use and family.limits != Family.limits
        assert family.use in card and family.limits in card and front_matter(card)["pipeline_tag"] == family.hub_task
        assert "license" not in front_matter(card) and "No licence is stated for the weights." in card
        assert "No evaluation of these weights is stored" in card


def test_data_are_described_by_their_own_release(tiny: Callable[..., Recipe], words: Tokenizer, tmp_path: Path) -> None:
    root = put(Storage(str(tmp_path / "root")), [simple(n) for n in range(3)])
    make(root, tmp_path / "out", "pairs", val_share=0.0, name="kitchen")
    (tmp_path / "lm").mkdir()
    language = {"name": str(tmp_path / "lm")}
    recipe = tiny(
        data__shards=[str(tmp_path / "out" / "pairs" / "train"), "lab/clips", "s3://secret-bucket/team/tars"],
        train__start_from=str(tmp_path / "runs" / "first"),
    )
    recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={
        "language": recipe.model.language.model_copy(update=language)})})  # fmt: skip
    card = complete("# title", Trained(tmp_path, recipe, words, 5, "0123456789abcdef0"), find("cosmo"))
    assert "| data | kitchen | 3 | CC-BY-4.0 3 |" in card
    assert "| data | lab/clips | not known | not known |" in card and "| data | tars | not known | not known |" in card
    assert "It began with `lm`, `first`." in card and "Signature of the shards: `0123456789abcdef`." in card
    assert str(tmp_path) not in card and "secret-bucket" not in card


def test_weights_that_are_of_no_run_have_no_evaluations(run: Path, tmp_path: Path) -> None:
    assert evaluations(tmp_path, 1) == []
    assert evaluations(run / "checkpoints" / "step-00000001", 77) == []
