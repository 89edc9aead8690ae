"""Classification: ImageNet, folders of classes, and ten common CLIP benchmarks, in their published layouts.

If a set lacks a split, a hash of each picture's name draws it: the same on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from cosmos_train.errors import UserError
from cosmos_train.evaluate.readers.folder import (
    CIFAR_BYTES,
    DataFolder,
    Example,
    Media,
    cifar_labels,
    read_lines,
    read_rows,
)  # fmt: skip

_SPLITS = {
    "test": ("test", "val", "valid", "validation"),
    "val": ("val", "valid", "validation", "test"),
    "train": ("train",),
}
_PER_CLASS = {"sun397": 50, "caltech101": 30}  # pictures per class: for testing; for training


@dataclass(frozen=True)
class Classes:
    """keys: the classes as the files name them, in order; an example's `label` is one of them.

    names: their names in prompts, if the files have them.
    """

    keys: tuple[str, ...]
    names: dict[str, str]
    examples: tuple[Example, ...]

    def __len__(self) -> int:
        return len(self.examples)


def _made(labelled: Sequence[tuple[str, Media]], names: dict[str, str] | None = None, keys: Any = None) -> Classes:
    """Builds a set from (class, picture); classes are sorted by key unless the caller gives their order."""
    order = tuple(keys or sorted({key for key, _ in labelled}))
    examples = tuple(
        Example(f"{media.name}:{media.row}" if media.row is not None else media.name, media, label=key)
        for key, media in labelled
    )
    return Classes(order, {key: (names or {}).get(key) or _spoken(key) for key in order}, examples)


def _spoken(key: str) -> str:
    return " ".join(key.replace("_", " ").split())


def folders(data: DataFolder, split: str) -> Classes:
    """<split>/<class>/<picture>, at any depth; without a folder of that name, <class>/<picture> below the root."""
    wanted = _SPLITS.get(split, (split,))
    parts = [PurePosixPath(path).parts for path in data.pictures]
    for name in wanted:
        found = [(one[one.index(name) + 1], "/".join(one)) for one in parts if name in one[:-2]]
        if found:
            return _made([(key, Media(path)) for key, path in found])
    return _made([(one[0], Media("/".join(one))) for one in parts if len(one) > 1])


def imagenet(data: DataFolder, split: str) -> Classes:
    """val/<wnid>/*.JPEG, or all of them next to LOC_val_solution.csv; names from LOC_synset_mapping.txt's order."""
    if data.has("LOC_val_solution.csv") and split == "val":
        rows = read_rows(data.annotation("LOC_val_solution.csv"))
        found = _made([(row["PredictionString"].split()[0], Media(f"{row['ImageId']}.JPEG")) for row in rows])
    else:
        found = folders(data, split)
    if data.has("LOC_synset_mapping.txt"):
        all_keys = sorted(line.split()[0] for line in read_lines(data.annotation("LOC_synset_mapping.txt")))
    else:
        all_keys = list(found.keys)
    said = _imagenet_names()
    if len(all_keys) != len(said):
        # A part of ImageNet does not show its classes' numbers among the thousand: the user must give names.
        return Classes(found.keys, {}, found.examples)
    return Classes(found.keys, dict(zip(all_keys, said, strict=True)), found.examples)


def _imagenet_names() -> tuple[str, ...]:
    """OpenAI's names of the 1000 classes, in the order of their wnids."""
    from cosmos_train.models.backends import open_clip

    return tuple(open_clip().IMAGENET_CLASSNAMES)


def cifar10(data: DataFolder, split: str) -> Classes:
    """cifar-10-batches-bin/test_batch.bin and batches.meta.txt."""
    return _cifar(data, "test_batch.bin" if split == "test" else "data_batch_*.bin", "batches.meta.txt")


def cifar100(data: DataFolder, split: str) -> Classes:
    """cifar-100-binary/test.bin and fine_label_names.txt."""
    return _cifar(data, f"{split}.bin", "fine_label_names.txt")


def _cifar(data: DataFolder, pattern: str, names: str) -> Classes:
    if not data.has(pattern):
        if data.has("test_batch", "cifar-100-python/test"):
            raise UserError(
                f"{data.root} holds CIFAR's Python version, and reading it could run code",
                "download the binary version: cifar-10-binary.tar.gz, cifar-100-binary.tar.gz",
            )
        return folders(data, "test")
    keys = read_lines(data.annotation(names))
    found: list[tuple[str, Media]] = []
    for path in data.annotations(pattern):
        labels = cifar_labels(path)
        content = path.read_bytes()
        size = labels + CIFAR_BYTES
        name = path.relative_to(data.root).as_posix()
        found += [(keys[content[row * size + labels - 1]], Media(name, row=row)) for row in range(len(content) // size)]
    return _made(found, keys=keys)


def food101(data: DataFolder, split: str) -> Classes:
    """meta/test.txt with class/number, images/<class>/<number>.jpg."""
    lines = read_lines(data.annotation(f"meta/{split}.txt", f"{split}.txt"))
    return _made([(line.partition("/")[0], Media(f"{line}.jpg")) for line in lines])


def sun397(data: DataFolder, split: str) -> Classes:
    """Testing_01.txt (Training_01.txt) if it exists; else 50 pictures of each class, by hash."""
    part = "Testing_01.txt" if split == "test" else "Training_01.txt"
    if data.has(part):
        lines = [PurePosixPath(line.lstrip("/")) for line in read_lines(data.annotation(part))]
    else:
        lines = [_below(PurePosixPath(path), "SUN397") for path in data.pictures]
        lines = _drawn(lines, lambda line: str(line.parent), _PER_CLASS["sun397"], split == "test")
    # The first folder is a letter, the rest is the name: a/apartment_building/outdoor.
    return _made([("/".join(line.parts[1:-1]), Media(str(line))) for line in lines], _slashed(lines))


def _slashed(lines: Sequence[PurePosixPath]) -> dict[str, str]:
    return {"/".join(line.parts[1:-1]): _spoken(" ".join(line.parts[1:-1])) for line in lines}


def caltech101(data: DataFolder, split: str) -> Classes:
    """101_ObjectCategories/<class>/*.jpg without BACKGROUND_Google: 30 of each class train, by hash, the rest test."""
    lines = [_below(PurePosixPath(path), "101_ObjectCategories") for path in data.pictures]
    lines = [line for line in lines if len(line.parts) == 2 and line.parts[0] != "BACKGROUND_Google"]
    lines = _drawn(lines, lambda line: line.parts[0], _PER_CLASS["caltech101"], split == "train")
    return _made([(line.parts[0], Media(f"101_ObjectCategories/{line}")) for line in lines])


def _below(path: PurePosixPath, folder: str) -> PurePosixPath:
    return PurePosixPath(*path.parts[path.parts.index(folder) + 1 :]) if folder in path.parts else path


def _drawn(lines: list[PurePosixPath], key: Any, count: int, chosen: bool) -> list[PurePosixPath]:
    """Of each class the `count` with the smallest hashes, or (not `chosen`) all others; in their order."""
    groups: dict[str, list[PurePosixPath]] = {}
    for line in lines:
        groups.setdefault(key(line), []).append(line)
    first = {
        line
        for those in groups.values()
        for line in sorted(those, key=lambda one: hashlib.sha256(str(one).encode()).digest())[:count]
    }
    return [line for line in lines if (line in first) == chosen]


def cars(data: DataFolder, split: str) -> Classes:
    """cars_test_annos_withlabels.mat (devkit/cars_train_annos.mat) and cars_meta.mat; or folders of classes."""
    name = "cars_test_annos_withlabels.mat" if split == "test" else "cars_train_annos.mat"
    if not data.has(name):
        return folders(data, split)
    keys = [str(one) for one in _mat(data.annotation("cars_meta.mat"))["class_names"]]
    rows = _mat(data.annotation(name))["annotations"]
    rows = rows if isinstance(rows, list) else [rows]
    folder = f"cars_{split}"
    return _made([(keys[int(row["class"]) - 1], Media(f"{folder}/{row['fname']}")) for row in rows], keys=keys)


def aircraft(data: DataFolder, split: str) -> Classes:
    """images_variant_<split>.txt with a number and a variant, images/<number>.jpg."""
    lines = read_lines(data.annotation(f"images_variant_{split}.txt"))
    return _made([(line.partition(" ")[2], Media(f"{line.partition(' ')[0]}.jpg")) for line in lines])


def dtd(data: DataFolder, split: str) -> Classes:
    """labels/test1.txt with class/picture: the first of its ten splits, as is usual."""
    lines = read_lines(data.annotation(f"labels/{split}1.txt", f"{split}1.txt"))
    return _made([(line.partition("/")[0], Media(f"images/{line}")) for line in lines])


def pets(data: DataFolder, split: str) -> Classes:
    """annotations/test.txt (trainval.txt) with the picture's name first: its breed and a number."""
    lines = read_lines(data.annotation(f"annotations/{'trainval' if split == 'train' else split}.txt"))
    names = [line.split()[0] for line in lines if not line.startswith("#")]
    return _made([(name.rpartition("_")[0], Media(f"{name}.jpg")) for name in names])


def flowers(data: DataFolder, split: str) -> Classes:
    """imagelabels.mat, setid.mat (tstid, trnid, valid), jpg/image_<number>.jpg; classes are numbers from 1."""
    labels = _mat(data.annotation("imagelabels.mat"))["labels"]
    chosen = _mat(data.annotation("setid.mat"))[{"test": "tstid", "train": "trnid", "val": "valid"}[split]]
    numbers = [int(number) for number in (chosen if isinstance(chosen, list) else [chosen])]
    found = [(str(int(labels[number - 1])), Media(f"jpg/image_{number:05d}.jpg")) for number in numbers]
    return _made(found, keys=sorted({key for key, _ in found}, key=int))


def _mat(path: Path) -> dict[str, Any]:
    """A MATLAB file as plain lists and dicts."""
    try:
        read = import_module("scipy.io").loadmat
    except ImportError:
        raise UserError(f"{path} is a MATLAB file, and reading it needs scipy", "pip install scipy") from None
    try:
        return {name: _plain(value) for name, value in read(str(path), simplify_cells=True).items()}
    except Exception as error:  # scipy raises many types
        raise UserError(f"{path} cannot be read: {error}", "download the file again") from error


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
