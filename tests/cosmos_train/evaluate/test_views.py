"""A COSMOS that has learned for some seconds finds captions of documents it has not seen, and pictures of captions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cosmos_recipe import cosmos_recipe
from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.evaluate.views import evaluate
from cosmos_train.recipe import Recipe
from cosmos_train.trainer import train

QUIET = Console(quiet=True)


def test_what_is_learned_holds_on_new_documents(make_shards: Callable[..., Path], tmp_path: Path) -> None:
    train_on = make_shards("train", documents=60, seed=1)
    held_out = make_shards("heldout", documents=24, seed=2, broken=(3,))
    recipe = cosmos_recipe(
        train_on, train__steps=100, train__batch_size=24, train__save_every=1000, optimiser__weight_decay=0.1,
        data__views={"local_size": 16, "local_views": 3, "augment": 0.0}, objective__teacher={"momentum": 0.95},
    )  # fmt: skip
    train(recipe, tmp_path / "run", False, QUIET)
    said = CliRunner().invoke(
        app, ["retrieve", str(tmp_path / "run"), "--set", f"data.shards={held_out}", "--candidates", "16", "--json"]
    )
    assert said.exit_code == 0, said.output
    student, teacher = json.loads(said.output)
    assert (student["part"], teacher["part"]) == ("student", "teacher")
    for one in (student, teacher):
        assert one["bad"] == 1
        assert one["scenes"] == 23 * 3
        for way in ("image_to_text", "text_to_image"):
            assert one[way]["recall"] > 3 * one[way]["chance"], (one["part"], way, one[way])
            assert one[way]["shuffled"] < 2.5 * one[way]["chance"]


def test_a_cosmo_is_sent_to_its_own_evaluation(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    train(tiny(train__steps=1), tmp_path / "run", False, QUIET)
    with pytest.raises(UserError, match="is no COSMOS"):
        evaluate(tmp_path / "run", [])
