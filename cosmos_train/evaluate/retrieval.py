"""Retrieval of a benchmark: every picture or video against every text, R@1, 5 and 10 both ways.

Costs one pass per picture and one of the language model's first half per text; memory is their vectors.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from cosmos_train.evaluate.decoder import check_length
from cosmos_train.evaluate.fewshot import NAMED, Report, Result, asked_examples, check_left_out
from cosmos_train.evaluate.media import Unreadable
from cosmos_train.evaluate.metrics.ranking import ranks, recall_at
from cosmos_train.evaluate.prompts import Writer
from cosmos_train.evaluate.protocol import Protocol
from cosmos_train.evaluate.readers.folder import DataFolder
from cosmos_train.evaluate.subject import Gallery, Subject
from cosmos_train.evaluate.tasks import Task

AT = (1, 5, 10)


def retrieve(
    subject: Subject, task: Task, data: DataFolder, protocol: Protocol, report: Report | None = None
) -> list[Result]:
    """Two results: media to text and text to media. `score` is R@1, `more` holds the others and their errors.

    A picture is found by any of its captions, and finds any of them. Raises UserError as `fewshot.ask` does.
    """
    examples = asked_examples(task, data, protocol)
    gallery = Gallery(subject, data, protocol.frames, 0)
    missing = [f"{one.id} ({one.media.name})" for one in examples if not gallery.present(one)]
    check_left_out(missing, len(examples), protocol)
    vectors, kept, left_out = [], [], []
    with subject.asked():
        for first in range(0, len(examples), protocol.batch_size):
            batch = examples[first : first + protocol.batch_size]
            for example, seen in zip(batch, gallery.see(batch), strict=True):
                if isinstance(seen, Unreadable):
                    left_out.append(f"{example.id}: {seen}")
                else:
                    kept.append(example)
                    vectors.append(seen.vector.float().cpu().numpy())
            if report is not None:
                report(first + len(batch), len(examples))
        check_left_out(left_out, len(examples), protocol)
        writer = Writer(task, protocol, subject.tokenizer)
        texts = _embed(subject, [writer.text(one) for example in kept for one in example.references], protocol)
    media = np.stack(vectors)
    owner = [number for number, example in enumerate(kept) for _ in example.references]
    captions: list[set[int]] = [set() for _ in kept]
    for text, number in enumerate(owner):
        captions[number].add(text)
    result = Result(
        task=task.name,
        metric="",
        shots=0,
        score=0.0,
        error=0.0,
        chance=None,
        examples=len(kept),
        left_out=len(left_out),
        left_out_named=tuple(left_out[:NAMED]),
        split=protocol.split or task.split,
        protocol=protocol.model_dump(mode="json"),
        checkpoint=subject.checkpoint,
        step=subject.step,
    )
    ways = (
        ("media to text", ranks(media, texts, captions), sum(len(own) for own in captions) / len(kept) / len(texts)),
        ("text to media", ranks(texts, media, [{number} for number in owner]), 1 / len(kept)),
    )
    return [_filled(result, name, ranked, chance) for name, ranked, chance in ways]


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


def _embed(subject: Subject, texts: list[tuple[int, ...]], protocol: Protocol) -> NDArray[np.float32]:
    found = []
    check_length(subject.model, max(len(text) for text in texts))
    for first in range(0, len(texts), 8 * protocol.batch_size):
        batch = texts[first : first + 8 * protocol.batch_size]
        width = max(len(text) for text in batch)
        tokens = torch.full((len(batch), width), subject.tokenizer.pad)
        mask = torch.zeros(len(batch), width, dtype=torch.bool)
        for row, text in enumerate(batch):
            tokens[row, : len(text)] = torch.tensor(text)
            mask[row, : len(text)] = True
        encoded = subject.model.encode_text(tokens.to(subject.device), mask.to(subject.device))
        found.append(encoded.float().cpu().numpy())
    return np.concatenate(found)
