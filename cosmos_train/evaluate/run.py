"""The command `evaluate --task`: a checkpoint, a task and a folder in; results out, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cosmos_train.errors import UserError
from cosmos_train.evaluate import protocol as protocols
from cosmos_train.evaluate.classify import classify
from cosmos_train.evaluate.compose import compose
from cosmos_train.evaluate.embedder import Embedder, Pair
from cosmos_train.evaluate.fewshot import Report, Result
from cosmos_train.evaluate.functions import Answer, LoadEmbedder, ReportProbe, Shown, resolve
from cosmos_train.evaluate.protocol import Prompts
from cosmos_train.evaluate.readers.folder import DataFolder
from cosmos_train.evaluate.retrieval import retrieve
from cosmos_train.evaluate.segment import segment
from cosmos_train.evaluate.stored import Evaluation, Score, scores_of
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
from cosmos_train.evaluate.watch import ask_once
from cosmos_train.train.starting import family_at

_PREFIX = "protocol."


def evaluate_task(
    checkpoint: Path, task: str, data: Path, shots: Sequence[int], protocol: str = "default",
    settings: Sequence[str] = (), predictions: Path | None = None, console: Console | None = None,
    part: str = "teacher",
) -> list[Result]:  # fmt: skip
    """One result per number of shots; for a task without shots its results (retrieval: one per direction).

    settings: `key=value` of the recipe, or `protocol.key=value`. predictions: a folder for answers, from which an
    interrupted run resumes. part: which half of a COSMOS. Raises UserError.
    """
    chosen = find(task)
    own = [one for one in settings if not one.startswith(_PREFIX)]
    asked = protocols.load(protocol, [one.removeprefix(_PREFIX) for one in settings if one.startswith(_PREFIX)])
    if chosen.kind not in SHOTLESS and not shots:
        raise UserError(f"{task} needs a number of shots", "for example --shots 0 --shots 4", 2)
    folder = DataFolder(data)
    evaluation = check_able(chosen, family_at(checkpoint))
    with Progress(console=console or Console(stderr=True), transient=True) as progress:

        def reporter(title: str) -> Report:
            bar = progress.add_task(title, total=None)
            return lambda done, total: progress.update(bar, completed=done, total=total)

        if not isinstance(chosen, Task) or chosen.kind in SHOTLESS:
            template = asked.prompts.retrieval if chosen.kind == "retrieval" else ""
            load: LoadEmbedder = resolve(evaluation.embedder)
            embedder = load(checkpoint, own, asked, part, template or Prompts().retrieval)
            return _embedded(embedder, chosen, folder, asked, reporter(task))
        answer: Answer = resolve(evaluation.answers)
        return answer(checkpoint, own, chosen, folder, asked, shots, predictions, reporter)


def _embedded(
    embedder: Embedder, task: AnyTask, data: DataFolder, protocol: protocols.Protocol, report: Report
) -> list[Result]:
    """Runs tasks that need pictures and texts in one space."""
    if isinstance(task, SegmentTask):
        assert isinstance(embedder, Pair)  # the only type that supports this task
        return [segment(embedder, task, data, protocol, report)]
    if isinstance(task, ClassTask):
        return [classify(embedder, task, data, protocol, report)]
    if isinstance(task, CompositionTask):
        return compose(embedder, task, data, protocol, report)
    return retrieve(embedder, task, data, protocol, report)


def probe(
    checkpoint: Path, settings: Sequence[str], slots: Path | None, clips: int, candidates: int, draws: int
) -> Shown:
    """The probe of the shards in `settings` (`data.shards=…`). Raises UserError."""
    family = family_at(checkpoint)
    evaluation = family.evaluation
    if not evaluation.probe:
        raise family.cannot("be probed", family.instead)
    if evaluation.probe_report:
        report: ReportProbe = resolve(evaluation.probe_report)
        return report(checkpoint, settings, slots, clips, candidates, draws)
    trained, numbers = ask_once(checkpoint, settings, slots, clips, candidates, draws)
    return Shown(
        numbers, lambda console: print_numbers(numbers, console), scores_of(numbers), str(trained.folder), trained.step
    )


def evaluation_of(results: Sequence[Result], settings: Sequence[str], data: Path) -> Evaluation:
    """The results of one task, as its run keeps them."""
    first = results[0]
    scores = [
        Score(
            one.metric, one.score, one.error, one.chance, unit="%", examples=one.examples, left_out=one.left_out,
            shots=one.shots, split=one.split, part=one.part, protocol=one.protocol, more=one.more, warning=one.warning,
        )
        for one in results
    ]  # fmt: skip
    return Evaluation(first.task, first.checkpoint, first.step, scores, settings, str(data))


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
        if one.warning:
            console.print(f"  warning: {one.task}: {one.warning}", style="yellow", highlight=False, soft_wrap=True)
        if one.more:
            shown = "  ".join(f"{name} {value:.2f}" for name, value in one.more.items())
            console.print(f"  {one.metric.partition(',')[0]}: {shown}", highlight=False, soft_wrap=True)
        for why in one.left_out_named:
            console.print(f"  left out: {why}", highlight=False, markup=False, soft_wrap=True)


def print_numbers(numbers: Mapping[str, float], console: Console) -> None:
    """Prints the scores of a probe, each with the same for another picture, and chance."""
    table = Table("probe", "score", "another picture's", "chance", box=None)
    for name, value in numbers.items():
        if not name.endswith(("_shuffled", "_chance")):
            levels = (numbers.get(f"{name}_{what}") for what in ("shuffled", "chance"))
            table.add_row(
                name.removeprefix("probe/"), f"{value:.3f}", *("" if one is None else f"{one:.3f}" for one in levels)
            )
    console.print(table)
