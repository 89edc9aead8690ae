"""Groups words into sentences: by punctuation if there is any, else by pauses and words that open a thought.

Costs milliseconds per hour of speech.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from interlink.subtitles.restore import cuts
from interlink.subtitles.words import Word

PUNCTUATED = 1 / 40  # least sentence ends per word for punctuated speech
LONG_PAUSE = 2.5  # seconds of pause that always end a sentence
MOST_WORDS, MOST_SECONDS = 60, 30.0  # of a sentence
CUE_BONUS = 0.2  # seconds added to a pause at the start of a cue

END = re.compile(r"([.!?…。！？]+)[\"'”’)\]»」』]*$")
ABBREVIATIONS = frozenset(
    ["mr", "mrs", "ms", "dr", "prof", "st", "vs", "jr", "sr", "approx", "dept", "est", "fig", "no", "vol", "e.g", "i.e"]
)
UNSPACED = re.compile("[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]")


@dataclass(frozen=True)
class Sentence:
    """A sentence with times in seconds. Sentences are sorted and do not overlap."""

    text: str
    start: float
    end: float
    words: tuple[Word, ...]


def sentences_of(words: Sequence[Word], ends: Callable[[Sequence[str]], list[int]] | None = None) -> list[Sentence]:
    """Groups words into sentences.

    With punctuation: cuts after . ! ? … (not after abbreviations or initials, or before a lowercase letter), at a
    change of speaker, and at pauses of 2.5 s; halves long sentences at the longest pause near the middle.
    Without punctuation: cuts where `restore.cuts` says; with `ends`, before the words whose indices that returns, at a
    change of speaker and at pauses of 2.5 s, and halves long sentences.
    """
    marked = sum(END.search(word.text) is not None for word in words)
    if words and marked / len(words) >= PUNCTUATED:
        first = [at for at in range(1, len(words)) if words[at].opens_turn or _breaks(words[at - 1], words[at])]
        pieces = [part for piece in _split(words, first) for part in _shortened(piece)]
    elif ends is not None:
        begins = set(ends([word.text for word in words]))
        sure = {at for at in range(1, len(words)) if words[at].opens_turn or _pause(words, at) >= LONG_PAUSE}
        pieces = [part for piece in _split(words, sorted(begins | sure)) for part in _shortened(piece)]
    else:
        pieces = _split(words, cuts(words))
    found = [_sentence(piece) for piece in pieces]
    limits = [*(sentence.start for sentence in found), float("inf")][1:]
    return [
        replace(sentence, end=max(sentence.start, min(sentence.end, limit)))
        for sentence, limit in zip(found, limits, strict=True)
    ]


def _pause(words: Sequence[Word], at: int) -> float:
    return words[at].start - words[at - 1].end


def _split(words: Sequence[Word], at: Sequence[int]) -> list[list[Word]]:
    edges = [0, *at, len(words)] if words else []
    return [list(words[first:last]) for first, last in pairwise(edges)]


def _breaks(before: Word, word: Word) -> bool:
    if word.start - before.end >= LONG_PAUSE:
        return True
    end = END.search(before.text)
    if end is None:
        return False
    if set(end.group(1)) <= {".", "…"}:
        bare = before.text[: end.start()].casefold().strip("(\"'“‘[")
        initial = len(bare) == 1 and bare.isalpha() and bare != "i"
        if bare in ABBREVIATIONS or initial or word.text[0].islower() or word.text.startswith(("...", "…")):
            return False
    return True


def _shortened(piece: list[Word]) -> list[list[Word]]:
    """Halves a piece at its best pause until every part is short enough."""
    done: list[list[Word]] = []
    todo = [piece]
    while todo:
        part = todo.pop()
        if len(part) < 2 or not _too_long(part):
            done.append(part)
            continue
        at = _best_pause(part)
        todo += [part[at:], part[:at]]
    return done


def _too_long(part: list[Word]) -> bool:
    return len(part) > MOST_WORDS or part[-1].end - part[0].start > MOST_SECONDS


def _best_pause(part: list[Word]) -> int:
    """The index of the longest pause in the middle half; with ties, the one nearest the middle."""
    low, high = max(1, len(part) // 4), max(2, len(part) - len(part) // 4)

    def worth(at: int) -> tuple[float, float]:
        pause = part[at].start - part[at - 1].end + CUE_BONUS * part[at].opens_cue
        return round(pause, 3), -abs(at - len(part) / 2)

    return max(range(low, min(high, len(part))), key=worth)


def _sentence(words: list[Word]) -> Sentence:
    text = words[0].text
    for word in words[1:]:
        joined = word.glued or (UNSPACED.match(text[-1]) and UNSPACED.match(word.text[0]))
        text += word.text if joined else " " + word.text
    return Sentence(text, words[0].start, max(word.end for word in words), tuple(words))
