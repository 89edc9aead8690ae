"""Retrieval end to end, against what the original code makes of the same files: features, tokens, R@K."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cosmos_train.cli import app
from cosmos_train.evaluate.loading import load_pair
from cosmos_train.evaluate.media import Unreadable
from cosmos_train.evaluate.readers.folder import DataFolder, Media
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.stream.views.batch import tokenize_caption

PARTS = ("student", "teacher")


@pytest.fixture(scope="module")
def golden(shared_data: Path) -> Path:
    folder = shared_data / "golden" / "cosmos_retrieval"
    if not folder.is_dir():
        pytest.skip(f"the original's features are not on this machine: {folder} is absent")
    return folder


@pytest.fixture(scope="module")
def released(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint as its authors release one, and the benchmark's folder next to it."""
    folder = tmp_path_factory.mktemp("golden")
    parts: dict[str, Any] = {part: {} for part in PARTS}
    with np.load(golden / "weights.npz") as weights:
        for name in weights.files:
            part, _, own = name.partition("/")
            parts[part][own] = torch.from_numpy(weights[name])
    torch.save({"epoch": 1, "name": "golden", **parts}, folder / "cosmos.pt")
    with tarfile.open(golden / "pictures.tar") as pictures:
        pictures.extractall(folder / "coco", filter="data")
    listed = [{"image": one["picture"], "caption": [one["caption"]]} for one in captions(golden)]
    (folder / "coco" / "coco_karpathy_test.json").write_text(json.dumps(listed))
    return folder


def captions(golden: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((golden / "captions.json").read_text())
    return found


@pytest.mark.parametrize("part", PARTS)
def test_features_are_the_originals(golden: Path, released: Path, part: str) -> None:
    said = captions(golden)
    with np.load(golden / "reference.npz") as reference:
        wanted = {name: torch.from_numpy(reference[f"{part}/{name}_features"]) for name in ("image", "text")}
        tokens, pixels = reference["tokens"], torch.from_numpy(reference["pixels_first_16"])
    pair = load_pair(released / "cosmos.pt", ["train.threads=1"], part)
    data = DataFolder(released / "coco")
    with pair.asked():
        seen = pair.see(data, [Media(one["picture"]) for one in said])
        read = pair.read([one["caption"] for one in said])
    images = torch.stack([one for one in seen if not isinstance(one, Unreadable)])
    assert images.shape == wanted["image"].shape
    assert float((images - wanted["image"]).abs().max()) < 1e-4
    assert float((read - wanted["text"]).abs().max()) < 1e-4
    words = Tokenizer.clip()
    for row, one in zip(tokens.tolist(), said, strict=True):
        ids = tokenize_caption(one["caption"], words, len(row))
        assert ids + [0] * (len(row) - len(ids)) == row, one["caption"]
    first = [pair._look(data, Media(one["picture"])) for one in said[: len(pixels)]]
    shown = torch.from_numpy(np.concatenate([one for one in first if not isinstance(one, Unreadable)]))
    assert float((pair.normalised(shown) - pixels).abs().max()) < 1e-5


def test_recall_of_the_command_is_the_originals(golden: Path, released: Path) -> None:
    recall = json.loads((golden / "config.json").read_text())["recall"]
    for part in PARTS:
        command = ["evaluate", str(released / "cosmos.pt"), "--task", "coco-retrieval", "--part", part, "--json"]
        command += ["--data", str(released / "coco")]
        said = CliRunner().invoke(app, command)
        assert said.exit_code == 0, said.output
        results = json.loads(said.stdout)
        for result, way in zip(results, ("image_to_text", "text_to_image"), strict=True):
            found = {"R@1": result["score"], **{name: result["more"][name] for name in ("R@5", "R@10")}}
            assert found == pytest.approx({at: 100 * recall[part][f"{way}_{at}"] for at in found}, abs=1e-3), (
                part,
                way,
            )


def test_the_training_preprocessing_is_another(golden: Path, released: Path) -> None:
    """It stays as an option: its features differ visibly."""
    said = captions(golden)[:64]
    with np.load(golden / "reference.npz") as reference:
        wanted = torch.from_numpy(reference["teacher/image_features"][: len(said)])
    pair = load_pair(released / "cosmos.pt", ["train.threads=1"], "teacher", pictures="training")
    with pair.asked():
        seen = pair.see(DataFolder(released / "coco"), [Media(one["picture"]) for one in said])
    images = torch.stack([one for one in seen if not isinstance(one, Unreadable)])
    assert 1e-2 < float((images - wanted).abs().max()) < 0.5
