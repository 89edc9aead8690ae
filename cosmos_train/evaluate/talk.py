"""Benchmarks for a conversation model (CuMo): one picture, one question, no demonstrations; scored, or judged.

Costs `talker` per example; a judge costs a request each. Answers are kept: an interrupted run resumes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cosmos_train.errors import UserError
from cosmos_train.evaluate import judge as judging
from cosmos_train.evaluate import names
from cosmos_train.evaluate.choices import LETTERS, is_right, letter_of
from cosmos_train.evaluate.fewshot import Report, Result, asked_examples, check_left_out, score, warning_of
from cosmos_train.evaluate.media import Unreadable
from cosmos_train.evaluate.metrics.ranking import Estimate, mean
from cosmos_train.evaluate.predictions import Predictions, Said
from cosmos_train.evaluate.protocol import Protocol
from cosmos_train.evaluate.readers.folder import DataFolder, Example
from cosmos_train.evaluate.talker import Talker, load_talker
from cosmos_train.evaluate.tasks import Task

Answered = Sequence[tuple[Example, str]]


def answer(
    path: Path, settings: list[str], task: Task, data: DataFolder, protocol: Protocol, shots: Sequence[int],
    predictions: Path | None, report: Callable[[str], Report],
) -> list[Result]:  # fmt: skip
    """Evaluates a CuMo. Raises UserError as `ask` does, and for demonstrations: it reads one picture."""
    if any(shots):
        raise UserError("a CuMo cannot use demonstrations", "omit --shots", 2)
    return [ask(load_talker(path, settings), task, data, protocol, predictions, report)]


def ask(
    talker: Talker, task: Task, data: DataFolder, protocol: Protocol, folder: Path | None = None,
    report: Callable[[str], Report] | None = None,
) -> Result:  # fmt: skip
    """Scores one task; `folder` keeps the answers, and the judge's replies.

    Raises UserError as `fewshot.ask` does, for a model that was never trained to read a question, and if a needed judge
    is not configured.
    """
    if talker.recipe.data.talk.prompt == "plain" and task.kind != "caption":
        raise UserError(
            f"{talker.checkpoint} was trained with data.talk.prompt=plain, which has no questions",
            "evaluate a later stage, or the task coco-caption",
            2,
        )
    if task.kind == "judged":
        judging.check(protocol.judge)
    examples = asked_examples(task, data, protocol)
    missing = [f"{one.id} ({one.media.name})" for one in examples if data.media(one.media.name) is None]
    check_left_out(missing, len(examples), protocol)
    what = {
        "task": task.name, "protocol": protocol.model_dump(mode="json", exclude={"judge"}), "step": talker.step,
        "checkpoint": str(Path(talker.checkpoint).resolve()), "prompt": talker.recipe.data.talk.prompt,
    }  # fmt: skip
    with Predictions(folder / f"{task.name}-0.jsonl" if folder else None, what) as kept:
        _answer(talker, task, data, protocol, examples, kept, report(task.name) if report else None)
        done = dict(kept.done)
    left_out = [f"{one.id}: {done[one.id]['left_out']}" for one in examples if "left_out" in done[one.id]]
    check_left_out(left_out, len(examples), protocol)
    more: dict[str, float] = {}
    if task.kind == "judged":
        what["judge"] = {"model": protocol.judge.model, "max_tokens": protocol.judge.max_tokens, "rubric": task.rubric}
        answered = [(one, done[one.id]["said"]) for one in examples if "said" in done[one.id]]
        with Predictions(folder / f"{task.name}-judged.jsonl" if folder else None, what) as replies:
            _judge(task, protocol, answered, replies, report(f"{task.name}, judged") if report else None)
            unjudged = [f"{key}: {one['left_out']}" for key, one in replies.done.items() if "left_out" in one]
            left_out += unjudged
            check_left_out(left_out, len(examples), protocol)
            estimate, metric, more = _judged(task, examples, replies.done)
        chance = None
    elif task.kind == "choice":
        said = [(one, done[one.id]["said"]) for one in examples if "said" in done[one.id]]
        estimate, metric, chance, more = _right(said, task.together)
    else:
        estimate, metric, chance = score(task, examples, done)
    scored = len(examples) - len(left_out)
    split = protocol.split_of(task)
    warning = warning_of(task, examples, done)
    return Result.of(
        task.name, split, protocol, talker, scored, left_out, metric, estimate, chance, more=more, warning=warning
    )


def worded(example: Example, task: Task, protocol: Protocol) -> str:
    """The question for the model."""
    talk = protocol.talk
    if task.kind == "caption":
        return talk.caption
    if task.kind == "judged":
        return names.fill(talk.judged, {"question": example.question})
    if task.own_words:  # the set's own question states the format of the answer
        return example.question
    if not example.choices:
        return names.fill(talk.question, {"question": example.question})
    lines = [
        names.fill(talk.option, {"letter": letter, "choice": choice})
        for letter, choice in zip(LETTERS, example.choices, strict=False)
    ]
    return names.fill(talk.choice, {"question": example.question, "choices": "\n".join(lines)})


def longest_answer(task: Task, protocol: Protocol) -> int:
    """Tokens of an answer, at most."""
    return (protocol.talk.judged_tokens or task.tokens) if task.kind == "judged" else protocol.talk.tokens


def _answer(
    talker: Talker, task: Task, data: DataFolder, protocol: Protocol, examples: Sequence[Example], kept: Predictions,
    report: Report | None,
) -> None:  # fmt: skip
    todo = [one for one in examples if one.id not in kept.done]
    tokens = longest_answer(task, protocol)
    prompts = {one.id: talker.tokenize(worded(one, task, protocol)) for one in todo}
    talker.check_length(max(map(len, prompts.values()), default=0) + tokens)
    with talker.asked():
        for first in range(0, len(todo), protocol.batch_size):
            batch = todo[first : first + protocol.batch_size]
            seen = talker.see(data, [one.media for one in batch])
            shown = [
                (one, pixels) for one, pixels in zip(batch, seen, strict=True) if not isinstance(pixels, Unreadable)
            ]
            said: dict[str, Said] = {
                one.id: {"left_out": str(why)}
                for one, why in zip(batch, seen, strict=True)
                if isinstance(why, Unreadable)
            }
            if shown:
                texts = talker.answer(
                    [pixels for _, pixels in shown], [prompts[one.id] for one, _ in shown], tokens, protocol.talk.beams
                )
                said |= {one.id: {"said": text.strip()} for (one, _), text in zip(shown, texts, strict=True)}
            for one in batch:
                kept.add(one.id, said[one.id])
            if report is not None:
                report(len(examples) - len(todo) + first + len(batch), len(examples))


def _judge(task: Task, protocol: Protocol, answered: Answered, kept: Predictions, report: Report | None) -> None:
    """Fills `kept` with the judge's replies; asks again about answers without marks."""
    todo = [(one, said) for one, said in answered if "reply" not in kept.done.get(one.id, {})]
    rubric = judging.RUBRICS[task.rubric]
    for number, (example, reply, wrong) in enumerate(judging.judge(protocol.judge, rubric, todo), 1):
        kept.add(example.id, {"left_out": wrong} if wrong else {"reply": reply})
        if report is not None:
            report(len(answered) - len(todo) + number, len(answered))


def _judged(task: Task, examples: Sequence[Example], done: dict[str, Said]) -> tuple[Estimate, str, dict[str, float]]:
    """compared: the model's marks over the reference's; graded: the mean mark. `more` holds it by kind of question."""
    read = judging.RUBRICS[task.rubric].read
    marks = [(one, read(done[one.id]["reply"])) for one in examples if "reply" in done.get(one.id, {})]
    kinds = sorted({kind for one, _ in marks for kind in one.group.split(",") if kind})
    groups = {kind: [found for one, found in marks if kind in one.group.split(",")] for kind in kinds}
    if task.rubric == "graded":
        more = {kind: 100 * mean([found[0] for found in those]).value for kind, those in groups.items()}
        return mean([found[0] for _, found in marks]), "marks of the judge, %", more
    more = {kind: 100 * ratio([found[1] for found in those], [found[0] for found in those]).value
            for kind, those in groups.items()}  # fmt: skip
    own, reference = [found[1] for _, found in marks], [found[0] for _, found in marks]
    return ratio(own, reference), "marks in % of the reference's", more


def ratio(above: Sequence[float], below: Sequence[float]) -> Estimate:
    """The ratio of two sums over the same examples, and its standard error (delta method). ValueError without any."""
    top, bottom = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    if not len(top):
        raise ValueError("nothing was judged")
    value = float(top.sum() / bottom.sum())
    residual = top - value * bottom
    count = len(top)
    error = float(np.sqrt(residual.var(ddof=1) / count) / bottom.mean()) if count > 1 else float("nan")
    return Estimate(value, error)


def _right(answered: Answered, together: bool) -> tuple[Estimate, str, float | None, dict[str, float]]:
    """Accuracy; chance if all have choices; `more`: by kind of question, and answers that name no choice."""
    right = np.asarray([is_right(said, one) for one, said in answered], dtype=float)
    groups = np.asarray([one.group for one, _ in answered])
    chosen = [(one, said) for one, said in answered if one.choices]
    if together:
        kinds = np.unique(groups)
        guess = [float(np.prod([1 / len(one.choices) for one, _ in answered if one.group == kind])) for kind in kinds]
        both = [float(right[groups == kind].all()) for kind in kinds]
        more = {"each question": 100 * float(right.mean())}
        metric, estimate, chance = "accuracy of pairs, %", mean(both), 100 * float(np.mean(guess))
    else:
        more = {str(group): 100 * float(right[groups == group].mean()) for group in np.unique(groups) if group}
        metric, estimate = "accuracy, %", mean(right)
        chance = 100 * float(np.mean([1 / len(one.choices) for one, _ in chosen])) if chosen else 0.0
    if chosen:
        more["no choice named"] = 100 * sum(not letter_of(said, one.choices) for one, said in chosen) / len(chosen)
    return estimate, metric, chance if len(chosen) == len(answered) else None, more
