"""A judge of answers: a language model on a server with OpenAI's chat completions API. One request per answer.

The prompts are our wording of what the sets' authors ask, so scores compare with each other, not with published ones.
Its replies are kept like a model's answers, so none is paid for twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cosmos_train.errors import UserError
from cosmos_train.evaluate import names
from cosmos_train.evaluate.protocol import Judge
from cosmos_train.evaluate.readers.folder import Example

if TYPE_CHECKING:
    from cosmos_train.evaluate.chat import Ask

Marks = tuple[float, ...]

_NUMBER = r"(-?\d+(?:\.\d+)?)"
_TWO = re.compile(rf"{_NUMBER}\s*[,/ ]\s*{_NUMBER}")
_ONE = re.compile(_NUMBER)

_SYSTEM = "You judge answers to questions about pictures. You are precise, fair and consistent."

COMPARED = """What the picture shows, in words:
{context}

The question:
{question}

Answer 1:
{reference}

Answer 2:
{answer}

Rate how helpful, relevant, accurate and detailed each answer is, given what the picture shows. You cannot see it, so \
trust the words above. Neither the order of the answers nor their length may matter.
Write first, on a line of its own, two numbers from 1 to 10 with a space between them: the rating of answer 1, then \
that of answer 2. Then explain."""

GRADED = """The question:
{question}

The right answer (with <AND> all of its parts are needed, with <OR> one of them is enough):
{reference}

The answer given:
{answer}

How right is the answer given? Write one number from 0.0 (wrong) to 1.0 (wholly right), in steps of 0.1, for how much \
of the right answer it says. Write the number alone."""


@dataclass(frozen=True)
class Rubric:
    """prompt: with {question}, {reference}, {answer}, {context}; read: parses the marks of a reply, if there are
    any."""

    prompt: str
    read: Callable[[str], Marks]


def _two(reply: str) -> Marks:
    found = _TWO.search(reply)
    marks = (float(found[1]), float(found[2])) if found else ()
    return marks if all(0 < one <= 10 for one in marks) else ()


def _one(reply: str) -> Marks:
    found = _ONE.search(reply)
    marks = (float(found[1]),) if found else ()
    return marks if all(0 <= one <= 1 for one in marks) else ()


RUBRICS = {"compared": Rubric(COMPARED, _two), "graded": Rubric(GRADED, _one)}


def judge(
    settings: Judge, rubric: Rubric, answers: Sequence[tuple[Example, str]]
) -> Iterator[tuple[Example, str, str]]:
    """(example, reply, error) of each answer, as they arrive. Raises UserError if the server cannot be reached."""
    from cosmos_train.evaluate.chat import Ask, Chat, ChatSettings

    asked = settings.model_dump()
    chat = Chat(ChatSettings(**asked), "protocol.judge")
    by_id = {example.id: example for example, _ in answers}

    def asks() -> Iterator[Ask]:
        for example, said in answers:
            fields = {
                "question": example.question, "reference": example.references[0], "answer": said,
                "context": example.text,
            }  # fmt: skip
            prompt = {"role": "user", "content": names.fill(rubric.prompt, fields)}
            yield Ask(example.id, [{"role": "system", "content": _SYSTEM}, prompt])

    chat.open()
    try:
        for reply in chat.converse(asks()):
            wrong = str(reply.error) if reply.error else "" if reply.text else f"the judge's reply is {reply.flag}"
            if reply.text and not rubric.read(reply.text):
                wrong = f"the judge gave no marks: {reply.text[:80]}"
            yield by_id[reply.tag], reply.text, wrong
    finally:
        chat.close()


def check(settings: Judge) -> None:
    """Raises UserError if no judge is configured, before the model answers for an hour."""
    if not settings.model:
        raise UserError(
            "a judge scores the answers of this set, and none is configured",
            "set one: --set protocol.judge.model=NAME (and protocol.judge.base_url=http://…/v1 for your own server)",
            2,
        )
