"""The benchmarks by name: which reader, which split, what is asked and how it is scored. Light: imports no torch."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from cosmos_train.errors import UserError
from cosmos_train.evaluate.readers import images, videos
from cosmos_train.evaluate.readers.folder import Reader

Kind = Literal["caption", "question", "meme", "retrieval"]


@dataclass(frozen=True)
class Task:
    """kind: caption (CIDEr-D), question (accuracy), meme (ROC-AUC), retrieval (R@K both ways).

    split: what is scored by default; demonstrations come from the split train.
    """

    name: str
    kind: Kind
    reader: Reader
    split: str
    video: bool = False


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("coco-caption", "caption", images.coco, "test"),
        Task("flickr30k-caption", "caption", images.flickr30k, "test"),
        Task("vqav2", "question", images.vqav2, "val"),
        Task("okvqa", "question", images.okvqa, "val"),
        Task("textvqa", "question", images.textvqa, "val"),
        Task("vizwiz", "question", images.vizwiz, "val"),
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


def find(name: str) -> Task:
    """Raises UserError (code 2) naming the nearest task."""
    if name in TASKS:
        return TASKS[name]
    close = difflib.get_close_matches(name, TASKS, n=1, cutoff=0.0)[0]
    raise UserError(f"there is no task {name} (did you mean {close}?)", f"tasks: {', '.join(TASKS)}", 2)
