"""An exported CuMo is the model: equal logits, read without the run or any name; and it is asked like a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.families.base import Trained
from cosmos_train.families.cosmo import export
from cosmos_train.families.cumo import export as cumo_export
from cosmos_train.families.cumo.family import CuMoFamily
from cosmos_train.families.cumo.model import build_cumo
from cosmos_train.models.pretrained import build_lm
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train.starting import family_at, load_any, load_model
from cosmos_train.train.trainer import Trainer, train
from cumo_recipe import cumo_recipe

QUIET = Console(quiet=True)
SIZE = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 128,
}  # fmt: skip
EXPERTS = {"count": 3, "top_k": 2, "places": ["vision", "connector"]}


def made(recipe: Recipe, words: Tokenizer, folder: Path) -> tuple[Trained, Any]:
    torch.manual_seed(1)
    model = build_cumo(recipe, words).eval()
    return Trained(folder, recipe, words, 7, "shards' signature"), model


@pytest.mark.parametrize("family", ["mistral", "tied", "mixtral"])
@pytest.mark.parametrize("experts", [{"count": 0}, EXPERTS])
def test_it_reloads_to_equal_logits(family: str, experts: dict[str, Any], words: Tokenizer, tmp_path: Path) -> None:
    config = {"model_type": "mistral" if family == "tied" else family, **SIZE, "tie_word_embeddings": family == "tied"}
    language = {"config": config | ({"num_local_experts": 4} if family == "mixtral" else {}), "vocabulary": 400}
    loaded, model = made(cumo_recipe("", model__language=language, model__experts=experts), words, tmp_path)
    cumo_export.write(tmp_path, loaded, model)
    found, again = cumo_export.load(tmp_path)
    with torch.no_grad():
        for one, other in zip(CuMoFamily().drawn_outputs(model), CuMoFamily().drawn_outputs(again), strict=True):
            assert torch.equal(one, other)
    assert found.step == 7
    assert found.tokenizer.encode("a red square") == words.encode("a red square")
    assert found.recipe.data.talk == loaded.recipe.data.talk
    assert family_at(tmp_path).kind == "cumo"


def test_a_language_model_and_a_tower_that_came_by_name_are_spelled_out(words: Tokenizer, tmp_path: Path) -> None:
    lm = tmp_path / "lm"
    config = {"model_type": "mistral", **SIZE}
    build_lm(
        cumo_recipe("", model__language={"config": config, "vocabulary": 400}).model.language, words
    ).save_pretrained(lm)
    recipe = cumo_recipe(
        "", model__language={"name": str(lm), "trained": "all"}, model__vision={"name": "ViT-S-32-alt"},
        data__image={"size": 448}, data__talk={"prompt": "plain", "image_tokens": 49}, train__start_from=str(lm),
    )  # fmt: skip
    loaded, model = made(recipe, words, tmp_path)
    (tmp_path / "out").mkdir()
    cumo_export.write(tmp_path / "out", loaded, model)
    shutil.rmtree(lm)
    _, again = cumo_export.load(tmp_path / "out")
    with torch.no_grad():
        assert torch.equal(CuMoFamily().drawn_outputs(model)[0], CuMoFamily().drawn_outputs(again)[0])
    assert str(tmp_path) not in (tmp_path / "out" / "config.json").read_text()


def test_a_run_is_exported_asked_and_gone_on_with(shards: Path, tmp_path: Path) -> None:
    from judged import paint

    recipe = cumo_recipe(shards, train__steps=2, data__talk={"prompt": "mistral_instruct", "image_tokens": 4})
    train(recipe, tmp_path / "run", False, QUIET)
    said = CliRunner().invoke(app, ["export", str(tmp_path / "run"), str(tmp_path / "out")])
    assert said.exit_code == 0, said.output
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["model_type"], config["architectures"]) == ("cumo", ["CuMo"])
    assert json.loads((tmp_path / "out" / "preprocessor_config.json").read_text())["image_aspect_ratio"] == "pad"
    asked = {"20": {"question": "Is it?", "imageId": "n1", "answer": "no"}}
    (tmp_path / "gqa").mkdir()
    (tmp_path / "gqa" / "testdev_balanced_questions.json").write_text(json.dumps(asked))
    paint(tmp_path / "gqa" / "n1.jpg")
    answers = []
    for name in ("run", "out"):
        command = ["evaluate", str(tmp_path / name), "--task", "gqa", "--data", str(tmp_path / "gqa")]
        done = CliRunner().invoke(
            app, [*command, "--predictions", str(tmp_path / f"said-{name}"), "--set", "protocol.talk.tokens=4"]
        )
        assert done.exit_code == 0, done.output
        answers.append((tmp_path / f"said-{name}" / "gqa-0.jsonl").read_text().splitlines()[1])
    assert answers[0] == answers[1]
    begun = Trainer(cumo_recipe(shards, train__start_from=str(tmp_path / "out")), tmp_path / "next", False, QUIET)
    _, source = load_any(tmp_path / "run")
    for name, tensor in source.state_dict().items():
        assert torch.equal(begun.model.state_dict()[name], tensor), name


def test_another_kind_or_a_damaged_folder_is_said(words: Tokenizer, tmp_path: Path) -> None:
    cumo_export.write(tmp_path, *made(cumo_recipe(""), words, tmp_path))
    with pytest.raises(UserError, match="is not an exported CosMo"):
        export.load(tmp_path)
    with pytest.raises(UserError, match="is a cumo, not a CosMo"):
        load_model(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match="is damaged"):
        load_any(tmp_path)
