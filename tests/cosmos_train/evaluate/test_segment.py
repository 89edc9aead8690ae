"""Segmentation: attention, windows and thresholds against transcriptions of SCLIP's definitions; layouts; mean IoU."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from typer.testing import CliRunner

from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.evaluate import segment as module
from cosmos_train.evaluate.dense import assign, similarities, starts
from cosmos_train.evaluate.loading import load_pair
from cosmos_train.evaluate.protocol import Protocol
from cosmos_train.evaluate.readers import labelmaps
from cosmos_train.evaluate.readers.folder import DataFolder, read
from cosmos_train.evaluate.readers.labelmaps import IGNORED, read_map
from cosmos_train.evaluate.segment import class_lists, confusion, iou, jackknife, segment
from cosmos_train.evaluate.tasks import SEGMENTATION
from cosmos_train.models.towers import Attention, VisionTower
from judged import COLOURS, cosmos_run, paint


@pytest.fixture(scope="module")
def run(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cosmos_run(shards, tmp_path_factory.mktemp("segment") / "run")


def labels(path: Path, values: object, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.asarray(values, np.uint8))
    if palette:
        picture.putpalette([number for _ in range(256) for number in (3, 5, 7)])
    picture.save(path)


def test_correlative_attention_is_that_of_queries_and_of_keys() -> None:
    torch.manual_seed(0)
    attention = Attention(12, 3)
    torch.nn.init.normal_(attention.in_proj_bias)
    tokens = torch.randn(2, 5, 12)
    q, k, v = (tokens @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, -1)
    wanted = torch.zeros(2, 5, 12)
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        for one in (q, k):
            weights = (one[..., part] @ one[..., part].transpose(1, 2) / 2.0).softmax(-1)
            wanted[..., part] += weights @ v[..., part]
    assert torch.allclose(attention.correlative(tokens), attention.out_proj(wanted), atol=1e-6)


def test_plain_dense_features_are_the_patches_in_the_pooled_space() -> None:
    torch.manual_seed(0)
    tower = VisionTower(32, 8, 24, 2, 12, 16)
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(tower.dense(pixels, False), tower(pixels)[1] @ tower.proj, atol=1e-6)
        assert not torch.allclose(tower.dense(pixels), tower.dense(pixels, False), atol=1e-3)
        *blocks, last = tower.transformer.resblocks
        tokens = tower.ln_pre(tower.embed(pixels))
        for block in blocks:
            tokens = block(tokens)
        tokens = tokens + last.attn.correlative(last.ln_1(tokens))
        tokens = tokens + last.mlp(last.ln_2(tokens))
        assert torch.allclose(tower.dense(pixels), (tower.ln_post(tokens) @ tower.proj)[:, 1:], atol=1e-6)


@pytest.mark.parametrize(("length", "wanted"), [(32, [0]), (33, [0, 1]), (48, [0, 16]), (70, [0, 16, 32, 38])])
def test_windows_cover_a_picture(length: int, wanted: list[int]) -> None:
    assert starts(length, 32, 16) == wanted


def test_windows_that_overlap_are_averaged(run: Path) -> None:
    pair = load_pair(run, [], "student")
    frame = np.random.default_rng(0).integers(0, 256, (50, 75, 3)).astype(np.uint8)
    queries = F.normalize(torch.randn(4, 32), dim=-1)
    with pair.asked():
        found = similarities(pair, frame, queries, 48, 16)
        assert found.shape == (4, 48, 72)
        whole = F.interpolate(torch.from_numpy(frame).permute(2, 0, 1)[None].float(), (48, 72), mode="bilinear")
        whole = pair.normalised(whole)
        total, count = torch.zeros(4, 48, 72), torch.zeros(48, 72)
        for top in (0, 16):
            for left in (0, 16, 32, 40):
                window = whole[..., top : top + 32, left : left + 32]
                one = F.normalize(pair.half.visual.dense(window), dim=-1)[0] @ queries.T
                large = F.interpolate(one.T.reshape(1, 4, 4, 4), (32, 32), mode="bilinear")[0]
                total[:, top : top + 32, left : left + 32] += large
                count[top : top + 32, left : left + 32] += 1
    assert torch.allclose(found, total / count, atol=1e-5)


@pytest.mark.parametrize(("probability", "area"), [(0.0, 0.0), (0.25, 0.0), (0.25, 0.2), (0.0, 0.3)])
def test_places_are_assigned_as_sclip_does(probability: float, area: float) -> None:
    torch.manual_seed(1)
    owner = torch.tensor([0, 0, 1, 2, 2, 2, 3, 4, 5, 5])
    found = F.avg_pool2d(torch.randn(10, 8, 9), 3, 1, 1)
    given = assign(found, (20, 30), owner, 6.0, probability, area)
    # All at once, in words of the definition.
    likely = (6.0 * F.interpolate(found[None], (20, 30), mode="bilinear")[0]).softmax(0)
    by_class = torch.stack([likely[owner == one].amax(0) for one in range(6)])
    if area:
        places = torch.bincount(by_class.argmax(0).flatten(), minlength=6)[1:]
        by_class[1:] *= (places > area * places.sum())[:, None, None]
    wanted = by_class.argmax(0)
    wanted[by_class.amax(0) < probability] = 0
    assert torch.equal(given, wanted)
    assert len(given.unique()) > 1


def test_iou_counts_what_is_labelled() -> None:
    truth = np.array([[0, 0, 1, IGNORED], [1, 1, 2, 2]], np.uint8)
    given = np.array([[0, 1, 1, 3], [1, 0, 2, 2]])
    counts = confusion(truth, given, 4)
    assert counts.sum() == 7
    assert iou(counts)[:3] == pytest.approx([1 / 3, 2 / 4, 1])
    assert np.isnan(iou(counts)[3])  # nowhere there and nowhere given: it says nothing of the model
    folds = np.stack([counts, counts, np.zeros_like(counts)])
    assert jackknife(folds) == 0
    assert np.isnan(jackknife(folds[:1]))


def test_layouts(tmp_path: Path) -> None:
    voc = tmp_path / "VOCdevkit/VOC2012"
    for name in ("2007_000033", "2007_000042"):
        paint(voc / "JPEGImages" / f"{name}.jpg")
        labels(voc / "SegmentationClass" / f"{name}.png", [[0, 1], [255, 20]], palette=True)
        labels(voc / "SegmentationObject" / f"{name}.png", [[0, 1], [2, 3]])
        labels(voc / "SegmentationClassContext" / f"{name}.png", [[0, 59]])
    for lists in ("Segmentation", "SegmentationContext"):
        (voc / "ImageSets" / lists).mkdir(parents=True)
        (voc / "ImageSets" / lists / "val.txt").write_text("2007_000042\n")
    (found,) = labelmaps.voc(DataFolder(tmp_path), "val")
    base = "VOCdevkit/VOC2012"
    assert (found.media.name, found.labels) == (
        f"{base}/JPEGImages/2007_000042.jpg", f"{base}/SegmentationClass/2007_000042.png",
    )  # fmt: skip
    assert read_map(tmp_path / found.labels, 21, False).tolist() == [[0, 1], [255, 20]]
    assert read_map(tmp_path / found.labels, 20, True).tolist() == [[255, 0], [255, 19]]
    (found,) = labelmaps.context(DataFolder(tmp_path), "val")
    assert found.labels.endswith("SegmentationClassContext/2007_000042.png")
    ade, city, coco = tmp_path / "ade", tmp_path / "city", tmp_path / "coco"
    paint(ade / "images/validation/ADE_val_00000001.jpg")
    labels(ade / "annotations/validation/ADE_val_00000001.png", [[150]])
    paint(city / "leftImg8bit/val/ulm/ulm_0_1_leftImg8bit.png")
    for end in ("labelTrainIds", "labelIds"):
        labels(city / f"gtFine/val/ulm/ulm_0_1_gtFine_{end}.png", [[18]])
    paint(coco / "images/val2017/000000000139.jpg")
    for end in ("labelTrainIds", "instanceTrainIds"):
        labels(coco / f"annotations/val2017/000000000139_{end}.png", [[7]])
    for root, task, end in (
        (ade, "ade20k", "ADE_val_00000001.png"), (city, "cityscapes", "gtFine_labelTrainIds.png"),
        (coco, "coco-stuff", "139_labelTrainIds.png"), (coco, "coco-object", "139_instanceTrainIds.png"),
    ):  # fmt: skip
        (found,) = SEGMENTATION[f"{task}-segment"].reader(DataFolder(root), "val")
        assert found.labels.endswith(end), task
        assert "annotations" not in found.media.name and "gtFine" not in found.media.name
    for task in SEGMENTATION.values():
        (tmp_path / "nothing").mkdir(exist_ok=True)
        with pytest.raises(UserError, match="nothing"):
            read(task.reader, DataFolder(tmp_path / "nothing"), "val", task.name)


def test_maps_that_are_none_are_refused_by_name(tmp_path: Path) -> None:
    labels(tmp_path / "a.png", [[0, 7]])
    with pytest.raises(UserError, match=r"a\.png holds class 7, but the set has 7 classes"):
        read_map(tmp_path / "a.png", 7, False)
    paint(tmp_path / "b.png")
    with pytest.raises(UserError, match=r"b\.png holds colours"):
        read_map(tmp_path / "b.png", 7, False)
    (tmp_path / "c.png").write_bytes(b"no")
    with pytest.raises(UserError, match=r"c\.png is not a map"):
        read_map(tmp_path / "c.png", 7, False)


def test_classes_are_bundled_or_ones_own(tmp_path: Path) -> None:
    counts = {"voc20": 20, "voc21": 21, "context59": 59, "context60": 60, "ade20k": 150, "cityscapes": 19,
              "coco-stuff": 171, "coco-object": 81}  # fmt: skip
    assert {name: len(class_lists(name, "")) for name in counts} == counts
    assert class_lists("voc21", "")[0][:2] == ["sky", "wall"]
    (tmp_path / "mine.txt").write_text("ground, floor\nred square\n")
    assert class_lists("", str(tmp_path / "mine.txt")) == [["ground", "floor"], ["red square"]]
    with pytest.raises(UserError, match="has 0 classes"):
        class_lists("", "")


def test_a_tower_that_sees_colours_finds_them(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its blocks and positions silenced a tower distinguishes places by their colour alone: then mIoU is 100."""
    pair = load_pair(run, [], "student")
    tower = pair.half.visual
    with torch.no_grad():
        tower.positional_embedding.zero_()
        for block in tower.transformer.resblocks:
            block.attn.out_proj.weight.zero_()
            block.attn.out_proj.bias.zero_()
            block.mlp.c_proj.weight.zero_()
            block.mlp.c_proj.bias.zero_()
    shades = [COLOURS[name] for name in ("red", "green", "blue")]
    for number in range(4):
        truth = np.roll(np.repeat([0, 1, 2], 32), 32 * number)[None].repeat(64, 0)
        Image.fromarray(np.asarray(shades, np.uint8)[truth]).save(make(tmp_path / "images") / f"{number}.png")
        truth[:, 28:36] = truth[:, 60:68] = IGNORED  # between two colours a window's edge blurs
        labels(tmp_path / "labels" / f"{number}.png", truth)
    (tmp_path / "classes.txt").write_text("red\ngreen\nblue\n")

    def known(*_: object) -> torch.Tensor:
        patches = torch.tensor(shades, dtype=torch.float)[:, :, None, None].expand(3, 3, 32, 32)
        return F.normalize(tower.dense(pair.normalised(patches)).mean(1), dim=-1)

    monkeypatch.setattr(module, "class_vectors", known)
    protocol = Protocol.model_validate(
        {"classes": str(tmp_path / "classes.txt"), "segment": {"short_side": 64, "stride": 16}}
    )
    found = segment(pair, SEGMENTATION["folder-segment"], DataFolder(tmp_path), protocol)
    assert found.score == 100
    assert found.more["red"] == found.more["pixels right"] == 100
    assert (found.examples, found.part) == (4, "student")


def make(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def test_the_command_segments(run: Path, tmp_path: Path) -> None:
    for number in range(3):
        paint(tmp_path / "images" / f"{number}.jpg", size=(48, 40))
        labels(tmp_path / "labels" / f"{number}.png", np.full((40, 48), number % 2))
    (tmp_path / "classes.txt").write_text("red square, red thing\nblue square\n")
    command = ["evaluate", str(run), "--task", "folder-segment", "--data", str(tmp_path), "--set"]
    command += [f"protocol.classes={tmp_path / 'classes.txt'}", "--set", "protocol.templates=simple"]
    done = CliRunner().invoke(app, [*command, "--set", "protocol.segment.attention=plain", "--json"])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)
    assert found["metric"] == "mIoU, %" and 0 <= found["score"] <= 100
    assert set(found["more"]) == {"pixels right", "red square", "blue square"}
    assert found["protocol"]["segment"]["attention"] == "plain"
