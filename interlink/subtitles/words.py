"""Turns cues into spoken words with times, without repetitions, and separate marks of sound.

Rolling captions show each line two or three times while it scrolls up: repeats are removed. [Music], (applause) on a
separate line, and notes are marks. Costs milliseconds per hour of speech.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from interlink.subtitles.cues import Cue, Line, Token

ROLLING_SHARE = 0.3  # share of repeating cues from which all repeats count as rolling
ROLLING_GAP = 0.5  # most seconds between two cues of which the second repeats the first
MARK_WORDS = 8  # most words of a mark of sound
NOTE = re.compile("[\u2669-\u266c]+|\U0001f3b5|\U0001f3b6")
ASIDE = re.compile(r"^[-–—\s]*[(（]([^()（）]*)[)）]$")
# Words for music in captions, in the languages of common sites.
MUSIC = re.compile(
    "music|musi[kq]|músic|singing|♪|музык|музик|音乐|音樂|音楽|음악|موسيقى|संगीत|nhạc|muzyka|zene|müzik|hudba|musica",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Word:
    """A spoken word; times in seconds. opens_cue: it begins a cue. opens_turn: it begins a new speaker's turn (">>").

    timed: its start comes from the file or the recogniser, not from dividing its cue. glued: no space stands before it.
    """

    text: str
    start: float
    end: float
    opens_cue: bool = False
    opens_turn: bool = False
    timed: bool = False
    glued: bool = False


@dataclass(frozen=True)
class Mark:
    """A sound that is not speech: the text in the brackets, or "♪" for a sung caption. Times in seconds."""

    text: str
    start: float
    end: float

    @property
    def kind(self) -> Literal["music", "sound"]:
        return "music" if MUSIC.search(self.text) else "sound"


def words_of(cues: Sequence[Cue]) -> tuple[list[Word], list[Mark]]:
    """The spoken words, each once, in order of time (starts never decrease), and the marks of sound.

    A word has its time from the file if there is one; otherwise the time of its cue (or between two timed words) is
    divided by the number of characters.
    """
    words: list[Word] = []
    marks: list[Mark] = []
    for cue, fresh in _without_repeats(cues):
        lines, sung = _without_notes(fresh)
        if sung:
            marks.append(Mark("♪", cue.start, cue.end))
        timed = _timed([token for line in lines for token in line.tokens], cue)
        asides = _asides(lines, timed)
        marks += dict.fromkeys(asides.values())
        words += [word for number, word in enumerate(timed) if number not in asides]
    words, bracketed = _without_brackets(words)
    return in_order(words), sorted([*marks, *bracketed], key=lambda mark: (mark.start, mark.end, mark.text))


def in_order(words: Sequence[Word]) -> list[Word]:
    """The words with starts that never decrease, since cues may overlap."""
    ordered: list[Word] = []
    for word in words:
        start = max(word.start, ordered[-1].start) if ordered else word.start
        ordered.append(replace(word, start=start, end=max(start, word.end)))
    return ordered


def _without_repeats(cues: Sequence[Cue]) -> list[tuple[Cue, tuple[Line, ...]]]:
    """Each cue with its new lines."""
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
            lines = ()  # the same cue twice, at the same time
        if lines:
            fresh.append((cue, lines))
    return fresh


def _overlap(before: Cue, cue: Cue) -> int:
    """The number of the cue's first lines that are the last lines of the previous cue, still on screen."""
    if cue.start > before.end + ROLLING_GAP:
        return 0
    shown, lines = _texts(before.lines), _texts(cue.lines)
    new = next((number for number, line in enumerate(cue.lines) if line.timed), len(lines))
    for count in range(min(len(shown), new), 0, -1):
        if shown[-count:] == lines[:count]:
            return count
    return 0


def _without_prefix(before: Cue, cue: Cue, lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """Removes the start of a line that grows word by word from cue to cue while it is on screen."""
    if not lines or lines[0].timed or cue.start > before.end + ROLLING_GAP:
        return lines
    old, new = [token.text for token in before.lines[-1].tokens], [token.text for token in lines[0].tokens]
    if len(new) <= len(old) or new[: len(old)] != old:
        return lines
    return (replace(lines[0], tokens=lines[0].tokens[len(old) :]), *lines[1:])


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
        end = None if last else tokens[known[place + 1]].time
        end = cue.end if end is None else end
        total = sum(len(token.text) for token in run)
        passed = 0
        for token in run:
            begin = start + (end - start) * passed / total
            passed += len(token.text)
            finish = start + (end - start) * passed / total
            if own_times:  # the next word's start is not the end of this word
                finish = min(finish, begin + 0.25 + 0.09 * len(token.text))
            if token.end is not None:
                finish = max(begin, token.end)
            own = token.time is not None or (own_times and not words)
            times = round(begin, 3), round(finish, 3)
            words.append(Word(token.text, *times, opens_cue=not words, timed=own, glued=token.glued))
    return words


def _without_notes(lines: Sequence[Line]) -> tuple[list[Line], bool]:
    """The lines without notes, and whether there were any."""
    kept, sung = [], False
    for line in lines:
        tokens = [replace(token, text=NOTE.sub("", token.text)) for token in line.tokens]
        sung = sung or tokens != list(line.tokens)
        tokens = [token for token in tokens if token.text]
        if tokens:
            kept.append(Line(tuple(tokens), line.timed))
    return kept, sung


def _asides(lines: Sequence[Line], timed: Sequence[Word]) -> dict[int, Mark]:
    """Numbers of the words that make up a (mark of sound): a line, or a whole cue, between round brackets.

    All of its words map to the one mark.
    """
    found: dict[int, Mark] = {}
    ranges: list[tuple[int, int]] = []
    first = 0
    for line in lines:
        ranges.append((first, first + len(line.tokens)))
        first += len(line.tokens)
    for begin, end in [(0, first), *ranges]:
        inside = ASIDE.match(" ".join(word.text for word in timed[begin:end]))
        if inside and 0 < end - begin <= MARK_WORDS and begin not in found:
            mark = Mark(inside[1].strip(), timed[begin].start, timed[end - 1].end)
            found |= dict.fromkeys(range(begin, end), mark)
    return found


def _without_brackets(words: list[Word]) -> tuple[list[Word], list[Mark]]:
    """Separates [marks of sound] and turns ">>" into a change of speaker."""
    kept: list[Word] = []
    marks: list[Mark] = []
    turn, number = False, 0
    while number < len(words):
        word = words[number]
        number += 1
        text = word.text
        if text.startswith((">>", "-[")):
            turn = turn or text.startswith(">>")
            text = text.lstrip(">-")
        if text.startswith("["):
            close = next((n for n in range(number - 1, len(words)) if "]" in words[n].text), None)
            if close is not None and close < number - 1 + MARK_WORDS:
                inside, _, text = " ".join([text, *(each.text for each in words[number : close + 1])]).rpartition("]")
                marks.append(Mark(inside.strip("[] "), word.start, words[close].end))
                number = close + 1
        if text:
            kept.append(replace(word, text=text, opens_turn=turn))
            turn = False
    return kept, marks
