"""Few-shot evaluation of one task: writes the prompts, runs the model, scores. One result per number of shots.

Costs per example its prompt's pass, then beams x new tokens; media are encoded once. Results do not depend on the batch
size except for rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

import torch

from cosmos_train.errors import UserError
from cosmos_train.evaluate.beams import beam_search
from cosmos_train.evaluate.decoder import begin, check_length, likelihoods
from cosmos_train.evaluate.generate import ends, never_said
from cosmos_train.evaluate.media import Unreadable
from cosmos_train.evaluate.metrics.cider import cider_d, tells_nothing
from cosmos_train.evaluate.metrics.ranking import Estimate, mean, roc_auc
from cosmos_train.evaluate.metrics.vqa import accuracy
from cosmos_train.evaluate.predictions import Predictions, Said
from cosmos_train.evaluate.prompts import Demonstrations, Prompt, RandomDemonstrations, Writer, draw
from cosmos_train.evaluate.protocol import Protocol
from cosmos_train.evaluate.readers.folder import DataFolder, Example, read
from cosmos_train.evaluate.readers.images import MEME_LABELS
from cosmos_train.evaluate.rices import LikeDemonstrations
from cosmos_train.evaluate.subject import Gallery, Subject, load_subject
from cosmos_train.evaluate.tasks import Task

NAMED = 5  # number of left out examples that a result names

Report = Callable[[int, int], None]  # examples done, total


class Asked(Interface):
    """Any model under evaluation: the source of its weights."""

    @property
    def checkpoint(self) -> str: ...
    @property
    def step(self) -> int: ...


@dataclass(frozen=True)
class Result:
    """score and error (its standard error) in percent, as in papers; chance: the score of guessing, if known.

    examples were scored; left_out were not, because their media are missing or unreadable. part: student or teacher.
    warning: why the score means nothing, or "".
    """

    task: str
    metric: str
    shots: int
    score: float
    error: float
    chance: float | None
    examples: int
    left_out: int
    left_out_named: tuple[str, ...]
    split: str
    protocol: dict[str, Any]
    checkpoint: str
    step: int
    more: dict[str, float] = field(default_factory=dict)
    part: str = ""
    warning: str = ""

    @classmethod
    def of(
        cls, task: str, split: str, protocol: Protocol, asked: Asked, examples: int, left_out: Sequence[str],
        metric: str = "", estimate: Estimate | None = None, chance: float | None = None, shots: int = 0, **more: Any,
    ) -> Result:  # fmt: skip
        """examples: number of scored examples. more: other fields. Without an estimate it has no score yet."""
        return cls(
            task=task,
            metric=metric,
            shots=shots,
            score=100 * estimate.value if estimate else 0.0,
            error=100 * estimate.error if estimate else 0.0,
            chance=chance,
            examples=examples,
            left_out=len(left_out),
            left_out_named=tuple(left_out[:NAMED]),
            split=split,
            protocol=protocol.model_dump(mode="json"),
            checkpoint=asked.checkpoint,
            step=asked.step,
            **more,
        )


def asked_examples(task: Task, data: DataFolder, protocol: Protocol) -> list[Example]:
    """The examples that a protocol scores. Raises UserError for missing or foreign annotations."""
    found = read(task.reader, data, protocol.split_of(task), task.name)
    return draw(found, protocol.examples, protocol.seed)


def answer(
    path: Path, settings: list[str], task: Task, data: DataFolder, protocol: Protocol, shots: Sequence[int],
    predictions: Path | None, report: Callable[[str], Report],
) -> list[Result]:  # fmt: skip
    """Evaluates a CosMo: one result per number of shots. Raises UserError as `ask` does."""
    subject = load_subject(path, settings)
    found = []
    for number in shots:
        what = {
            "task": task.name, "shots": number, "protocol": protocol.model_dump(mode="json"), "step": subject.step,
            "checkpoint": str(Path(subject.checkpoint).resolve()),
        }  # fmt: skip
        kept_at = predictions / f"{task.name}-{number}.jsonl" if predictions else None
        with Predictions(kept_at, what) as kept:
            progress = report(f"{task.name}, {number} shots")
            found.append(ask(subject, task, data, protocol, number, kept, progress))
    return found


def ask(
    subject: Subject, task: Task, data: DataFolder, protocol: Protocol, shots: int, predictions: Predictions,
    report: Report | None = None,
) -> Result:  # fmt: skip
    """Scores one task at one number of shots; reuses the answers in `predictions`.

    Raises UserError for annotations that are missing or in another layout, prompts longer than the model's context, and
    too large a share of examples without readable media.
    """
    examples = asked_examples(task, data, protocol)
    gallery = Gallery(subject, data, protocol.frames, protocol.cache_megabytes, protocol.pictures)
    writer = Writer(task, protocol, subject.tokenizer)
    with subject.asked():
        prompts = _prompts(task, data, protocol, shots, examples, gallery, writer)
        room = max((len(choice) for prompt in prompts for choice in prompt.labels), default=0) or _most(task, protocol)
        check_length(subject.model, max(len(prompt.tokens) for prompt in prompts) + room)
        todo = [prompt for prompt in prompts if prompt.example.id not in predictions.done]
        for first in range(0, len(todo), protocol.batch_size):
            batch = todo[first : first + protocol.batch_size]
            for prompt, said in zip(batch, _answers(subject, task, protocol, gallery, batch), strict=True):
                predictions.add(prompt.example.id, said)
            if report is not None:
                report(len(prompts) - len(todo) + first + len(batch), len(prompts))
    done = predictions.done
    left_out = [f"{one.id}: {done[one.id]['left_out']}" for one in examples if "left_out" in done[one.id]]
    check_left_out(left_out, len(examples), protocol)
    estimate, metric, chance = score(task, examples, done)
    scored = len(examples) - len(left_out)
    split = protocol.split_of(task)
    warning = warning_of(task, examples, done)
    return Result.of(
        task.name, split, protocol, subject, scored, left_out, metric, estimate, chance, shots, warning=warning
    )


def score(task: Task, examples: Sequence[Example], done: dict[str, Said]) -> tuple[Estimate, str, float | None]:
    """The task's score over the answered examples, its name, and the level of chance."""
    answered = [(example, done[example.id]) for example in examples if "left_out" not in done[example.id]]
    try:
        if task.kind == "caption":
            scores = cider_d([said["said"] for _, said in answered], [example.references for example, _ in answered])
            return mean(scores), "CIDEr-D", None
        if task.kind == "question":
            right = [accuracy(said["said"], example.answers) for example, said in answered]
            return mean(right), "accuracy, %", None
        margins = [said["likelihoods"][1] - said["likelihoods"][0] for _, said in answered]
        positive = [example.label == MEME_LABELS[1] for example, _ in answered]
        return roc_auc(margins, positive), "ROC-AUC, %", 50.0
    except ValueError as error:
        raise UserError(f"{task.name} cannot be scored: {error}", "score more examples") from error


def warning_of(task: Task, examples: Sequence[Example], done: dict[str, Said]) -> str:
    """Why a task's score means nothing; empty if it does."""
    if task.kind != "caption":
        return ""
    references = [example.references for example in examples if "left_out" not in done[example.id]]
    if not tells_nothing(references):
        return ""
    return (
        f"CIDEr-D of {len(references)} picture(s) is 0 for every caption: it weighs words by how few of the pictures "
        "have them. Score more pictures"
    )


def check_left_out(left_out: Sequence[str], examples: int, protocol: Protocol) -> None:
    """Raises UserError if more than the protocol's share of examples have no media."""
    if examples == 0 or len(left_out) > protocol.max_left_out * examples:
        raise UserError(
            f"{len(left_out)} of {examples} examples have no readable media, for example {left_out[0]}"
            if left_out
            else "there are no examples",
            "complete the folder, or score the readable examples: --set protocol.max_left_out=1",
        )


def _prompts(
    task: Task, data: DataFolder, protocol: Protocol, shots: int, examples: list[Example], gallery: Gallery,
    writer: Writer,
) -> list[Prompt]:  # fmt: skip
    missing = [f"{one.id} ({one.media.name})" for one in examples if not gallery.present(one)]
    check_left_out(missing, len(examples), protocol)
    count = writer.demonstrations(shots)
    source: Demonstrations | None = None
    if count:
        training = read(task.reader, data, "train", task.name)
        if shots:
            training = [one for one in training if gallery.present(one)]
        if len(training) <= count:
            raise UserError(
                f"{count} demonstrations need more training examples than the {len(training)} that have media",
                "add the training split, or use fewer shots",
            )
        if protocol.demonstrations == "rices" and shots:
            query_set = draw(training, protocol.query_set, protocol.seed)
            source = LikeDemonstrations(query_set, gallery, protocol.batch_size)
        else:
            source = RandomDemonstrations(training, protocol.query_set, protocol.seed)
    return [writer.write(one, source.choose(one, count) if source else [], shots) for one in examples]


def _answers(subject: Subject, task: Task, protocol: Protocol, gallery: Gallery, batch: Sequence[Prompt]) -> list[Said]:
    """The model's answer to each prompt, or the reason for leaving it out."""
    wanted = [example for prompt in batch for example in prompt.media]
    seen = dict(zip(wanted, gallery.see(wanted), strict=True))
    answers: list[Said] = [{} for _ in batch]
    rows, media = [], []
    for number, prompt in enumerate(batch):
        shown = [seen[example] for example in prompt.media]
        bad = next((one for one in shown if isinstance(one, Unreadable)), None)
        if bad is not None:
            answers[number] = {"left_out": str(bad)}
            continue
        rows.append(number)
        media.append(torch.stack([one.latents for one in shown if not isinstance(one, Unreadable)]))
    if not rows:
        return answers
    tokenizer = subject.tokenizer
    context = begin(subject.model, [batch[row].tokens for row in rows], media, tokenizer.pad)
    if task.kind == "meme":
        choices = batch[rows[0]].labels
        assert all(batch[row].labels == choices for row in rows), "labels of one template tokenise alike"
        found = likelihoods(context, choices, tokenizer.pad).sum(-1)
        if protocol.label_score == "mean":
            found = found / torch.tensor([len(choice) for choice in choices], device=found.device)
        for row, values in zip(rows, found.tolist(), strict=True):
            answers[row] = {"likelihoods": values}
        return answers
    texts = beam_search(
        context, protocol.beams, protocol.length_penalty, _most(task, protocol), ends(tokenizer),
        never_said(tokenizer),
    )  # fmt: skip
    stops = protocol.caption_stops if task.kind == "caption" else protocol.answer_stops
    for row, ids in zip(rows, texts, strict=True):
        answers[row] = {"said": clean(tokenizer.decode(ids), stops)}
    return answers


def clean(text: str, stops: Sequence[str]) -> str:
    """The answer up to the first stop, without quotes (a model may go on to the next demonstration)."""
    for stop in stops:
        text = text.split(stop, 1)[0]
    return " ".join(text.replace('"', "").split())


def _most(task: Task, protocol: Protocol) -> int:
    return protocol.caption_tokens if task.kind == "caption" else protocol.answer_tokens
