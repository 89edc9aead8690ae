"""Sentences with one word swapped: is a picture nearest to its own sentence, or to a wrong one?

A question names a slot (evaluate/slots.py) and a sentence of a caption: one that holds all words of `with` and none of
`without`. In that sentence the slot's word is replaced by each of the slot's other values. Light: imports no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from cosmos_train.errors import UserError
from cosmos_train.settings import Settings

SAMPLE_WORLD = Path(__file__).with_name("questions.json")

Table = Mapping[str, Mapping[str, Sequence[str]]]  # slot -> value -> the words that name it


class Question(Settings):
    slot: str = Field(description="a slot of the table")
    all_of: list[str] = Field(default=[], alias="with", description="words that the sentence must hold")
    none_of: list[str] = Field(default=[], alias="without", description="words that it must not hold")


@dataclass(frozen=True)
class Asked:
    """own: the number of the right one among `texts`."""

    texts: tuple[str, ...]
    own: int


def load_questions(path: Path, table: Table) -> dict[str, Question]:
    """The questions in a JSON file. Raises UserError (code 2) if it holds none, or one about an unknown slot."""
    try:
        found = TypeAdapter(dict[str, Question]).validate_python(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise UserError(
            f"{path} is not a file of questions: {error}",
            "it is JSON: {name: {slot, with: [words], without: [words]}}",
            2,
        ) from error
    for name, one in found.items():
        if one.slot not in table:
            raise UserError(
                f"{path}: {name} asks about {one.slot}, which is not a slot", f"there are: {', '.join(table)}", 2
            )
    return found


def ask(question: Question, sentences: Sequence[str], table: Table) -> Asked | None:
    """The first sentence that fits the question, once with each value; None if none names exactly one value."""
    values = table[question.slot]
    for sentence in sentences:
        words = _words(sentence)
        if not set(question.all_of) <= words or words & set(question.none_of):
            continue
        named = [(value, form) for value, forms in values.items() for form in forms if form in words]
        if len(named) == 1:
            value, form = named[0]
            at = list(values[value]).index(form)
            forms = [list(other)[min(at, len(other) - 1)] for other in values.values()]
            return Asked(tuple(exchanged(sentence, form, other) for other in forms), list(values).index(value))
    return None


def exchanged(sentence: str, word: str, other: str) -> str:
    """The sentence with one word replaced, and the right article before it."""

    def swap(found: re.Match[str]) -> str:
        article = found[1] or ""
        if article.strip().lower() in ("a", "an"):
            article = article[0] + ("n" if other[0].lower() in "aeiou" else "") + article[len(article.rstrip()) :]
        return article + (other.capitalize() if found[2][0].isupper() else other)

    return re.sub(rf"(\ban?\s+)?\b({re.escape(word)})\b", swap, sentence, flags=re.IGNORECASE)


def _words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text.lower()))
