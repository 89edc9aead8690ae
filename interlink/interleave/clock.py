"""The times of parts of a text, from the times of its words. Costs a microsecond per word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Spoken:
    """A word with its times in seconds, or a whole sentence whose words have none. exact: it is a word."""

    text: str
    start: float
    end: float
    exact: bool = True


def spoken_words(sentences: Iterable[Mapping[str, Any]]) -> tuple[Spoken, ...]:
    """The words of sentences of the table `transcribe`, in order."""
    found: list[Spoken] = []
    for sentence in sentences:
        words = sentence.get("words") or ()
        found += [Spoken(word["text"], word["start"], word["end"]) for word in words]
        if not words:
            found.append(Spoken(sentence["text"], sentence["start"], sentence["end"], exact=False))
    return tuple(found)


def times_of(parts: Sequence[str], text: str, words: Sequence[Spoken]) -> list[tuple[float, float]]:
    """(start, end) in seconds of consecutive parts of a text in which these words occur in order.

    A part in which no word begins lies inside the one before it. Words that are not in the text (masked ones) are
    passed over. There must be at least one word.
    """
    begins = []
    at = 0
    for word in words:
        place = text.find(word.text, at)
        if place >= 0:
            begins.append((place, word))
            at = place + len(word.text)
    found: list[tuple[float, float]] = []
    at = 0
    last = words[0]
    for part in parts:
        at = max(at, text.find(part, at))
        inside = [word for place, word in begins if at <= place < at + len(part)]
        at += len(part)
        found.append((inside[0].start, max(word.end for word in inside)) if inside else (last.start, last.end))
        last = inside[-1] if inside else last
    return found
