"""The safety checker that sees pictures: a real (tiny) ViT judges frames, and what it finds costs a clip its place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg

from builds import locked, make
from interlink.api import Build
from interlink.errors import StageError, UserError
from interlink.fingerprints import acting
from interlink.score.classifier import Classifier
from interlink.score.safety import ClassifierSettings
from interlink.stages.score import Score, ScoreSettings

BRIGHT, DARK = 230, 20


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_checkpoints import save_classifier

    return save_classifier(tmp_path_factory.mktemp("models") / "vit")


def jpeg(grey: int) -> bytes:
    return bytes(simplejpeg.encode_jpeg(np.full((48, 64, 3), grey, np.uint8)))


def opened(model: Path, *labels: str, **options: Any) -> Classifier:
    checker = Classifier(ClassifierSettings(model=str(model), unsafe_labels=labels, device="cpu", **options))
    checker.open()
    return checker


def test_a_clip_is_what_its_gravest_frame_is(model: Path) -> None:
    clips = [([jpeg(BRIGHT), jpeg(DARK)], ""), ([jpeg(BRIGHT)], "dark words"), ([], ""), ([jpeg(DARK)] * 3, "")]
    found = opened(model, "harmful", batch_size=4).judge(clips)
    assert [round(value) for value, _ in found] == [1, 0, 0, 1]
    assert [what for _, what in found] == ["harmful in frame 1", "", "", "harmful in frame 0"]
    # labels that exclude each other: their shares add up
    assert opened(model, "harmful", "harmless", "other").judge([([jpeg(128)], "")])[0][0] == pytest.approx(
        1.0, abs=1e-5
    )


def test_the_model_and_its_labels_are_told(model: Path) -> None:
    checker = Classifier(ClassifierSettings(model=str(model), unsafe_labels=("other", "harmful"), device="cpu"))
    identity = checker.open()
    assert (identity.engine, identity.model) == ("classifier", "vit")
    assert identity.revision.startswith("folder-")
    assert identity.parameters == {"dtype": "float32", "unsafe_labels": ["harmful", "other"]}


def test_labels_that_do_not_exclude_each_other_are_judged_one_by_one(model: Path, tmp_path: Path) -> None:
    other = shutil.copytree(model, tmp_path / "several")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "problem_type": "multi_label_classification"}))
    ((value, what),) = opened(other, "harmful", "other").judge([([jpeg(DARK)], "")])
    ((alone, _),) = opened(other, "harmful").judge([([jpeg(DARK)], "")])
    assert value == alone and 0.5 < value < 1 and what == "harmful in frame 0"


def test_without_memory_the_batch_is_halved_for_good(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    checker = opened(model, "harmful", batch_size=8)
    sizes: list[int] = []
    forward = checker._model.forward

    def small(pixel_values: Any) -> Any:
        sizes.append(len(pixel_values))
        if len(pixel_values) > 2:
            raise torch.OutOfMemoryError("no room")
        return forward(pixel_values=pixel_values)

    monkeypatch.setattr(checker._model, "forward", small)
    found = checker.judge([([jpeg(DARK)] * 5, ""), ([jpeg(BRIGHT)] * 4, "")])
    assert [round(value) for value, _ in found] == [1, 0]
    assert checker.batch_size == 2 and max(sizes[2:]) == 2


def test_a_frame_that_is_no_picture_is_named_as_such(model: Path) -> None:
    with pytest.raises(StageError) as caught:
        opened(model, "harmful").judge([([jpeg(DARK), b"no JPEG"], "")])
    assert caught.value.error_class == "unreadable"


def test_labels_that_the_model_does_not_have_are_told_with_those_it_has(model: Path) -> None:
    with pytest.raises(UserError, match="vit has no label 'nsfw'") as caught:
        opened(model, "harmful", "nsfw")
    assert "harmless, harmful, other" in caught.value.do
    with pytest.raises(UserError, match=r"score\.classifier\.unsafe_labels is empty") as caught:
        opened(model)
    assert "harmless, harmful, other" in caught.value.do


def test_what_is_no_classifier_in_safetensors_is_refused(model: Path, tmp_path: Path) -> None:
    from tiny_checkpoints import save_blip2, save_classifier

    with pytest.raises(UserError, match="has no model"):
        Classifier(ClassifierSettings(unsafe_labels=("harmful",))).open()
    with pytest.raises(UserError, match=r"the model folder .* does not exist"):
        opened(tmp_path / "nowhere", "harmful")
    with pytest.raises(UserError, match="cannot load the image classifier"):
        opened(save_blip2(tmp_path / "blip2"), "harmful")
    with pytest.raises(UserError, match="is a vit without a classification head: it has no classifier"):
        opened(save_classifier(tmp_path / "headless", head=False), "harmful")
    pickled = shutil.copytree(model, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(UserError, match="cannot load the image classifier"):
        opened(pickled, "harmful")


def test_recipes_without_a_classifier_keep_their_fingerprint() -> None:
    assert "classifier" not in acting(ScoreSettings(safety=("words",)))
    named = ScoreSettings(safety=("classifier",), classifier=ClassifierSettings(model="m", device="cuda"))
    assert acting(named)["classifier"]["model"] == "m"
    assert Score.costly(named) and Score.resources(named).gpus == 1
    assert not Score.costly(ScoreSettings(safety=("words",)))


def test_unsafe_clips_are_left_out_with_their_value_and_told(sample_clips: Path, tmp_path: Path, model: Path) -> None:
    # given a classifier for which the sample world's bright pictures are the harmful ones
    build = make(
        tmp_path / "root",
        sample_clips,
        "stages=[download, transcribe, keyframes, caption, score, interleave, shard]",
        "score.safety=[classifier]",
        f"score.classifier.model={model}",
        "score.classifier.unsafe_labels=[harmless]",
        "score.classifier.device=cpu",
    )
    build.run(limit=2)
    prints = locked(build.workspace).fingerprints
    rows: dict[str, Any] = {}
    for name, _ in build.workspace.partitions(2):
        rows |= build.workspace.partition("score", prints["score"], name).rows()
    values = sorted(clip["safety"] for row in rows.values() for clip in row["clips"])
    middle = (values[0] + values[-1]) / 2
    assert values[0] < middle < values[-1]
    for row in rows.values():
        (checker,) = row["checkers"]
        assert (checker["engine"], checker["model"]) == ("classifier", "vit")
        assert json.loads(checker["parameters"])["unsafe_labels"] == ["harmless"]
    # when a threshold is set afterwards
    again = Build(None, tmp_path / "root", [f"filter.safety={middle}"])
    again.run(stages=["interleave", "shard"], limit=2)
    # then exactly the clips above it are in no document, each with its value, which `why` shows
    for key, row in rows.items():
        unsafe = {clip["clip"]: clip["safety"] for clip in row["clips"] if clip["safety"] > middle}
        found = again.why(key)
        told = {clip.number: clip for clip in found.clips}
        for number, clip in told.items():
            assert bool(clip.documents) == (number not in unsafe)
            assert clip.facts["score.safety"] == row["clips"][number]["safety"]
        lines = "\n".join(found.lines())
        for value in unsafe.values():
            assert "unsafe" in lines and f"{value:g}" in lines
    for document in again.documents():
        assert document["provenance"]["models"]["score.classifier"].startswith("vit@folder-")
