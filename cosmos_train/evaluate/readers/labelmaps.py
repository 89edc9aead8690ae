"""Segmentation sets: pictures and label maps (PNG), in the layouts of their authors or mmsegmentation's converters.

Labels are class numbers; 255 means no class. With `without_zero`, 0 means no class either and classes begin at 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from cosmos_train.errors import UserError
from cosmos_train.evaluate.readers.folder import DataFolder, Media, read_lines

IGNORED = 255


@dataclass(frozen=True)
class Labelled:
    """A picture and the path of its map, below the same root."""

    id: str
    media: Media
    labels: str


def voc(data: DataFolder, split: str) -> list[Labelled]:
    """JPEGImages/, SegmentationClass/, ImageSets/Segmentation/<split>.txt."""
    return _listed(data, "JPEGImages", "SegmentationClass", f"Segmentation/{split}.txt")


def context(data: DataFolder, split: str) -> list[Labelled]:
    """JPEGImages/, SegmentationClassContext/ (0: background), ImageSets/SegmentationContext/<split>.txt."""
    return _listed(data, "JPEGImages", "SegmentationClassContext", f"SegmentationContext/{split}.txt")


def ade20k(data: DataFolder, split: str) -> list[Labelled]:
    """images/validation/, annotations/validation/."""
    folder = {"val": "validation", "train": "training"}.get(split, split)
    return _paired(data, f"images/{folder}", f"annotations/{folder}", "", "")


def cityscapes(data: DataFolder, split: str) -> list[Labelled]:
    """leftImg8bit/<split>/<city>/, gtFine/<split>/<city>/…_gtFine_labelTrainIds.png."""
    return _paired(data, f"leftImg8bit/{split}", f"gtFine/{split}", "_leftImg8bit", "_gtFine_labelTrainIds")


def coco_stuff(data: DataFolder, split: str) -> list[Labelled]:
    """images/<split>2017/, annotations/<split>2017/…_labelTrainIds.png (171 classes)."""
    return _paired(data, f"{split}2017", f"annotations/{split}2017", "", "_labelTrainIds")


def coco_object(data: DataFolder, split: str) -> list[Labelled]:
    """images/<split>2017/, annotations/<split>2017/…_instanceTrainIds.png (80 things, 0 the background)."""
    return _paired(data, f"{split}2017", f"annotations/{split}2017", "", "_instanceTrainIds")


def folders(data: DataFolder, split: str) -> list[Labelled]:
    """images/ and labels/ (masks/, annotations/) with the same names; in both a folder <split> if it exists."""
    for name in ("labels", "masks", "annotations"):
        found = _paired(data, f"images/{split}", f"{name}/{split}", "", "") or _paired(data, "images", name, "", "")
        if found:
            return found
    return []


def _inside(data: DataFolder, folder: str) -> list[PurePosixPath]:
    return [PurePosixPath(path) for path in data.pictures if f"/{folder}/" in f"/{path}"]


def _listed(data: DataFolder, pictures: str, labels: str, listed: str) -> list[Labelled]:
    images = {path.stem: path for path in _inside(data, pictures)}
    maps = {path.stem: path for path in _inside(data, labels)}
    names = [line.split()[0] for line in read_lines(data.annotation(listed))]
    missing = [name for name in names if name not in maps]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(names)} maps are missing in {data.root}/**/{labels}, the first {missing[0]}.png",
            "unpack the labels there",
        )
    return [Labelled(name, Media(str(images.get(name, f"{name}.jpg"))), str(maps[name])) for name in names]


def _paired(data: DataFolder, pictures: str, labels: str, image_end: str, label_end: str) -> list[Labelled]:
    maps = {
        path.stem.removesuffix(label_end): path
        for path in _inside(data, labels)
        if path.stem.endswith(label_end) and path.suffix.lower() == ".png"
    }
    return [
        Labelled(name, Media(str(path)), str(maps[name]))
        for path in _inside(data, pictures)
        if f"/{labels}/" not in f"/{path}" and (name := path.stem.removesuffix(image_end)) in maps
    ]


def read_map(path: Path, classes: int, without_zero: bool) -> NDArray[np.uint8]:
    """(H, W): 0 to classes - 1, and IGNORED. Raises UserError if it is not a map of that many classes."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            found = np.asarray(picture)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a map of labels: {error}", "download the labels again") from error
    if found.ndim != 2 or found.dtype.kind not in "ui":
        raise UserError(
            f"{path} holds colours ({found.shape}, {found.dtype}), not class numbers",
            "give one-channel maps of class numbers (PNG, with or without a palette)",
        )
    labels = np.where(found >= IGNORED, IGNORED, found).astype(np.uint8)
    if without_zero:
        labels = np.where((labels == 0) | (labels == IGNORED), IGNORED, labels - 1).astype(np.uint8)
    most = int(labels[labels != IGNORED].max(initial=0))
    if most >= classes:
        raise UserError(
            f"{path} holds class {most + without_zero}, but the set has {classes} classes",
            "check that the labels were converted for this set, or give the classes: --set protocol.classes=FILE",
        )
    return labels
