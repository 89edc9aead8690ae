"""The times of texts that are speech, from the times of their words. Costs a microsecond per word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any


@dataclass(frozen=True)
class Spoken:
    """A word with its times in seconds, or a whole sentence whose words have none. opens: it begins a sentence.

    exact: it is a word.
    """

    text: str
    start: float
    end: float
    opens: bool = True
    exact: bool = True


def spoken_words(sentences: Iterable[Mapping[str, Any]]) -> tuple[Spoken, ...]:
    """The words of sentences of the table `transcribe`, in order."""
    found: list[Spoken] = []
    for sentence in sentences:
        words = sentence.get("words") or ()
        found += [Spoken(word["text"], word["start"], word["end"], number == 0) for number, word in enumerate(words)]
        if not words:
            found.append(Spoken(sentence["text"], sentence["start"], sentence["end"], exact=False))
    return tuple(found)


def span_of(text: str, words: Sequence[Spoken]) -> tuple[float, float]:
    """(start, end) in seconds of a text in which these words occur in order."""
    inside = [word for _, word in _located(text, words)] or words[:1]
    return inside[0].start, max(word.end for word in inside)


def divided(text: str, words: Sequence[Spoken]) -> list[tuple[str, float, float]]:
    """(sentence, start, end) of a text in which these words occur in order, divided where they begin sentences."""
    located = _located(text, words)
    edges = [0, *(place for place, word in located[1:] if word.opens), len(text)]
    found = []
    for begin, end in pairwise(edges):
        inside = [word for place, word in located if begin <= place < end]
        found.append((text[begin:end].strip(), *span_of(text[begin:end], inside or words)))
    return found


def _located(text: str, words: Sequence[Spoken]) -> list[tuple[int, Spoken]]:
    """(place in the text, word) in order. A word that is not there (masked, or cut off) is left out."""
    found: list[tuple[int, Spoken]] = []
    at = 0
    opens = False
    for word in words:
        opens = opens or word.opens
        place = text.find(word.text, at)
        if place < 0:
            continue
        found.append((place, Spoken(word.text, word.start, word.end, opens, word.exact)))
        at, opens = place + len(word.text), False
    return found
