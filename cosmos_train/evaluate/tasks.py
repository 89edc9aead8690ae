"""The benchmarks by name: reader, split, kind of question and scoring. Light: imports no torch."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cosmos_train.errors import UserError
from cosmos_train.evaluate.readers import classes, compositions, images, judged, labelmaps, questions, videos
from cosmos_train.evaluate.readers.classes import Classes
from cosmos_train.evaluate.readers.compositions import Composition
from cosmos_train.evaluate.readers.folder import DataFolder, Reader
from cosmos_train.evaluate.readers.labelmaps import Labelled
from cosmos_train.families.base import Evaluation, Family

Kind = Literal["caption", "question", "meme", "retrieval", "choice", "judged"]


@dataclass(frozen=True)
class Task:
    """kind: caption (CIDEr-D), question (accuracy), meme (ROC-AUC), retrieval (R@K both ways), choice (accuracy of a
    letter, a number or words), judged (marks of a judge, by `rubric`).

    split: scored by default; demonstrations come from the split train. own_words: the set's questions state the format
    of the answer. together: questions of a group count as one, right if all of them are. tokens: longest answer for the
    judge, as its authors' baselines are asked.
    """

    name: str
    kind: Kind
    reader: Reader
    split: str
    video: bool = False
    own_words: bool = False
    rubric: Literal["", "compared", "graded"] = ""
    together: bool = False
    tokens: int = 1024


@dataclass(frozen=True)
class ClassTask:
    """A classification set. templates: the bundled list of prompts; names: the bundled list of class names.

    mean_per_class: its authors score the mean over classes, because class sizes differ.
    """

    name: str
    reader: Callable[[DataFolder, str], Classes]
    templates: str
    split: str = "test"
    mean_per_class: bool = False
    names: str = ""
    kind: Literal["classify"] = "classify"


@dataclass(frozen=True)
class CompositionTask:
    """scores: those that its authors report: text, image, group; by_group: their mean over kinds of item."""

    name: str
    reader: Callable[[DataFolder, str], list[Composition]]
    scores: tuple[Literal["text", "image", "group"], ...]
    by_group: bool = False
    split: str = "test"
    kind: Literal["compose"] = "compose"


COMPOSITION: dict[str, CompositionTask] = {
    task.name: task
    for task in (
        CompositionTask("winoground", compositions.winoground, ("text", "image", "group")),
        CompositionTask("sugarcrepe", compositions.sugarcrepe, ("text",), by_group=True),
        CompositionTask("svo-probes", compositions.svo_probes, ("image",)),
        CompositionTask("mmvp-vlm", compositions.mmvp_vlm, ("image",), by_group=True),
    )
}


@dataclass(frozen=True)
class SegmentTask:
    """classes: the bundled list of names; zoom: pictures' shorter side, in windows; without_zero: see `labelmaps`.

    logit_scale, probability, area: see `dense.assign`; values of SCLIP.
    """

    name: str
    reader: Callable[[DataFolder, str], list[Labelled]]
    classes: str
    zoom: float = 1.5
    without_zero: bool = False
    logit_scale: float = 40.0
    probability: float = 0.0
    area: float = 0.0
    split: str = "val"
    kind: Literal["segment"] = "segment"


SEGMENTATION: dict[str, SegmentTask] = {
    task.name: task
    for task in (
        SegmentTask("voc20-segment", labelmaps.voc, "voc20", without_zero=True),
        SegmentTask("voc21-segment", labelmaps.voc, "voc21", logit_scale=65, probability=0.1, area=0.1),
        SegmentTask("context59-segment", labelmaps.context, "context59", without_zero=True),
        SegmentTask("context60-segment", labelmaps.context, "context60", logit_scale=50, probability=0.1),
        SegmentTask("ade20k-segment", labelmaps.ade20k, "ade20k", without_zero=True),
        SegmentTask("cityscapes-segment", labelmaps.cityscapes, "cityscapes", zoom=2.5),
        SegmentTask("coco-stuff-segment", labelmaps.coco_stuff, "coco-stuff", zoom=2.0),
        SegmentTask("coco-object-segment", labelmaps.coco_object, "coco-object", logit_scale=50, probability=0.1),
        SegmentTask("folder-segment", labelmaps.folders, ""),
    )
}

CLASSIFICATION: dict[str, ClassTask] = {
    task.name: task
    for task in (
        ClassTask("imagenet-classify", classes.imagenet, "imagenet", "val"),
        ClassTask("food101-classify", classes.food101, "food101"),
        ClassTask("cifar10-classify", classes.cifar10, "cifar"),
        ClassTask("cifar100-classify", classes.cifar100, "cifar"),
        ClassTask("sun397-classify", classes.sun397, "sun397"),
        ClassTask("cars-classify", classes.cars, "cars"),
        ClassTask("aircraft-classify", classes.aircraft, "aircraft", mean_per_class=True),
        ClassTask("dtd-classify", classes.dtd, "dtd"),
        ClassTask("pets-classify", classes.pets, "pets", mean_per_class=True),
        ClassTask("caltech101-classify", classes.caltech101, "caltech101", mean_per_class=True, names="caltech101"),
        ClassTask("flowers102-classify", classes.flowers, "flowers", mean_per_class=True, names="flowers"),
        ClassTask("folder-classify", classes.folders, "imagenet"),
    )
}

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("coco-caption", "caption", images.coco, "test"),
        Task("flickr30k-caption", "caption", images.flickr30k, "test"),
        Task("vqav2", "question", images.vqav2, "val"),
        Task("okvqa", "question", images.okvqa, "val"),
        Task("textvqa", "question", images.textvqa, "val"),
        Task("textvqa-ocr", "question", images.textvqa_ocr, "val", own_words=True),
        Task("vizwiz", "question", images.vizwiz, "val"),
        Task("gqa", "question", questions.gqa, "testdev"),
        Task("scienceqa", "choice", questions.scienceqa, "test"),
        Task("mmmu", "choice", questions.mmmu, "validation"),
        Task("mathvista", "choice", questions.mathvista, "testmini", own_words=True),
        Task("mmvp", "choice", questions.mmvp, "test", together=True),
        Task("llava-bench", "judged", judged.llava_bench, "test", rubric="compared", tokens=128),
        Task("mm-vet", "judged", judged.mm_vet, "test", rubric="graded"),
        Task("hateful-memes", "meme", images.hateful_memes, "val"),
        Task("msvd-caption", "caption", videos.msvd, "test", video=True),
        Task("msrvtt-caption", "caption", videos.msrvtt, "test", video=True),
        Task("youcook2-caption", "caption", videos.youcook2, "val", video=True),
        Task("vatex-caption", "caption", videos.vatex, "test", video=True),
        Task("tvc-caption", "caption", videos.tvc, "val", video=True),
        Task("tgif-caption", "caption", videos.tgif, "test", video=True),
        Task("msvd-qa", "question", videos.msvd_qa, "test", video=True),
        Task("msrvtt-qa", "question", videos.msrvtt_qa, "test", video=True),
        Task("tgif-qa", "question", videos.tgif_qa, "test", video=True),
        Task("coco-retrieval", "retrieval", images.coco, "test"),
        Task("flickr30k-retrieval", "retrieval", images.flickr30k, "test"),
        Task("msrvtt-retrieval", "retrieval", videos.msrvtt_pairs, "test", video=True),
        Task("youcook2-retrieval", "retrieval", videos.youcook2, "val", video=True),
    )
}


AnyTask = Task | ClassTask | CompositionTask | SegmentTask
SHOTLESS = frozenset(("retrieval", "classify", "compose", "segment"))  # kinds without demonstrations


def check_able(task: AnyTask, family: Family) -> Evaluation:
    """Checks that a family supports a task. Raises UserError (code 2) if not, naming the tasks that it supports."""
    if not _able(task, family.evaluation):
        able = ", ".join(name for name, one in every().items() if _able(one, family.evaluation))
        raise family.cannot(f"do {task.name}", f"tasks that it can do: {able or 'no task'}")
    return family.evaluation


def _able(task: AnyTask, evaluation: Evaluation) -> bool:
    if isinstance(task, Task) and (task.video > evaluation.videos or task.own_words > evaluation.own_words):
        return False
    how = evaluation.embedder if task.kind in SHOTLESS else evaluation.answers
    return bool(how) and task.kind in evaluation.tasks


def every() -> dict[str, AnyTask]:
    return {**TASKS, **CLASSIFICATION, **COMPOSITION, **SEGMENTATION}


def find(name: str) -> AnyTask:
    """The task of that name. Raises UserError (code 2) naming the nearest task."""
    known = every()
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    raise UserError(f"there is no task {name} (did you mean {close}?)", f"tasks: {', '.join(known)}", 2)
