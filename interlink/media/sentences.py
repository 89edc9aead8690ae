"""Cues to spoken words with times, and words to sentences.

Rolling captions show each line two or three times while it scrolls up: the repeats go. Marks of sound ([Music], notes)
go too. Text without punctuation is cut into sentence-like pieces where the speaker pauses. Costs milliseconds an hour.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from interlink.media.subtitles import Cue, Line, Token

ROLLING_SHARE = 0.3  # of cues that repeat what was shown: then all repeats are taken for rolling
ROLLING_GAP = 0.5  # seconds between two cues of which the second still shows the first
MARK_WORDS = 8  # longest [mark of sound], in words

PUNCTUATED = 1 / 40  # sentence ends per word from which punctuation is believed
LONG_PAUSE = 2.5  # seconds that end a sentence whatever the punctuation
PAUSE = 0.6  # seconds that end a piece of text without punctuation
MOST_WORDS, MOST_SECONDS = 60, 30.0  # of a sentence
PIECE_WORDS, PIECE_SECONDS, PIECE_CHARACTERS = 24, 10.0, 160  # of a piece of text without punctuation
CUE_BONUS = 0.2  # seconds that a pause counts more where a new cue begins

END = re.compile(r"([.!?…。！？]+)[\"'”’)\]»」』]*$")
ABBREVIATIONS = frozenset(
    ["mr", "mrs", "ms", "dr", "prof", "st", "vs", "jr", "sr", "approx", "dept", "est", "fig", "no", "vol", "e.g", "i.e"]
)
UNSPACED = re.compile("[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]")


@dataclass(frozen=True)
class Word:
    """A spoken word, seconds. opens_cue: it begins a cue of its own. opens_turn: another speaker begins (">>")."""

    text: str
    start: float
    end: float
    opens_cue: bool = False
    opens_turn: bool = False


@dataclass(frozen=True)
class Sentence:
    """Times in seconds; sentences do not overlap and come in order."""

    text: str
    start: float
    end: float


def words_of(cues: Sequence[Cue]) -> list[Word]:
    """The words that are spoken, each once, in order of time (starts never go back).

    A word takes its own time where the file gives one; else the time of its cue (or between two known words) is shared
    out by the number of characters.
    """
    fresh = _without_repeats(cues)
    words: list[Word] = []
    for cue, lines in fresh:
        words += _timed([token for line in lines for token in line.tokens], cue)
    return _in_order(_without_marks(words))


def sentences_of(words: Sequence[Word]) -> list[Sentence]:
    """Groups words into sentences.

    With punctuation: after . ! ? … (not after abbreviations, initials, or before a small letter), at a change of
    speaker, and at pauses of 2.5 s. Without: at pauses of 0.6 s. What is still too long is halved at its longest pause
    near the middle until it is not.
    """
    ends = sum(END.search(word.text) is not None for word in words)
    punctuated = len(words) > 0 and ends / len(words) >= PUNCTUATED
    pieces: list[list[Word]] = []
    for number, word in enumerate(words):
        before = words[number - 1] if number else None
        if before is None or word.opens_turn or _breaks(before, word, punctuated):
            pieces.append([])
        pieces[-1].append(word)
    found = [_sentence(part) for piece in pieces for part in _shortened(piece, punctuated)]
    limits = [*(sentence.start for sentence in found), float("inf")][1:]
    return [
        Sentence(sentence.text, sentence.start, max(sentence.start, min(sentence.end, limit)))
        for sentence, limit in zip(found, limits, strict=True)
    ]


def _without_repeats(cues: Sequence[Cue]) -> list[tuple[Cue, tuple[Line, ...]]]:
    """Each cue with the lines that are new in it."""
    overlaps = [_overlap(before, cue) for before, cue in pairwise(cues)]
    repeats = [
        overlap > 0 or _without_prefix(before, cue, cue.lines) != cue.lines
        for overlap, (before, cue) in zip(overlaps, pairwise(cues), strict=True)
    ]
    rolling = len(cues) > 2 and sum(repeats) >= ROLLING_SHARE * len(repeats)
    fresh = []
    for number, cue in enumerate(cues):
        before = cues[number - 1] if number else None
        lines = cue.lines
        if before is not None and rolling:
            lines = _without_prefix(before, cue, lines[overlaps[number - 1] :])
        elif before is not None and cue.start < before.end and _texts(cue.lines) == _texts(before.lines):
            lines = ()  # the same cue twice at the same time
        if lines:
            fresh.append((cue, lines))
    return fresh


def _overlap(before: Cue, cue: Cue) -> int:
    """How many of the cue's first lines are the last ones of the cue before it, still on the screen."""
    if cue.start > before.end + ROLLING_GAP:
        return 0
    shown, lines = _texts(before.lines), _texts(cue.lines)
    new = next((number for number, line in enumerate(cue.lines) if line.timed), len(lines))
    for count in range(min(len(shown), new), 0, -1):
        if shown[-count:] == lines[:count]:
            return count
    return 0


def _without_prefix(before: Cue, cue: Cue, lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """Takes away the start of a line that grows word by word from cue to cue, while it is on the screen."""
    if not lines or lines[0].timed or cue.start > before.end + ROLLING_GAP:
        return lines
    old, new = [token.text for token in before.lines[-1].tokens], [token.text for token in lines[0].tokens]
    if len(new) <= len(old) or new[: len(old)] != old:
        return lines
    return (Line(lines[0].tokens[len(old) :], timed=False), *lines[1:])


def _texts(lines: Sequence[Line]) -> list[str]:
    return [line.text for line in lines]


def _timed(tokens: list[Token], cue: Cue) -> list[Word]:
    """Gives every word of a cue a start and an end."""
    known = [number for number, token in enumerate(tokens) if number == 0 or token.time is not None]
    own_times = len(known) > 1
    words: list[Word] = []
    for place, first in enumerate(known):
        last = place + 1 == len(known)
        run = tokens[first : len(tokens) if last else known[place + 1]]
        start = tokens[first].time
        start = cue.start if start is None else start
        end = cue.end if last else tokens[known[place + 1]].time or cue.end
        total = sum(len(token.text) for token in run)
        passed = 0
        for token in run:
            begin = start + (end - start) * passed / total
            passed += len(token.text)
            finish = start + (end - start) * passed / total
            if own_times:  # the next word's time says when it begins, not when this one is over
                finish = min(finish, begin + 0.25 + 0.09 * len(token.text))
            words.append(Word(token.text, round(begin, 3), round(finish, 3), opens_cue=not words))
    return words


def _without_marks(words: list[Word]) -> list[Word]:
    """Drops [marks of sound] and turns ">>" into a change of speaker."""
    kept: list[Word] = []
    turn, number = False, 0
    while number < len(words):
        word = words[number]
        number += 1
        text = word.text
        if text.startswith(">>"):
            turn, text = True, text.lstrip(">")
        if text.startswith("["):
            close = next((n for n in range(number - 1, len(words)) if "]" in words[n].text), None)
            if close is not None and close < number - 1 + MARK_WORDS:
                text = words[close].text.rpartition("]")[2]
                number = close + 1
        if text:
            kept.append(Word(text, word.start, word.end, word.opens_cue, turn))
            turn = False
    return kept


def _in_order(words: list[Word]) -> list[Word]:
    """Cues may overlap: starts are made not to go back, and words not to outlast the next."""
    ordered: list[Word] = []
    for word in words:
        start = max(word.start, ordered[-1].start) if ordered else word.start
        ordered.append(Word(word.text, start, max(start, word.end), word.opens_cue, word.opens_turn))
    return ordered


def _breaks(before: Word, word: Word, punctuated: bool) -> bool:
    pause = word.start - before.end
    if not punctuated:
        return pause >= PAUSE
    if pause >= LONG_PAUSE:
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


def _shortened(piece: list[Word], punctuated: bool) -> list[list[Word]]:
    """Halves a piece at its best pause until every part is short enough."""
    done: list[list[Word]] = []
    todo = [piece]
    while todo:
        part = todo.pop()
        if len(part) < 2 or not _too_long(part, punctuated):
            done.append(part)
            continue
        at = _best_pause(part)
        todo += [part[at:], part[:at]]
    return done


def _too_long(part: list[Word], punctuated: bool) -> bool:
    seconds = part[-1].end - part[0].start
    if punctuated:
        return len(part) > MOST_WORDS or seconds > MOST_SECONDS
    characters = sum(len(word.text) for word in part)
    return len(part) > PIECE_WORDS or seconds > PIECE_SECONDS or characters > PIECE_CHARACTERS


def _best_pause(part: list[Word]) -> int:
    """Where to cut: the longest pause in the middle half, of equal ones that nearest the middle."""
    low, high = max(1, len(part) // 4), max(2, len(part) - len(part) // 4)

    def worth(at: int) -> tuple[float, float]:
        pause = part[at].start - part[at - 1].end + CUE_BONUS * part[at].opens_cue
        return round(pause, 3), -abs(at - len(part) / 2)

    return max(range(low, min(high, len(part))), key=worth)


def _sentence(words: list[Word]) -> Sentence:
    text = words[0].text
    for word in words[1:]:
        joined = UNSPACED.match(text[-1]) and UNSPACED.match(word.text[0])
        text += word.text if joined else " " + word.text
    return Sentence(text, words[0].start, max(word.end for word in words))
