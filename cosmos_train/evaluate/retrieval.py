"""Retrieval of a benchmark: every picture or video against every text, R@1, 5 and 10 both ways.

Costs one pass per picture and one per text; memory holds their vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosmos_train.evaluate.embedder import Embedder
from cosmos_train.evaluate.fewshot import Report, Result, asked_examples, check_left_out
from cosmos_train.evaluate.media import Unreadable
from cosmos_train.evaluate.metrics.ranking import ranks, recall_at
from cosmos_train.evaluate.protocol import Protocol
from cosmos_train.evaluate.readers.folder import DataFolder, Example
from cosmos_train.evaluate.tasks import Task

AT = (1, 5, 10)


def retrieve(
    embedder: Embedder, task: Task, data: DataFolder, protocol: Protocol, report: Report | None = None
) -> list[Result]:
    """Two results: media to text and text to media. `score` is R@1, `more` holds the others and their errors.

    Any of a picture's captions finds it, and it finds any of them. Raises UserError as `fewshot.ask` does.
    """
    examples = asked_examples(task, data, protocol)
    check_present(examples, data, protocol)
    vectors, kept, left_out = [], [], []
    with embedder.asked():
        for batch, seen in seen_in_batches(embedder, data, examples, protocol, report):
            for example, one in zip(batch, seen, strict=True):
                if isinstance(one, Unreadable):
                    left_out.append(f"{example.id}: {one}")
                else:
                    kept.append(example)
                    vectors.append(one)
        check_left_out(left_out, len(examples), protocol)
        texts = embedder.read([one for example in kept for one in example.references]).numpy()
    media = torch.stack(vectors).numpy()
    owner = [number for number, example in enumerate(kept) for _ in example.references]
    captions: list[set[int]] = [set() for _ in kept]
    for text, number in enumerate(owner):
        captions[number].add(text)
    result = blank(embedder, task.name, protocol.split_of(task), protocol, len(kept), left_out)
    ways = (
        ("media to text", ranks(media, texts, captions), sum(len(own) for own in captions) / len(kept) / len(texts)),
        ("text to media", ranks(texts, media, [{number} for number in owner]), 1 / len(kept)),
    )
    return [_filled(result, name, ranked, chance) for name, ranked, chance in ways]


def check_present(examples: Sequence[Example], data: DataFolder, protocol: Protocol) -> None:
    """Raises UserError if too many media are missing in the folder, before an hour is spent on the others."""
    missing = [f"{one.id} ({one.media.name})" for one in examples if data.media(one.media.name) is None]
    check_left_out(missing, len(examples), protocol)


def seen_in_batches(
    embedder: Embedder, data: DataFolder, examples: Sequence[Example], protocol: Protocol, report: Report | None
) -> Iterator[tuple[Sequence[Example], list[Tensor | Unreadable]]]:
    """Examples with the vectors of their media, some at a time. Inside `embedder.asked()`."""
    for first in range(0, len(examples), protocol.batch_size):
        batch = examples[first : first + protocol.batch_size]
        yield batch, embedder.see(data, [one.media for one in batch])
        if report is not None:
            report(first + len(batch), len(examples))


def blank(
    embedder: Embedder, task: str, split: str, protocol: Protocol, examples: int, left_out: Sequence[str]
) -> Result:
    """A result that has no score yet."""
    return Result.of(task, split, protocol, embedder, examples, left_out, part=embedder.part)


def _filled(result: Result, name: str, ranked: NDArray[np.int64], chance: float) -> Result:
    found = {k: recall_at(ranked, k) for k in AT}
    more = {f"R@{k}": 100 * one.value for k, one in found.items()}
    more |= {f"R@{k} s.e.": 100 * one.error for k, one in found.items()}
    more["median rank"] = float(np.median(ranked)) + 1
    return replace(
        result,
        metric=f"R@1 {name}, %",
        score=100 * found[1].value,
        error=100 * found[1].error,
        chance=100 * chance,
        more=more,
    )
