"""Zero-shot segmentation: every place of a picture gets the class with the nearest prompts; mean IoU.

As SCLIP (Wang et al. 2024) evaluates CLIPs, without mmsegmentation. Costs `dense.similarities` per picture.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cosmos_train.errors import UserError
from cosmos_train.evaluate import names
from cosmos_train.evaluate.classify import class_vectors
from cosmos_train.evaluate.dense import assign, similarities
from cosmos_train.evaluate.embedder import Pair
from cosmos_train.evaluate.fewshot import Report, Result, check_left_out
from cosmos_train.evaluate.media import Unreadable
from cosmos_train.evaluate.prompts import draw
from cosmos_train.evaluate.protocol import Protocol
from cosmos_train.evaluate.readers.folder import DataFolder, read, read_lines
from cosmos_train.evaluate.readers.labelmaps import IGNORED, read_map
from cosmos_train.evaluate.retrieval import blank
from cosmos_train.evaluate.tasks import SegmentTask

Counts = NDArray[np.int64]  # (C, C): pixels by true class (rows) and assigned class (columns)

_DATA = Path(__file__).with_name("data") / "segmentation.json"
_FOLDS = 20  # folds of the jackknife


def segment(
    pair: Pair, task: SegmentTask, data: DataFolder, protocol: Protocol, report: Report | None = None
) -> Result:
    """One result: mIoU; `more` holds pixel accuracy and the IoU of each class. Raises as `fewshot.ask` does."""
    split = protocol.split_of(task)
    settings = protocol.segment
    scenes = draw(read(task.reader, data, split, task.name), protocol.examples, protocol.seed)
    check_left_out([one.id for one in scenes if data.media(one.media.name) is None], len(scenes), protocol)
    said = class_lists(task.classes, protocol.classes)
    owner = torch.tensor([number for number, several in enumerate(said) for _ in several], device=pair.device)
    size = pair.half.visual.size
    short_side = settings.short_side or round(task.zoom * size)
    stride = settings.stride or size // 2
    thresholds = (
        task.probability if settings.probability is None else settings.probability,
        task.area if settings.area is None else settings.area,
    )
    folds = np.zeros((_FOLDS, len(said), len(said)), np.int64)
    left_out: list[str] = []
    with pair.asked():
        texts = [name for several in said for name in several]
        queries = class_vectors(pair, texts, names.templates(protocol.templates or "imagenet")).to(pair.device)
        for place, scene in enumerate(scenes):
            labels = read_map(data.root / scene.labels, len(said), task.without_zero)
            try:
                frame = pair.frame(data, scene.media)
            except Unreadable as error:
                left_out.append(f"{scene.id}: {error}")
                continue
            found = similarities(pair, frame, queries, short_side, stride, settings.attention == "correlative")
            height, width = labels.shape
            given = assign(found, (height, width), owner, settings.logit_scale or task.logit_scale, *thresholds)
            folds[place % _FOLDS] += confusion(labels, given.cpu().numpy(), len(said))
            if report is not None:
                report(place + 1, len(scenes))
    check_left_out(left_out, len(scenes), protocol)
    whole = folds.sum(0)
    by_class = iou(whole)
    more = {"pixels right": 100 * float(whole.trace() / whole.sum())}
    more |= {several[0]: 100 * value for several, value in zip(said, by_class, strict=True) if not np.isnan(value)}
    return replace(
        blank(pair, task.name, split, protocol, len(scenes) - len(left_out), left_out),
        metric="mIoU, %",
        score=100 * float(np.nanmean(by_class)),
        error=100 * jackknife(folds),
        more=more,
    )


def confusion(labels: NDArray[np.uint8], given: NDArray[np.int64], classes: int) -> Counts:
    """The counts of one picture; places without a label do not count."""
    known = labels != IGNORED
    pairs = labels[known].astype(np.int64) * classes + given[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def iou(counts: Counts) -> NDArray[np.float64]:
    """(C,): intersection over union; nan for a class that occurs neither in truth nor in assignment."""
    inside = np.diagonal(counts).astype(np.float64)
    union = counts.sum(0) + counts.sum(1) - inside
    found: NDArray[np.float64] = np.divide(inside, union, out=np.full(len(counts), np.nan), where=union > 0)
    return found


def jackknife(folds: Counts) -> float:
    """The standard error of the mean IoU, by leaving out each non-empty fold of (F, C, C)."""
    there = [fold for fold in folds if fold.any()]
    if len(there) < 2:
        return float("nan")
    whole = sum(there)
    without = np.array([np.nanmean(iou(whole - fold)) for fold in there])
    return float(np.sqrt((len(there) - 1) / len(there) * np.square(without - without.mean()).sum()))


def class_lists(bundled: str, own: str) -> list[list[str]]:
    """The names of each class in the order of their numbers: from a file (a class per line, names by comma), or
    bundled.

    Raises UserError if there are none.
    """
    if own:
        path = Path(own)
        if not path.is_file():
            raise UserError(f"there is no file {path} of classes", "check protocol.classes", 2)
        lines: Sequence[str] = read_lines(path)
    elif bundled:
        lines = json.loads(_DATA.read_text())[bundled]
    else:
        lines = ()
    found = [[name.strip() for name in line.split(",") if name.strip()] for line in lines]
    if len(found) < 2 or not all(found):
        raise UserError(
            f"{own or 'the set'} has {len(found)} classes",
            "give a file with a class per line, in the order of the labels' numbers: --set protocol.classes=FILE",
            2,
        )
    return found
