"""Zero-shot classification by a COSMOS: prompts ensembled as defined, scored as defined, from every kind of file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from typer.testing import CliRunner

from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.evaluate.classify import class_vectors, classify
from cosmos_train.evaluate.loading import load_embedder, load_pair
from cosmos_train.evaluate.metrics.ranking import mean_of_groups
from cosmos_train.evaluate.protocol import Protocol
from cosmos_train.evaluate.readers.folder import DataFolder, Media
from cosmos_train.evaluate.run import evaluate_task
from cosmos_train.evaluate.tasks import CLASSIFICATION
from cosmos_train.families.cosmos import recognised
from cosmos_train.families.cosmos.model import Cosmos
from cosmos_train.families.cosmos.released import write
from cosmos_train.recipe import Recipe
from cosmos_train.stream.views.batch import tokenize_caption
from cosmos_train.train.export import export
from cosmos_train.train.trainer import train
from judged import COLOURS, cosmos_run, paint

TASK = CLASSIFICATION["folder-classify"]


@pytest.fixture(scope="module")
def run(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cosmos_run(shards, tmp_path_factory.mktemp("classify") / "run")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for colour in ("red", "green", "blue"):
        for number in range(3):
            shade = tuple(max(0, part - 20 * number) for part in COLOURS[colour])
            paint(tmp_path / "set" / colour / f"{number}.png", shade)  # type: ignore[arg-type]
    return tmp_path / "set"


def test_a_class_is_the_mean_of_its_prompts_unit_vectors(run: Path) -> None:
    pair = load_pair(run, [], "student")
    said, prompts = ("red square", "left"), ("a {} lies", "{}", "the {} of a {}")
    with pair.asked():
        found = class_vectors(pair, said, prompts)
        for row, name in enumerate(said):
            several = []
            for prompt in prompts:
                ids = torch.zeros(1, pair.half.context, dtype=torch.long)  # filled up, as in training
                spelled = tokenize_caption(prompt.replace("{}", name), pair.tokenizer, pair.half.context)
                ids[0, : len(spelled)] = torch.tensor(spelled)
                several.append(F.normalize(pair.half.texts(ids).pooled[0], dim=0))
            by_hand = torch.stack(several).mean(0)
            assert torch.allclose(found[row], by_hand / by_hand.norm(), atol=1e-6)


def test_scores_are_those_of_the_nearest_prompts(run: Path, folder: Path) -> None:
    pair = load_pair(run, [], "teacher")
    found = classify(pair, TASK, DataFolder(folder), Protocol(templates="simple", batch_size=4))
    right, shares = [], []
    with pair.asked():
        prototypes = class_vectors(pair, ("blue", "green", "red"), ("a photo of a {}.",))
        for number, colour in enumerate(("blue", "green", "red")):
            media = [Media(f"{colour}/{k}.png") for k in range(3)]
            vectors = torch.stack([one for one in pair.see(DataFolder(folder), media) if isinstance(one, torch.Tensor)])
            hits = (vectors @ prototypes.T).argmax(1) == number
            right += hits.tolist()
            shares.append(hits.float().mean().item())
    assert found.score == pytest.approx(100 * np.mean(right))
    assert found.more["mean per class"] == pytest.approx(100 * np.mean(shares))
    assert found.more["top-5"] == 100
    assert (found.examples, found.part, found.metric) == (9, "teacher", "top-1, %")
    assert found.chance == pytest.approx(100 / 3)


def test_pictures_that_cannot_be_distinguished_are_all_wrong(run: Path, folder: Path) -> None:
    """Ties go against the model: equal prompts give no credit."""
    found = classify(load_pair(run, [], "student"), TASK, DataFolder(folder), Protocol(classes=same(folder)))
    assert found.score == 0


def same(folder: Path) -> str:
    path = folder.parent / "same.txt"
    path.write_text("thing\n" * 3)
    return str(path)


def test_the_mean_over_classes_weighs_small_ones_alike() -> None:
    right = np.array([True] * 8 + [False] * 2)
    classes = np.array([0] * 8 + [1] * 2)
    assert mean_of_groups(right, classes).value == 0.5
    found = mean_of_groups(np.array([True, False, True, True]), np.array([0, 0, 1, 1]))
    assert found.value == 0.75
    assert found.error == pytest.approx(0.25)  # sqrt(0.5² + 0) / 2


def test_the_command_judges_either_half(run: Path, folder: Path) -> None:
    command = ["evaluate", str(run), "--task", "folder-classify", "--data", str(folder), "--set"]
    command += ["protocol.templates=simple"]
    done = CliRunner().invoke(app, [*command, "--part", "student", "--json"])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)
    assert (found["task"], found["part"], found["step"], found["shots"]) == ("folder-classify", "student", 2, 0)
    assert found["protocol"]["templates"] == "simple"
    done = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert "teacher, step 2" in done.stdout and "top-1, %" in done.stdout


def test_an_exported_folder_scores_as_the_run(run: Path, folder: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "out", part="student")
    pair, again = load_pair(run, [], "student"), load_pair(tmp_path / "out", [], "teacher")
    media = [Media("red/0.png"), Media("blue/1.png")]
    with pair.asked(), again.asked():
        assert torch.equal(pair.read(["a red square"]), again.read(["a red square"]))
        ours, theirs = (one.see(DataFolder(folder), media) for one in (pair, again))
    for one, other in zip(ours, theirs, strict=True):
        assert isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)
        assert torch.equal(one, other)


@pytest.mark.parametrize("quick", [True, False])
def test_any_vit_of_open_clip_is_judged_with_its_own_activation(tmp_path: Path, quick: bool) -> None:
    from safetensors.torch import save_file

    from cosmos_train.models.backends import open_clip

    torch.manual_seed(0)
    library = open_clip()
    vision = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    theirs = library.CLIP(24, library.CLIPVisionCfg(**vision), library.CLIPTextCfg(**text), quick_gelu=quick).eval()
    save_file({name: one.contiguous() for name, one in theirs.state_dict().items()},
              str(tmp_path / "open_clip_model.safetensors"))  # fmt: skip
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text, "quick_gelu": quick}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    paint(tmp_path / "red.png", (200, 20, 30), (32, 32))
    pair = load_pair(tmp_path, [], "teacher")
    tokens = library.get_tokenizer("ViT-B-32")(["A photo of a red cup."], context_length=16)
    with pair.asked():
        (seen,) = pair.see(DataFolder(tmp_path), [Media("red.png")])
        pixels = pair.normalised(torch.tensor([200, 20, 30]).view(1, 3, 1, 1).expand(1, 3, 32, 32))
        assert isinstance(seen, torch.Tensor)
        assert torch.allclose(seen, theirs.encode_image(pixels, normalize=True)[0], atol=1e-5)
        assert torch.allclose(
            pair.read(["A photo of a red cup."]), theirs.encode_text(tokens, normalize=True), atol=1e-5
        )
    config["vision_cfg"] = {**vision, "timm_model_name": "resnet50"}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    with pytest.raises(UserError, match="timm_model_name is not a field of a plain CLIP"):
        load_pair(tmp_path, [], "teacher")


def test_a_file_as_released_is_judged_without_a_recipe(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = recognised._recipe(
        tmp_path, 32, {"layers": 1, "width": 64, "patch_size": 16, "head_width": 64},
        {"context_length": 16, "width": 64, "heads": 1, "layers": 1}, 32, 49408,
    )  # fmt: skip
    from cosmos_train.families.cosmos.model import build_student

    model = Cosmos(build_student(recipe.model, 32, 49407))
    write(model, tmp_path / "cosmos.pt", "x", 1)
    pair = load_pair(tmp_path / "cosmos.pt", [], "teacher")
    assert pair.part == "teacher"
    paint(tmp_path / "set" / "red.png", (200, 0, 0))
    with pair.asked():
        (seen,) = pair.see(DataFolder(tmp_path / "set"), [Media("red.png")])
        assert isinstance(seen, torch.Tensor)
        pixels = model.normalised(torch.tensor([200, 0, 0]).view(1, 3, 1, 1).expand(1, 3, 32, 32))
        wanted = F.normalize(model.teacher.visual(pixels)[0], dim=-1)[0]
        assert torch.allclose(seen, wanted, atol=1e-5)
        assert pair.read(["A Red  cup"]).shape == (1, 32)
    with pytest.raises(UserError, match="holds no COSMOS student"):
        torch.save({"weights": torch.zeros(1)}, tmp_path / "other.pt")
        load_pair(tmp_path / "other.pt", [], "teacher")
    with pytest.raises(UserError, match="is not a CLIP or COSMOS with a vision transformer"):
        torch.save({"student": {"visual.layer1.0.conv1.weight": torch.zeros(1)}}, tmp_path / "resnet.pt")
        load_pair(tmp_path / "resnet.pt", [], "teacher")


def test_a_cosmo_classifies_too_and_a_cosmos_does_not_caption(
    run: Path, folder: Path, tiny: Callable[..., Recipe], tmp_path: Path
) -> None:
    train(tiny(train__steps=1), tmp_path / "cosmo")
    (found,) = evaluate_task(tmp_path / "cosmo", "folder-classify", folder, [], settings=["protocol.templates=simple"])
    assert found.examples == 9
    with pytest.raises(UserError, match="a COSMOS cannot do coco-caption") as error:
        evaluate_task(run, "coco-caption", folder, [0])
    assert "imagenet-classify" in error.value.do


def test_retrieval_of_captions_by_a_cosmos(run: Path, tmp_path: Path) -> None:
    """Several captions a picture; a model that has every vector right is right everywhere, both ways."""
    lines = []
    for number, colour in enumerate(COLOURS):
        paint(tmp_path / "flickr" / f"{number}.jpg", COLOURS[colour])
        lines += [f"{number}.jpg#{k}\ta {colour} square lies {place}" for k, place in enumerate(("left", "right"))]
    (tmp_path / "flickr" / "results.token").write_text("\n".join(lines))
    (tmp_path / "flickr" / "test.txt").write_text("\n".join(map(str, range(len(COLOURS)))))
    found = evaluate_task(run, "flickr30k-retrieval", tmp_path / "flickr", [])
    assert [one.metric for one in found] == ["R@1 media to text, %", "R@1 text to media, %"]
    assert found[0].chance == pytest.approx(100 / 6)
    pair = load_embedder(run, [], Protocol(), "teacher")
    with pair.asked():
        images = torch.stack([one for one in pair.see(DataFolder(tmp_path / "flickr"), [
            Media(f"{number}.jpg") for number in range(6)]) if isinstance(one, torch.Tensor)])  # fmt: skip
        texts = pair.read([line.partition("\t")[2] for line in lines])
    scores = images @ texts.T
    best_text = [scores[row].argmax().item() // 2 == row for row in range(6)]
    best_image = [scores[:, column].argmax().item() == column // 2 for column in range(12)]
    assert found[0].score == pytest.approx(100 * np.mean(best_text))
    assert found[1].score == pytest.approx(100 * np.mean(best_image))
