"""Pictures of attention: what is drawn is what the poolers weigh, and a trained model looks at what is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from cosmos_recipe import cosmos_recipe
from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.families.cosmos.attend import attend, look
from cosmos_train.families.cosmos.model import Cosmos
from cosmos_train.recipe import Recipe
from cosmos_train.train.starting import load_any
from cosmos_train.train.trainer import train
from interlink.sample import stills, subject


@pytest.fixture(scope="module")
def run(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("attend") / "run"
    train(cosmos_recipe(shards, train__steps=2), out, False, Console(quiet=True))
    return out


def test_maps_are_the_poolers_weights_from_0_to_1(run: Path) -> None:
    loaded, model = load_any(run)
    assert isinstance(model, Cosmos)
    picture = np.random.default_rng(0).integers(0, 256, (3, 32, 32)).astype(np.uint8)
    found = look(model, loaded.tokenizer, picture, "a red square lies left")
    assert found.patches.shape == (4, 4)
    assert (found.patches.min(), found.patches.max()) == (0, 1)
    assert (found.weights.min(), found.weights.max()) == (0, 1)
    assert len(found.weights) == len(found.tokens)
    assert "".join(found.tokens) == "aredsquareliesleft"
    student = model.student
    with torch.no_grad():
        images = student.images(model.normalised(torch.from_numpy(picture)[None]))
        ids = torch.zeros(1, 16, dtype=torch.long)
        spelled = [loaded.tokenizer.begin, *loaded.tokenizer.encode("a red square lies left"), loaded.tokenizer.end]
        ids[0, : len(spelled)] = torch.tensor(spelled)
        weights = student.visual.attn_cross_pool.weights(student.texts(ids).pooled[:, None], images.tokens)[0, 0]
    assert int(weights.argmax()) == int(found.patches.argmax())


def test_a_png_is_drawn(run: Path, tmp_path: Path) -> None:
    Image.new("RGB", (80, 60), (200, 30, 30)).save(tmp_path / "red.png")
    out = tmp_path / "maps" / "red.png"
    said = CliRunner().invoke(
        app, ["attend", str(run), str(tmp_path / "red.png"), "a red square " * 6, "--out", str(out)]
    )
    assert said.exit_code == 0, said.output
    assert "similarity" in said.output
    with Image.open(out) as drawn:
        assert drawn.size[0] > 600 and drawn.size[1] > 340
        assert np.asarray(drawn).std() > 10


def test_what_is_no_cosmos_or_no_picture_is_said(run: Path, tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    loaded, model = load_any(run)
    (tmp_path / "no.jpg").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"no\.jpg: is no picture"):
        attend(model, loaded.tokenizer, tmp_path / "no.jpg", "a cup", tmp_path / "out.png")
    with pytest.raises(UserError, match="the caption is empty"):
        attend(model, loaded.tokenizer, tmp_path / "no.jpg", " ", tmp_path / "out.png")
    train(tiny(train__steps=1), tmp_path / "cosmo", False, Console(quiet=True))
    said = CliRunner().invoke(app, ["attend", str(tmp_path / "cosmo"), str(tmp_path / "no.jpg"), "a cup"])
    assert isinstance(said.exception, UserError) and "is not a COSMOS" in str(said.exception)


@pytest.mark.slow
def test_a_trained_model_looks_at_what_is_named_and_not_at_what_is_not(tmp_path: Path) -> None:
    for split, documents in (("train", 150), ("heldout", 12)):
        stills.write(tmp_path / split, documents, split=split, staging=subject.staging())  # type: ignore[arg-type]
    recipe = cosmos_recipe(
        tmp_path / "train", train__steps=150, train__batch_size=16, train__save_every=150, optimiser__lr=4e-3,
        data__views={"local_size": 16, "local_views": 4, "sentences": 2, "augment": 0.25, "crop_scale": 0.7},
        objective__teacher__momentum=0.97, probe={"every": 150, "shards": str(tmp_path / "heldout"), "clips": 48},
    )  # fmt: skip
    train(recipe, tmp_path / "run", False, Console(quiet=True))
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    for kind in ("name", "act"):  # what these sentences leave open is to be seen at the subject
        for measure in ("overlap", "pointing"):
            seen, chance, other = (last[f"probe/{kind}_{one}"] for one in (
                measure, f"{measure}_chance", f"unnamed_{measure}",
            ))  # fmt: skip
            assert seen > 2 * chance and seen > 3 * other, (kind, measure, seen, chance, other)
