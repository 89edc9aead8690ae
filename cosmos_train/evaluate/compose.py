"""Compositional sets: does a picture select its text, and a text its picture, among hard negatives?

Text score: every picture is nearer to its own text than to the other; image score: every text is nearer to its own
picture; group score: both (Thrush et al. 2022). Ties are wrong. Costs one pass per picture and text, each once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from cosmos_train.evaluate.embedder import Embedder
from cosmos_train.evaluate.fewshot import Report, Result, check_left_out
from cosmos_train.evaluate.media import Unreadable
from cosmos_train.evaluate.metrics.ranking import mean, mean_of_groups
from cosmos_train.evaluate.prompts import draw
from cosmos_train.evaluate.protocol import Protocol
from cosmos_train.evaluate.readers.compositions import Composition
from cosmos_train.evaluate.readers.folder import DataFolder, Media, read
from cosmos_train.evaluate.retrieval import blank
from cosmos_train.evaluate.tasks import CompositionTask

_TEXTS = 1024  # texts per pass
_CHANCE = {"group": 1 / 6}  # for two pictures and two texts


def compose(
    embedder: Embedder, task: CompositionTask, data: DataFolder, protocol: Protocol, report: Report | None = None
) -> list[Result]:
    """A result for each of the task's scores; `more` holds it by group. Raises UserError as `fewshot.ask` does."""
    split = protocol.split_of(task)
    items = draw(read(task.reader, data, split, task.name), protocol.examples, protocol.seed)
    pictures = list(dict.fromkeys(media for item in items for media in item.media))
    absent = {media for media in pictures if data.media(media.name) is None}
    missing = [f"{one.id} ({media.name})" for one in items for media in one.media if media in absent]
    check_left_out(missing, len(items), protocol)
    with embedder.asked():
        seen = _see(embedder, data, pictures, protocol, report)
        texts = list(dict.fromkeys(text for item in items for text in item.texts))
        said = dict(zip(texts, torch.cat(list(_read(embedder, texts))), strict=True))
    kept, tables, left_out = [], [], []
    for item in items:
        vectors = [seen[media] for media in item.media]
        bad = next((one for one in vectors if isinstance(one, Unreadable)), None)
        if bad is not None:
            left_out.append(f"{item.id}: {bad}")
            continue
        images = torch.stack([one for one in vectors if isinstance(one, Tensor)])
        kept.append(item)
        tables.append(images @ torch.stack([said[text] for text in item.texts]).T)
    check_left_out(left_out, len(items), protocol)
    empty = blank(embedder, task.name, split, protocol, len(kept), left_out)
    return [_scored(empty, task, kept, tables, score) for score in task.scores]


def right(table: Tensor, score: str) -> bool:
    """Scores from similarities (pictures, texts), where the n-th picture belongs to the n-th text."""
    if score == "group":
        return right(table, "text") and right(table, "image")
    rows = table if score == "text" else table.T
    own = rows.diagonal()
    return all(bool((rows[number] >= own[number]).sum() == 1) for number in range(len(own)))


def _scored(
    empty: Result, task: CompositionTask, items: Sequence[Composition], tables: Sequence[Tensor], score: str
) -> Result:
    found = np.asarray([right(table, score) for table in tables], dtype=float)
    groups = np.asarray([item.group for item in items])
    estimate = mean_of_groups(found, groups) if task.by_group else mean(found)
    pictures, texts = tables[0].shape
    guess = (1 / texts if score == "text" else 1 / pictures) ** min(pictures, texts)
    return replace(
        empty,
        metric=f"{score} score{', mean over kinds' if task.by_group else ''}, %",
        score=100 * estimate.value,
        error=100 * estimate.error,
        chance=100 * _CHANCE.get(score, guess),
        more={str(group): 100 * float(found[groups == group].mean()) for group in np.unique(groups) if group},
    )


def _see(
    embedder: Embedder, data: DataFolder, media: Sequence[Media], protocol: Protocol, report: Report | None
) -> dict[Media, Tensor | Unreadable]:
    found: dict[Media, Tensor | Unreadable] = {}
    for first in range(0, len(media), protocol.batch_size):
        batch = media[first : first + protocol.batch_size]
        found.update(zip(batch, embedder.see(data, batch), strict=True))
        if report is not None:
            report(len(found), len(media))
    return found


def _read(embedder: Embedder, texts: Sequence[str]) -> Iterator[Tensor]:
    for first in range(0, len(texts), _TEXTS):
        yield embedder.read(texts[first : first + _TEXTS])
