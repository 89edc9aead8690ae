"""Parses an answer: the letter of a choice, a number, words. The rules are explicit, so that scores are comparable.

If an answer names no choice, published harnesses guess, or take the choice with the most similar text; here it is
wrong.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from cosmos_train.evaluate.metrics.vqa import normalise
from cosmos_train.evaluate.readers.folder import Example

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ALONE = re.compile(r"\W*([A-Za-z])\W*")
_FIRST = re.compile(r"\s*[(\[]?([A-Z])[)\].:]")
_SAID = re.compile(r"(?i:answer|option|choice)(?:\s+is|:)?\s*[:(\[]*\s*([A-Z])\b(?!')")
_BRACKETED = re.compile(r"[(\[]([A-Z])[)\]]")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")


def letter_of(said: str, choices: Sequence[str]) -> str:
    """The letter of the choice that an answer names; empty if it names none, or several.

    In this order: a letter alone; a letter at the start (`B.`, `(B)`); the last "answer is B"; the last letter in
    brackets; the only choice with its text in the answer.
    """
    known = LETTERS[: len(choices)]
    alone = _ALONE.fullmatch(said)
    if alone and alone[1].upper() in known:
        return alone[1].upper()
    first = _FIRST.match(said)
    if first and first[1] in known:
        return first[1]
    for pattern in (_SAID, _BRACKETED):
        letters: list[str] = [one for one in pattern.findall(said) if one in known]
        if letters:
            return letters[-1]
    words = f" {normalise(said)} "
    named = {
        letter: text
        for letter, text in zip(known, map(normalise, choices), strict=True)
        if text and f" {text} " in words
    }
    # If one text is part of the other ("red", "dark red"), the answer names the longer one.
    texts = set(named.values())
    longest = [one for one, text in named.items() if not any(text in other for other in texts - {text})]
    return longest[0] if len(longest) == 1 else ""


def is_right(said: str, example: Example) -> bool:
    """Whether an answer is right: the letter of its choices, a number to the asked precision, or the words."""
    if example.choices:
        return letter_of(said, example.choices) == example.label
    wanted = [forms[0] for forms in example.answers]
    if example.exact == "list":
        found_list = _list(said)
        return found_list is not None and any(found_list == _list(one) for one in wanted)
    if example.exact:
        found = numbers(said)
        return bool(found) and any(
            _rounded(found[-1], example.exact) == _rounded(one, example.exact)
            for text in wanted
            for one in numbers(text)
        )
    return any(_says(said, one) for one in wanted)


def _rounded(number: float, exact: str) -> float:
    """As MathVista's scorer: integers are cut at the decimal point, other numbers are rounded."""
    return float(int(number)) if exact == "integer" else round(number, int(exact))


def numbers(text: str) -> list[float]:
    return [float(one.replace(",", "")) for one in _NUMBER.findall(text)]


def _says(said: str, wanted: str) -> bool:
    """Whether an answer contains the words, or, if these are a number, that number to two decimals."""
    own = numbers(wanted)
    if len(own) == 1 and not normalise(_NUMBER.sub(" ", wanted)):
        return any(round(one, 2) == round(own[0], 2) for one in numbers(said))
    words = normalise(wanted)
    return bool(words) and f" {words} " in f" {normalise(said)} "


def _list(text: str) -> list[object] | None:
    found = re.findall(r"\[[^\[\]]*\]", text)
    try:
        value = ast.literal_eval(found[-1]) if found else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # a model may answer anything
        return None
    return value if isinstance(value, list) else None
