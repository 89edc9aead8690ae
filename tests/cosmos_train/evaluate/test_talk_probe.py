"""The probe of a CuMo: its answers are the likeliest tokens, and are compared slot by slot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.evaluate.generate import never_said
from cosmos_train.evaluate.slots import Slots
from cosmos_train.evaluate.talk_probe import TalkProbe
from cosmos_train.evaluate.talker import Talker
from cosmos_train.families.cumo.model import CuMo
from cosmos_train.train.starting import load_any
from cosmos_train.train.trainer import train
from cumo_recipe import cumo_recipe
from pages import undocumented

COLOURS = {"colour": {name: [name] for name in ("red", "green", "blue", "yellow", "purple", "white")}}


@pytest.fixture(scope="module")
def run(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("talk")
    (root / "slots.json").write_text(json.dumps(COLOURS))
    probe = {"every": 20, "shards": str(shards), "slots": str(root / "slots.json"), "clips": 12, "max_tokens": 12}
    recipe = cumo_recipe(shards, train__steps=30, train__save_every=30, train__batch_size=8, probe=probe)
    train(recipe, root / "run", False, Console(quiet=True))
    return root / "run"


def test_answers_are_the_likeliest_tokens_as_without_a_cache(run: Path) -> None:
    loaded, model = load_any(run)
    assert isinstance(model, CuMo)
    words = loaded.tokenizer
    pictures = torch.randint(0, 256, (3, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    prompt = [words.begin, *[words.visual] * model.image_tokens]
    talker = Talker(model, words, loaded.recipe, torch.device("cpu"))
    with talker.asked():
        said = talker.answer(list(pictures.numpy()), [prompt] * 3, 8)
    for row in range(3):
        ids = list(prompt)
        with torch.no_grad():
            for _ in range(8):
                tokens = torch.tensor([ids])
                logits = model(pictures[row : row + 1], tokens, tokens >= 0)[0, -1]
                following = int(logits.index_fill(0, torch.tensor(never_said(words)), -torch.inf).argmax())
                if following == words.end:
                    break
                ids.append(following)
        assert said[row] == words.decode(ids[len(prompt) :])


def test_a_run_is_probed_slot_by_slot(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    probed = {line["step"]: line for line in lines if "probe/colour" in line}
    assert sorted(probed) == [20, 30]
    assert not undocumented(run / "metrics.jsonl")
    assert probed[30]["probe/slots"] == probed[30]["probe/colour"] == probed[30]["probe/all"]
    assert 1 / 6 <= probed[30]["probe/colour_chance"] < 0.7
    assert 0 <= probed[30]["probe/colour_shuffled"] <= 1


def test_texts_that_leave_a_slot_open_are_no_question(run: Path, make_shards: Callable[..., Path]) -> None:
    loaded, _ = load_any(run)
    data = loaded.recipe.data.model_copy(update={"shards": str(make_shards("more", documents=3, seed=4))})
    assert len(TalkProbe(data, Slots(COLOURS)).pictures) == 9
    with pytest.raises(UserError, match="have a text with all of object"):
        TalkProbe(data, Slots({"object": {"cup": ["cup"]}}))


def test_the_command_asks_any_kind_of_model(run: Path, make_shards: Callable[..., Path]) -> None:
    other = make_shards("more", documents=3, seed=4)
    arguments = ["evaluate", str(run), "--probe", "--set", f"data.shards={other}", "--max-clips", "6"]
    arguments += ["--slots", str(run.parent / "slots.json")]
    said = CliRunner().invoke(app, [*arguments, "--json"])
    assert said.exit_code == 0, said.output
    numbers = json.loads(said.output)
    assert 1 / 6 <= numbers["probe/colour_chance"] < 1
    shown = CliRunner().invoke(app, arguments)
    assert f"{numbers['probe/colour']:.3f}" in shown.output and "another picture's" in shown.output


def test_what_tower_and_connector_hold_is_read_by_a_regression(run: Path, shards: Path) -> None:
    """On the pictures that it was fitted on, which are fewer than features, it is right; the model itself is not."""
    arguments = ["evaluate", str(run), "--probe", "--set", f"data.shards={shards}", "--set", "probe.fit=24"]
    arguments += ["--slots", str(run.parent / "slots.json"), "--max-clips", "24", "--json"]
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 0, said.output
    numbers = json.loads(said.output)
    assert numbers["probe/linear_colour"] == numbers["probe/linear_connected_colour"] == 1.0
    assert numbers["probe/colour"] < 1.0
