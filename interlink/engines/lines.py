"""Merges lines of text over time: a title that stays on screen is one line, not one per frame.

Two readings are one line if their texts differ by few edits and their boxes overlap. Costs microseconds per frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interlink.engines.reader import Line
from interlink.shards.document import join


@dataclass
class SeenLine:
    """A line over time. start, end: times (seconds) of the first and the last frame with it.

    best: the reading with the highest score, with ties the first. frames: number of frames in which it was read.
    """

    best: Line
    start: float
    end: float
    frames: int
    last: int  # number of the last frame with it


def merge(frames: Sequence[tuple[float, Sequence[Line]]], edits: float, overlap: float, gap: int) -> list[SeenLine]:
    """Merged lines in order of their first frame, then in reading order.

    frames: (time in seconds, lines) in order of time. edits: most differing characters, as a share of the longer text.
    overlap: least shared area of two boxes over the smaller one (lines without boxes go by their text alone). gap: most
    frames without the line between two with it.
    """
    found: list[SeenLine] = []
    for number, (time, lines) in enumerate(frames):
        current = [line for line in found if line.last >= number - 1 - gap]
        for line in lines:
            options = [
                (distance(line.text, seen.best.text), -seen.last, place)
                for place, seen in enumerate(current)
                if seen.last < number and _in_place(line, seen.best, overlap) and _alike(line, seen.best, edits)
            ]
            if not options:
                found.append(SeenLine(line, time, time, 1, number))
                continue
            seen = current[min(options)[2]]
            seen.end, seen.last, seen.frames = time, number, seen.frames + 1
            if (line.score or 0.0) > (seen.best.score or 0.0):
                seen.best = line
    return found


def written_in_clips(ocr: Mapping[str, Any]) -> dict[int, tuple[str, ...]]:
    """The text in each clip's frames, from a row of the ocr table: clip number -> unique texts, in order."""
    found: dict[int, dict[str, None]] = {}
    for frame in ocr["frames"]:
        found.setdefault(frame["clip"], {}).update(dict.fromkeys(join([line["text"]]) for line in frame["lines"]))
    return {clip: tuple(texts) for clip, texts in found.items()}


def distance(a: str, b: str) -> int:
    """Levenshtein distance: fewest insertions, deletions and replacements of characters between `a` and `b`."""
    if len(a) < len(b):
        a, b = b, a
    row = list(range(len(b) + 1))
    for number, character in enumerate(a, 1):
        corner, row[0] = row[0], number
        for place, other in enumerate(b, 1):
            corner, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, corner + (character != other))
    return row[-1]


def _in_place(a: Line, b: Line, overlap: float) -> bool:
    return a.box is None or b.box is None or a.box.overlap(b.box) >= overlap


def _alike(a: Line, b: Line, edits: float) -> bool:
    """Whether two texts are the same up to `edits`, ignoring case and spaces."""
    x, y = ("".join(line.text.casefold().split()) for line in (a, b))
    return distance(x, y) <= edits * max(len(x), len(y))
