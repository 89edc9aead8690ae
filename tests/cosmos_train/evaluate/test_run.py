"""Evaluations as a person asks for them: a checkpoint, a task or a probe, tables and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.evaluate.run import evaluate_task
from cosmos_train.recipe import Recipe
from cosmos_train.train.trainer import train

SLOTS = {"colour": {c: [c] for c in ("red", "green", "blue", "yellow", "purple", "white")}}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained") / "run"


@pytest.fixture
def trained(checkpoint: Path, tiny: Callable[..., Recipe]) -> Path:
    """A tiny model after two steps, trained once for all these tests."""
    if not checkpoint.exists():
        train(tiny(train__steps=2, model__language__config__max_position_embeddings=128), checkpoint)
    return checkpoint


@pytest.fixture
def flickr(tmp_path: Path) -> Path:
    folder = tmp_path / "flickr"
    (folder / "images").mkdir(parents=True)
    lines, names = [], {"train": [], "test": []}
    for number in range(10):
        Image.new("RGB", (40, 30), (25 * number, 0, 100)).save(folder / "images" / f"{number}.jpg")
        lines += [f"{number}.jpg#{k}\ta square of shade {number} lies left" for k in range(2)]
        names["train" if number < 6 else "test"].append(str(number))
    (folder / "results_20130124.token").write_text("\n".join(lines))
    for split, those in names.items():
        (folder / f"{split}.txt").write_text("\n".join(those))
    return folder


def test_a_benchmark_as_a_table_and_as_json(trained: Path, flickr: Path, tmp_path: Path) -> None:
    command = ["evaluate", str(trained), "--task", "flickr30k-caption", "--data", str(flickr), "--shots", "0"]
    command += ["--shots", "2", "--protocol", "cosmo", "--set", "protocol.caption_tokens=4"]
    done = CliRunner().invoke(app, [*command, "--json", "--predictions", str(tmp_path / "said")])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [one["shots"] for one in found] == [0, 2]
    assert all(one["examples"] == 4 and one["step"] == 2 for one in found)
    assert found[0]["protocol"]["beams"] == 5
    assert found[0]["protocol"]["caption_tokens"] == 4
    assert sorted(path.name for path in (tmp_path / "said").iterdir()) == [
        "flickr30k-caption-0.jsonl", "flickr30k-caption-2.jsonl",
    ]  # fmt: skip
    done = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "CIDEr-D" in done.stdout
    assert "protocol cosmo" in done.stdout


def test_retrieval_prints_both_directions(trained: Path, flickr: Path) -> None:
    command = ["evaluate", str(trained), "--task", "flickr30k-retrieval", "--data", str(flickr)]
    done = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "media to text" in done.stdout
    assert "text to media" in done.stdout
    assert "R@10 100.00" in done.stdout


def test_a_probe_of_held_out_shards(trained: Path, shards: Path, tmp_path: Path) -> None:
    (tmp_path / "slots.json").write_text(json.dumps(SLOTS))
    command = ["evaluate", str(trained), "--probe", "--slots", str(tmp_path / "slots.json"), "--max-clips", "8"]
    done = CliRunner().invoke(app, [*command, "--set", f"data.shards={shards}", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["asked"] == 8
    assert set(found["slots"]) == {"colour", "all"}
    assert 0 <= found["retrieval"]["recall"] <= 1
    done = CliRunner().invoke(app, [*command, "--set", f"data.shards={shards}"], env={"COLUMNS": "200"})
    assert "captions right in" in done.stdout
    assert "R@1, frames to text" in done.stdout


def test_mistakes_are_reported_before_a_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean coco-caption"):
        evaluate_task(tmp_path, "coco-captions", tmp_path, [0])
    with pytest.raises(UserError, match="no protocol nonsense"):
        evaluate_task(tmp_path, "coco-caption", tmp_path, [0], "nonsense")
    with pytest.raises(UserError, match="there is no folder"):
        evaluate_task(tmp_path, "coco-caption", tmp_path / "no", [0])
    with pytest.raises(UserError, match="no checkpoint in"):
        evaluate_task(tmp_path, "coco-caption", tmp_path, [0])
    with pytest.raises(UserError, match="number of shots"):
        evaluate_task(tmp_path, "coco-caption", tmp_path, [])


def test_results_are_kept_in_the_run_by_task_and_step(trained: Path, flickr: Path, shards: Path) -> None:
    """Each question once: asked again it replaces its answer, asked otherwise it is added."""
    command = ["evaluate", str(trained), "--task", "flickr30k-caption", "--data", str(flickr)]
    command += ["--set", "protocol.caption_tokens=2"]
    for shots in ("0", "2", "0"):
        done = CliRunner().invoke(app, [*command, "--shots", shots, "--json"])
        assert done.exit_code == 0, done.output
        said = json.loads(done.stdout)[0]
        kept = json.loads((trained / "evaluations" / "flickr30k-caption-2.json").read_text())
        assert kept["step"] == 2
        last = kept["results"][-1]
        assert (last["score"], last["error"], last["shots"]) == (said["score"], said["error"], int(shots))
        assert last["protocol"]["caption_tokens"] == 2
        low, high = (last["score"] + side * last["error"] for side in (-1.96, 1.96))
        assert last["interval"] == (pytest.approx([max(low, 0), high]) if last["error"] else None)
    assert [one["shots"] for one in kept["results"] if one["protocol"]["caption_tokens"] == 2] == [2, 0]
    command = ["evaluate", str(trained), "--set", f"data.shards={shards}", "--json", "--draws", "2"]
    own = json.loads(CliRunner().invoke(app, command).stdout)
    kept = json.loads((trained / "evaluations" / "shards-2.json").read_text())
    scores = {one["measure"].partition(",")[0]: one for one in kept["results"]}
    assert scores["language loss"]["score"] == own["language"]["own_frames"]
    assert (scores["R@1"]["score"], scores["R@1"]["chance"]) == (
        own["retrieval"]["recall"], own["retrieval"]["chance"],
    )  # fmt: skip
