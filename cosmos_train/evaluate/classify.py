"""Zero-shot classification (Radford et al. 2021): a picture belongs to the class with the nearest prompts.

A class's vector is the mean of its templates' unit vectors, scaled to length 1. Costs classes × templates texts, and
one pass of the vision tower per picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cosmos_train.evaluate import names
from cosmos_train.evaluate.embedder import Embedder
from cosmos_train.evaluate.fewshot import Report, Result, check_left_out
from cosmos_train.evaluate.media import Unreadable
from cosmos_train.evaluate.metrics.ranking import mean, mean_of_groups
from cosmos_train.evaluate.prompts import draw
from cosmos_train.evaluate.protocol import Protocol
from cosmos_train.evaluate.readers.folder import DataFolder, read
from cosmos_train.evaluate.retrieval import blank, check_present, seen_in_batches
from cosmos_train.evaluate.tasks import ClassTask

_FEW = 5  # the 5 of top-5


def classify(
    embedder: Embedder, task: ClassTask, data: DataFolder, protocol: Protocol, report: Report | None = None
) -> Result:
    """One result: top-1, or its mean over classes if the set is scored that way; `more` holds both and top-5.

    Raises UserError as `fewshot.ask` does, and if classes have no names.
    """
    split = protocol.split_of(task)
    found = read(task.reader, data, split, task.name)
    said = names.class_names(found.keys, found.names, task.names, protocol.classes)
    templates = names.templates(protocol.templates or task.templates)
    examples = draw(found.examples, protocol.examples, protocol.seed)
    check_present(examples, data, protocol)
    number = {key: place for place, key in enumerate(found.keys)}
    truth: list[int] = []
    ranks: list[int] = []
    left_out: list[str] = []
    with embedder.asked():
        prototypes = class_vectors(embedder, said, templates)
        for batch, seen in seen_in_batches(embedder, data, examples, protocol, report):
            for example, vector in zip(batch, seen, strict=True):
                if isinstance(vector, Unreadable):
                    left_out.append(f"{example.id}: {vector}")
                    continue
                scores = prototypes @ vector
                own = number[example.label]
                truth.append(own)
                ranks.append(int((scores >= scores[own]).sum()) - 1)  # ties go against the model
    check_left_out(left_out, len(examples), protocol)
    rank, classes = np.asarray(ranks), np.asarray(truth)
    top_1, by_class = mean((rank == 0).astype(float)), mean_of_groups(rank == 0, classes)
    chosen = by_class if task.mean_per_class else top_1
    more = {
        "top-1": 100 * top_1.value,
        "top-5": 100 * mean((rank < _FEW).astype(float)).value,
        "mean per class": 100 * by_class.value,
    }
    return replace(
        blank(embedder, task.name, split, protocol, len(rank), left_out),
        metric=f"{'top-1, mean per class' if task.mean_per_class else 'top-1'}, %",
        score=100 * chosen.value,
        error=100 * chosen.error,
        chance=100 / len(found.keys),
        more=more,
    )


def class_vectors(embedder: Embedder, said: Sequence[str], templates: Sequence[str]) -> Tensor:
    """(C, E), unit vectors. Inside `embedder.asked()`."""
    texts = [names.filled(template, name) for name in said for template in templates]
    vectors = torch.unflatten(embedder.read(texts), 0, (len(said), len(templates)))
    return F.normalize(vectors.mean(1), dim=-1)
