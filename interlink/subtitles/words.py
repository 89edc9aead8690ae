"""Turns cues into spoken words with times, without repetitions, and separate marks of what is not spoken.

Rolling captions show each line two or three times while it scrolls up: repeats are removed. [Music], (applause) on a
separate line, sung lines, names of speakers, and signs over the dialogue are marks. Costs milliseconds per hour of
speech.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from interlink.subtitles.cues import Cue, Line, Token
from interlink.subtitles.lanes import lanes_of
from interlink.subtitles.marks import (
    ASIDE,
    ENDS_SUNG,
    MARK_WORDS,
    NOTE,
    STARRED,
    SUNG,
    Mark,
    opening,
    sound,
    sounds_in,
    speakers,
)

ROLLING_SHARE = 0.3  # share of repeating cues from which all repeats count as rolling
ROLLING_GAP = 0.5  # most seconds between two cues of which the second repeats the first


@dataclass(frozen=True)
class Word:
    """A spoken word; times in seconds. opens_cue: it begins a cue. opens_turn: it begins a new speaker's turn (">>").

    timed: its start comes from the file or the recogniser, not from dividing its cue. run: words of cues that are shown
    at the same time have different numbers, and belong to different sentences. glued: no space stands before it.
    """

    text: str
    start: float
    end: float
    opens_cue: bool = False
    opens_turn: bool = False
    timed: bool = False
    run: int = 0
    glued: bool = False


def words_of(cues: Sequence[Cue]) -> tuple[list[Word], list[Mark]]:
    """The spoken words, each once, sorted by start, and the marks of what is not spoken.

    A word has its time from the file if there is one; otherwise the time of its cue (or between two timed words) is
    divided by the number of characters. No word leaves the time of its cue: cues that overlap are different runs.
    """
    names = speakers(cues)
    lanes, marks = lanes_of(cues)
    words: list[Word] = []
    for run, lane in enumerate(lanes):
        spoken: list[Word] = []
        voices: tuple[str, ...] = ()
        for cue, lines in _without_repeats(lane):
            marks += [Mark(name, cue.start, cue.end, "speaker") for name in cue.speakers]
            said, found = _spoken(cue, lines, names)
            if said and cue.speakers and cue.speakers != voices:
                said[0] = replace(said[0], opens_turn=True)
            voices = cue.speakers
            spoken += said
            marks += found
        spoken, bracketed = _without_brackets(spoken)
        words += [replace(word, run=run) for word in spoken] if run else spoken
        marks += bracketed
    words.sort(key=lambda word: word.start)
    return words, sorted(marks, key=lambda mark: (mark.start, mark.end, mark.text))


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


def _spoken(cue: Cue, shown: Sequence[Line], names: frozenset[str]) -> tuple[list[Word], list[Mark]]:
    """The words of a cue's lines, and the marks in them."""
    lines, sung, notes = _without_notes(shown)
    marks = [Mark("♪", cue.start, cue.end, "music")] if notes else []
    opened: dict[int, str] = {}  # number of a line that opens a turn -> the speaker's name, or ""
    for number, line in enumerate(lines):
        if number not in sung and not ASIDE.match(line.text):
            lines[number], name = _without_opening(line, names)
            if lines[number] != line:
                opened[number] = name
    timed = _timed([token for line in lines for token in line.tokens], cue)
    aside: set[int] = set()

    def mark(first: int, last: int, text: str) -> None:
        marks.append(sound(text, timed[first].start, timed[last - 1].end))
        aside.update(range(first, last))

    whole = _inside(timed)
    if whole and not sung:
        mark(0, len(timed), whole)
    first, kept = 0, list(timed)
    turn, speaker = False, ""  # a name may have a line of its own
    for number, line in enumerate(lines):
        last = first + len(line.tokens)
        said = timed[first:last]
        turn, speaker = turn or number in opened, opened.get(number, "") or speaker
        if number in sung:
            mark(first, last, line.text)
        elif said and first not in aside:
            if turn:
                kept[first] = replace(kept[first], opens_turn=True)
                marks += [Mark(speaker, said[0].start, said[-1].end, "speaker")] if speaker else []
                turn, speaker = False, ""
            if inside := _inside(said):
                mark(first, last, inside)
            for begin, end, text in () if inside else sounds_in([word.text for word in said]):
                mark(first + begin, first + end, text)
        first = last
    return _spoken_words(kept, aside), marks


def _spoken_words(words: Sequence[Word], aside: set[int]) -> list[Word]:
    """The words that are not set aside; a turn that one of those opens is opened by the next."""
    found = []
    turn = False
    for number, word in enumerate(words):
        turn = turn or word.opens_turn
        if number not in aside:
            found.append(word if word.opens_turn == turn else replace(word, opens_turn=turn))
            turn = False
    return found


def _inside(words: Sequence[Word]) -> str:
    """The text of a line, or cue, that is a mark as a whole: in round brackets or stars; else empty."""
    text = " ".join(word.text for word in words)
    inside = ASIDE.match(text) or STARRED.match(text)
    return inside[1].strip() if inside and len(words) <= MARK_WORDS else ""


def _without_opening(line: Line, names: frozenset[str]) -> tuple[Line, str]:
    """The line without the name or the dashes at its start, and the name."""
    head, name = opening(line.text, names)
    tokens = list(line.tokens)
    left = head.strip()
    while left and tokens:
        if left.startswith(tokens[0].text):
            left = left[len(tokens.pop(0).text) :].lstrip()
        else:
            tokens[0], left = replace(tokens[0], text=tokens[0].text.removeprefix(left)), ""
    return Line(tuple(tokens), line.timed), name


def _without_notes(lines: Sequence[Line]) -> tuple[list[Line], set[int], bool]:
    """The lines with words, the numbers of the sung ones, and whether notes were taken out of the others.

    A line that begins with a note is sung, and so are those after it up to one that ends with a note.
    """
    sung: set[int] = set()
    for number, line in enumerate(lines):
        if number in sung or not SUNG.match(line.text):
            continue
        later = () if ENDS_SUNG.search(line.text[1:]) else range(number + 1, len(lines))
        last = next((n for n in later if ENDS_SUNG.search(lines[n].text) or SUNG.match(lines[n].text)), number)
        sung.update(range(number, last + 1) if last > number and not SUNG.match(lines[last].text) else (number,))
    kept: list[Line] = []
    songs: set[int] = set()
    notes = False
    for number, line in enumerate(lines):
        if number in sung:
            songs.add(len(kept))
            kept.append(line)
            continue
        if not NOTE.search(line.text):
            kept.append(line)
            continue
        tokens = [replace(token, text=NOTE.sub("", token.text)) for token in line.tokens]
        notes = notes or tokens != list(line.tokens)
        tokens = [token for token in tokens if token.text]
        if tokens:
            kept.append(Line(tuple(tokens), line.timed))
    return kept, songs, notes


def _without_brackets(words: list[Word]) -> tuple[list[Word], list[Mark]]:
    """Separates [marks of sound] and turns ">>" into a change of speaker."""
    kept: list[Word] = []
    marks: list[Mark] = []
    turn, number = False, 0
    while number < len(words):
        word = words[number]
        number += 1
        text = word.text
        turn = turn or word.opens_turn
        if text.startswith((">>", "-[")):
            turn = turn or text.startswith(">>")
            text = text.lstrip(">-")
        if text.startswith("["):
            close = next((n for n in range(number - 1, len(words)) if "]" in words[n].text), None)
            if close is not None and close < number - 1 + MARK_WORDS:
                inside, _, text = " ".join([text, *(each.text for each in words[number : close + 1])]).rpartition("]")
                marks.append(sound(inside.strip("[] "), word.start, words[close].end))
                number = close + 1
        if text:
            same = text == word.text and turn == word.opens_turn
            kept.append(word if same else replace(word, text=text, opens_turn=turn))
            turn = False
    return kept, marks
