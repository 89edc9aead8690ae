"""What the command does: a checkpoint, a task and a folder in; results out, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cosmos_train.errors import UserError
from cosmos_train.evaluate import loading, talk
from cosmos_train.evaluate import protocol as protocols
from cosmos_train.evaluate.classify import classify
from cosmos_train.evaluate.compose import compose
from cosmos_train.evaluate.embedder import Embedder, Pair
from cosmos_train.evaluate.fewshot import Report, Result, ask
from cosmos_train.evaluate.predictions import Predictions
from cosmos_train.evaluate.probe import Probe, ProbeScores
from cosmos_train.evaluate.readers.folder import DataFolder
from cosmos_train.evaluate.retrieval import retrieve
from cosmos_train.evaluate.segment import segment
from cosmos_train.evaluate.slots import SAMPLE_WORLD, load_slots
from cosmos_train.evaluate.subject import load_subject
from cosmos_train.evaluate.talker import load_talker
from cosmos_train.evaluate.tasks import (
    SHOTLESS,
    AnyTask,
    ClassTask,
    CompositionTask,
    SegmentTask,
    Task,
    check_able,
    find,
)

_PREFIX = "protocol."


def evaluate_task(
    checkpoint: Path, task: str, data: Path, shots: Sequence[int], protocol: str = "default",
    settings: Sequence[str] = (), predictions: Path | None = None, console: Console | None = None,
    part: str = "teacher",
) -> list[Result]:  # fmt: skip
    """One result per number of shots, or those of a task that has none (retrieval: one per direction).

    settings: `key=value` of the recipe, or `protocol.key=value`. predictions: a folder where answers are kept, by which
    a run that was cut off goes on. part: which half of a COSMOS. Raises UserError.
    """
    chosen = find(task)
    own = [one for one in settings if not one.startswith(_PREFIX)]
    asked = protocols.load(protocol, [one.removeprefix(_PREFIX) for one in settings if one.startswith(_PREFIX)])
    if chosen.kind not in SHOTLESS and not shots:
        raise UserError(f"{task} is asked with a number of shots", "for example --shots 0 --shots 4", 2)
    folder = DataFolder(data)
    kind = loading.kind_of(checkpoint)
    check_able(chosen, kind)
    with Progress(console=console or Console(stderr=True), transient=True) as progress:

        def reporter(title: str) -> Report:
            bar = progress.add_task(title, total=None)
            return lambda done, total: progress.update(bar, completed=done, total=total)

        if not isinstance(chosen, Task) or chosen.kind in SHOTLESS:
            template = asked.prompts.retrieval if chosen.kind == "retrieval" else ""
            embedder = loading.load_embedder(checkpoint, own, asked, part, template)
            return _embedded(embedder, chosen, folder, asked, reporter(task))
        if kind == "cumo":
            if any(shots):
                raise UserError("a CuMo is asked without demonstrations", "leave out --shots", 2)
            return [talk.ask(load_talker(checkpoint, own), chosen, folder, asked, predictions, reporter)]
        subject = load_subject(checkpoint, own)
        found = []
        for number in shots:
            what = {
                "task": task, "shots": number, "protocol": asked.model_dump(mode="json"), "step": subject.step,
                "checkpoint": str(Path(subject.checkpoint).resolve()),
            }  # fmt: skip
            path = predictions / f"{task}-{number}.jsonl" if predictions else None
            with Predictions(path, what) as kept:
                report = reporter(f"{task}, {number} shots")
                found.append(ask(subject, chosen, folder, asked, number, kept, report))
        return found


def _embedded(
    embedder: Embedder, task: AnyTask, data: DataFolder, protocol: protocols.Protocol, report: Report
) -> list[Result]:
    """Of tasks that need pictures and texts in one space."""
    if isinstance(task, SegmentTask):
        assert isinstance(embedder, Pair)  # no other kind of model can be asked it
        return [segment(embedder, task, data, protocol, report)]
    if isinstance(task, ClassTask):
        return [classify(embedder, task, data, protocol, report)]
    if isinstance(task, CompositionTask):
        return compose(embedder, task, data, protocol, report)
    return retrieve(embedder, task, data, protocol, report)


def evaluate_probe(
    checkpoint: Path, settings: Sequence[str], slots: Path | None = None, max_clips: int = 512, candidates: int = 64,
    draws: int = 10,
) -> ProbeScores:  # fmt: skip
    """The probe of the shards that `settings` (`data.shards=…`) names. Raises UserError."""
    table = load_slots(slots or SAMPLE_WORLD)
    subject = load_subject(checkpoint, list(settings))
    return Probe(subject.recipe.data, subject.tokenizer, table, max_clips).ask(
        subject, candidates=candidates, draws=draws
    )


def as_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    return [asdict(result) for result in results]


def print_results(results: Sequence[Result], console: Console) -> None:
    first = results[0]
    part = f"{first.part}, " if first.part else ""
    console.print(
        f"{first.checkpoint}, {part}step {first.step}, protocol {first.protocol['name']}",
        soft_wrap=True,
        highlight=False,
    )
    table = Table("task", "split", "shots", "measure", "score", "± s.e.", "chance", "examples", "left out", box=None)
    for one in results:
        chance = "" if one.chance is None else f"{one.chance:.2f}"
        table.add_row(
            one.task, one.split, str(one.shots), one.metric, f"{one.score:.2f}", f"{one.error:.2f}", chance,
            str(one.examples), str(one.left_out),
        )  # fmt: skip
    console.print(table)
    for one in results:
        if one.more:
            shown = "  ".join(f"{name} {value:.2f}" for name, value in one.more.items())
            console.print(f"  {one.metric.partition(',')[0]}: {shown}", highlight=False, soft_wrap=True)
        for why in one.left_out_named:
            console.print(f"  left out: {why}", highlight=False, markup=False, soft_wrap=True)


def print_numbers(numbers: Mapping[str, float], console: Console) -> None:
    """What a probe logs: each score with the same of another picture, and chance."""
    table = Table("probe", "score", "another picture's", "chance", box=None)
    for name, value in numbers.items():
        if not name.endswith(("_shuffled", "_chance")):
            beside = (numbers.get(f"{name}_{what}") for what in ("shuffled", "chance"))
            table.add_row(
                name.removeprefix("probe/"), f"{value:.3f}", *("" if one is None else f"{one:.3f}" for one in beside)
            )
    console.print(table)


def print_probe(scores: ProbeScores, console: Console) -> None:
    table = Table("captions right in", "score", "± s.e.", "frames shuffled", "± s.e.", "chance", box=None)
    for name, one in scores.slots.items():
        table.add_row(
            name, f"{one.right:.3f}", f"{one.error:.3f}", f"{one.shuffled:.3f}", f"{one.shuffled_error:.3f}",
            f"{one.chance:.3f}",
        )  # fmt: skip
    found = scores.retrieval
    numbers = (found.recall, found.error, found.shuffled, found.shuffled_error, found.chance)
    table.add_row(
        f"R@1, frames to text, of {found.candidates} ({found.draws} draws)", *(f"{number:.3f}" for number in numbers)
    )
    console.print(table)
    console.print(f"{scores.asked} clips asked, {scores.open} whose own text leaves a slot open", highlight=False)
    for truth, said in scores.examples:
        console.print(f"  {truth}  →  {said}", highlight=False, markup=False, soft_wrap=True)
