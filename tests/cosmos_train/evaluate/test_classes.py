"""Classification sets: each layout on a few pictures as its authors publish it; names and prompts of classes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cosmos_train.errors import UserError
from cosmos_train.evaluate.media import look
from cosmos_train.evaluate.names import class_names, filled, templates
from cosmos_train.evaluate.readers import classes
from cosmos_train.evaluate.readers.classes import Classes
from cosmos_train.evaluate.readers.folder import DataFolder, read
from cosmos_train.evaluate.tasks import CLASSIFICATION
from cosmos_train.stream.decode import decode_exactly
from judged import paint

Reader = Callable[[DataFolder, str], Classes]


def labels(found: Classes) -> list[tuple[str, str]]:
    return [(one.media.name, one.label) for one in found.examples]


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def test_folders_of_classes_with_a_split_or_without(tmp_path: Path) -> None:
    for name in ("x/val/red_fox/1.jpg", "x/val/cat/1.jpg", "x/train/dog/1.jpg"):
        paint(tmp_path / "split" / name)
    found = classes.folders(DataFolder(tmp_path / "split"), "val")
    assert labels(found) == [("x/val/cat/1.jpg", "cat"), ("x/val/red_fox/1.jpg", "red_fox")]
    assert found.keys == ("cat", "red_fox")
    assert found.names["red_fox"] == "red fox"
    assert found.examples[0].id != found.examples[1].id
    for name in ("a/1.jpg", "b/deep/2.jpg", "alone.jpg"):
        paint(tmp_path / "plain" / name)
    assert classes.folders(DataFolder(tmp_path / "plain"), "test").keys == ("a", "b")


def test_imagenet_by_folders_or_by_the_list_of_answers(tmp_path: Path) -> None:
    wnids = [f"n{number:08d}" for number in range(1000)]
    write(tmp_path / "LOC_synset_mapping.txt", *(f"{wnid} a name, another" for wnid in wnids))
    for wnid in (wnids[1], wnids[0]):
        paint(tmp_path / "val" / wnid / f"{wnid}_1.JPEG")
    found = classes.imagenet(DataFolder(tmp_path), "val")
    assert found.keys == tuple(wnids[:2])
    assert [found.names[key] for key in found.keys] == ["tench", "goldfish"]
    flat = tmp_path / "flat"
    paint(flat / "val" / "ILSVRC2012_val_00000001.JPEG")
    write(flat / "LOC_val_solution.csv", "ImageId,PredictionString", f"ILSVRC2012_val_00000001,{wnids[7]} 1 2 3 4")
    found = classes.imagenet(DataFolder(flat), "val")
    assert labels(found) == [("ILSVRC2012_val_00000001.JPEG", wnids[7])]
    with pytest.raises(UserError, match="1 of 1 classes have no name, the first n00000007") as error:
        class_names(found.keys, found.names, "", "")
    assert "protocol.classes=FILE" in error.value.do


@pytest.mark.parametrize(("name", "count"), [("cifar10", 1), ("cifar100", 2)])
def test_cifars_binaries(tmp_path: Path, name: str, count: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32)).astype(np.uint8)
    file = "cifar-10-batches-bin/test_batch.bin" if count == 1 else "cifar-100-binary/test.bin"
    names = "batches.meta.txt" if count == 1 else "fine_label_names.txt"
    write(tmp_path / Path(file).parent / names, "apple", "aquarium_fish", "baby")
    rows = zip((2, 0, 1), pixels, strict=True)
    content = b"".join(bytes([0] * (count - 1) + [label]) + one.tobytes() for label, one in rows)
    (tmp_path / file).write_bytes(content)
    found = CLASSIFICATION[f"{name}-classify"].reader(DataFolder(tmp_path), "test")
    assert [one.label for one in found.examples] == ["baby", "apple", "aquarium_fish"]
    assert len({one.id for one in found.examples}) == 3
    media = found.examples[2].media
    (shown,), _ = look(tmp_path / file, media, 1, decode_exactly)
    assert np.array_equal(shown, pixels[2].transpose(1, 2, 0))
    (tmp_path / file).unlink()
    (tmp_path / file).with_name("test_batch" if count == 1 else "x").write_bytes(b"pickle")
    if count == 1:
        with pytest.raises(UserError, match="reading it could run code") as error:
            CLASSIFICATION["cifar10-classify"].reader(DataFolder(tmp_path), "test")
        assert "binary version" in error.value.do


def test_food_dtd_pets_and_aircraft_by_their_lists(tmp_path: Path) -> None:
    write(tmp_path / "food-101/meta/test.txt", "apple_pie/1011328", "tacos/7")
    assert labels(classes.food101(DataFolder(tmp_path), "test")) == [
        ("apple_pie/1011328.jpg", "apple_pie"), ("tacos/7.jpg", "tacos"),
    ]  # fmt: skip
    write(tmp_path / "dtd/labels/test1.txt", "banded/banded_0002.jpg")
    assert labels(classes.dtd(DataFolder(tmp_path), "test")) == [("images/banded/banded_0002.jpg", "banded")]
    write(tmp_path / "pets/annotations/test.txt", "# comment", "Abyssinian_201 1 1 1", "american_bulldog_203 2 2 1")
    found = classes.pets(DataFolder(tmp_path), "test")
    assert labels(found) == [("Abyssinian_201.jpg", "Abyssinian"), ("american_bulldog_203.jpg", "american_bulldog")]
    assert found.names["american_bulldog"] == "american bulldog"
    write(tmp_path / "data/images_variant_test.txt", "1514522 Boeing 707-320", "0747566 ATR-42")
    assert labels(classes.aircraft(DataFolder(tmp_path), "test")) == [
        ("1514522.jpg", "Boeing 707-320"), ("0747566.jpg", "ATR-42"),
    ]  # fmt: skip


def test_matlab_files_of_flowers_and_cars(tmp_path: Path) -> None:
    io = pytest.importorskip("scipy.io", reason="scipy (the extra `dev`) reads .mat files")
    io.savemat(tmp_path / "imagelabels.mat", {"labels": np.array([[77, 2, 2, 10]], np.uint8)})
    io.savemat(
        tmp_path / "setid.mat", {"tstid": np.array([[4, 1]]), "trnid": np.array([[2]]), "valid": np.array([[3]])}
    )
    data = DataFolder(tmp_path)
    found = classes.flowers(data, "test")
    assert labels(found) == [("jpg/image_00004.jpg", "10"), ("jpg/image_00001.jpg", "77")]
    assert class_names(found.keys, found.names, "flowers", "") == ("globe thistle", "passion flower")
    assert labels(classes.flowers(data, "train")) == [("jpg/image_00002.jpg", "2")]
    names = np.empty((1, 2), object)
    names[0, 0], names[0, 1] = "AM General Hummer SUV 2000", "Acura RL Sedan 2012"
    io.savemat(tmp_path / "cars_meta.mat", {"class_names": names})
    rows = np.array([(2, "00001.jpg"), (1, "00002.jpg")], dtype=[("class", "O"), ("fname", "O")])
    io.savemat(tmp_path / "cars_test_annos_withlabels.mat", {"annotations": rows})
    found = classes.cars(DataFolder(tmp_path), "test")
    assert labels(found) == [
        ("cars_test/00001.jpg", "Acura RL Sedan 2012"), ("cars_test/00002.jpg", "AM General Hummer SUV 2000"),
    ]  # fmt: skip
    assert found.keys[0] == "AM General Hummer SUV 2000"
    (tmp_path / "setid.mat").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"setid\.mat cannot be read"):
        classes.flowers(data, "test")


def test_names_of_classes_are_openais() -> None:
    """data/prompts.md of openai/CLIP, where the folders' own names differ."""
    keys = ("Faces", "Faces_easy", "snoopy", "yin_yang", "crocodile_head", "water_lilly", "wild_cat")
    spoken = {key: key.replace("_", " ") for key in keys}
    assert class_names(keys, spoken, "caltech101", "") == (
        "off-center face", "centered face", "snoopy (cartoon beagle)", "yin and yang symbol", "head of a crocodile",
        "water lilly", "wild cat",
    )  # fmt: skip
    assert class_names(("93", "12"), {}, "flowers", "") == ("air plant", "colt's foot")


def test_splits_that_a_set_lacks_are_the_same_in_every_process(tmp_path: Path) -> None:
    for number in range(60):
        paint(tmp_path / "SUN397" / "a" / "apartment_building" / "outdoor" / f"sun_{number}.jpg", size=(2, 2))
    for number in range(33):
        paint(tmp_path / "101_ObjectCategories" / "ant" / f"image_{number:04d}.jpg", size=(2, 2))
    paint(tmp_path / "101_ObjectCategories" / "BACKGROUND_Google" / "image_0001.jpg", size=(2, 2))
    data = DataFolder(tmp_path / "SUN397")
    test, train = classes.sun397(data, "test"), classes.sun397(data, "train")
    assert (len(test), len(train)) == (50, 10)
    assert not set(labels(test)) & set(labels(train))
    assert test.names == {"apartment_building/outdoor": "apartment building outdoor"}
    data = DataFolder(tmp_path / "101_ObjectCategories")
    test, train = classes.caltech101(data, "test"), classes.caltech101(data, "train")
    assert (len(test), len(train), test.keys) == (3, 30, ("ant",))
    said = (
        "from pathlib import Path; from cosmos_train.evaluate.readers import classes; "
        "from cosmos_train.evaluate.readers.folder import DataFolder; "
        f"print([one.id for one in classes.caltech101(DataFolder(Path({str(tmp_path)!r}) / '101_ObjectCategories'), "
        "'test').examples])"
    )
    root = Path(__file__).parents[3]
    again = subprocess.run(
        [sys.executable, "-c", said], capture_output=True, text=True, cwd=root, env={"PYTHONHASHSEED": "7"}, check=True
    )
    assert again.stdout.strip() == str([one.id for one in test.examples])


def test_the_official_split_of_sun397_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "Testing_01.txt", "/a/abbey/sun_b.jpg", "/b/bakery/shop/sun_c.jpg")
    found = classes.sun397(DataFolder(tmp_path), "test")
    assert labels(found) == [("a/abbey/sun_b.jpg", "abbey"), ("b/bakery/shop/sun_c.jpg", "bakery/shop")]


def test_every_set_says_what_it_misses(tmp_path: Path) -> None:
    for task in CLASSIFICATION.values():
        with pytest.raises(UserError) as error:
            read(task.reader, DataFolder(tmp_path), task.split, task.name)
        assert str(tmp_path) in error.value.what and error.value.do


def test_names_of_ones_own(tmp_path: Path) -> None:
    keys = ("n1", "n2")
    (tmp_path / "a.json").write_text(json.dumps({"n1": "a fox", "n2": "a cat"}))
    assert class_names(keys, {"n1": "?"}, "", str(tmp_path / "a.json")) == ("a fox", "a cat")
    write(tmp_path / "b.txt", "n2\tcat", "n1\tfox")
    assert class_names(keys, {}, "", str(tmp_path / "b.txt")) == ("fox", "cat")
    write(tmp_path / "c.txt", "fox", "cat")
    assert class_names(keys, {}, "", str(tmp_path / "c.txt")) == ("fox", "cat")


@pytest.mark.parametrize(
    ("content", "what"),
    [("one\n", "has 1 names, but there are 2 classes"), ("n1\tfox\n", "1 of 2 classes have no name, the first n2")],
)
def test_names_that_do_not_fit_are_refused(tmp_path: Path, content: str, what: str) -> None:
    (tmp_path / "names.txt").write_text(content)
    with pytest.raises(UserError, match=what):
        class_names(("n1", "n2"), {}, "", str(tmp_path / "names.txt"))


def test_templates_are_openais_or_ones_own(tmp_path: Path) -> None:
    found = templates("imagenet")
    assert len(found) == len(set(found)) == 80
    assert {"a photo of a {}.", "itap of my {}.", "the origami {}."} <= set(found)
    assert filled("a photo of a {}.", "set {of} things") == "a photo of a set {of} things."
    for task in CLASSIFICATION.values():
        assert all("{}" in one for one in templates(task.templates)), task.name
    write(tmp_path / "mine.txt", "one {}", "", "two {}")
    assert templates(str(tmp_path / "mine.txt")) == ("one {}", "two {}")
    write(tmp_path / "mine.txt", "no place")
    with pytest.raises(UserError, match="no place has no"):
        templates(str(tmp_path / "mine.txt"))
    with pytest.raises(UserError, match="there are no templates imagnet"):
        templates("imagnet")
