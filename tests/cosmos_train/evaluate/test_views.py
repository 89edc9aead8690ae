"""A COSMOS that has learned for some seconds finds captions of documents it has not seen, and pictures of captions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from cosmos_recipe import cosmos_recipe
from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.evaluate.run import evaluate_task
from cosmos_train.evaluate.views import evaluate
from cosmos_train.recipe import Recipe
from cosmos_train.train.trainer import train
from judged import COLOURS

QUIET = Console(quiet=True)
PLACES = {"left": (0, 0), "right": (1, 0), "below": (0, 1), "beyond": (1, 1)}


@pytest.mark.slow
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
    names_colours(tmp_path / "run", tmp_path)


def names_colours(run: Path, tmp_path: Path) -> None:
    """Zero-shot, of squares in places that no prompt names alone."""
    for number in range(48):
        colour, place = list(COLOURS)[number % 6], list(PLACES.values())[number // 6 % 4]
        picture = Image.new("RGB", (64, 48), (65 + number,) * 3)
        picture.paste(COLOURS[colour], (32 * place[0] + 4, 24 * place[1] + 3, 32 * place[0] + 28, 24 * place[1] + 21))
        path = tmp_path / "set" / colour / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    (tmp_path / "prompts.txt").write_text("\n".join(f"a {{}} square lies {place}" for place in PLACES))
    for part in ("student", "teacher"):
        (found,) = evaluate_task(
            run, "folder-classify", tmp_path / "set", [], settings=[f"protocol.templates={tmp_path / 'prompts.txt'}"],
            part=part,
        )  # fmt: skip
        assert found.chance is not None
        assert found.score > 3 * found.chance, (part, found.score)


def test_a_cosmo_is_sent_to_its_own_evaluation(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    train(tiny(train__steps=1), tmp_path / "run", False, QUIET)
    with pytest.raises(UserError, match="is not a COSMOS"):
        evaluate(tmp_path / "run", [])
