"""Parses one entry of an annotation file, in any of the published formats, into spans with texts. Pure functions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from interlink.delimited import cells_of
from interlink.values import known_text, text_of

Worded = Callable[[Any], str]

_TEXTS = ("caption", "sentence", "text", "label")


@dataclass(frozen=True)
class Span:
    """A text and the seconds it describes. end may be inf: to the end of the video."""

    text: str
    start: float
    end: float


def spans_of(value: Any) -> list[Span]:
    """The spans of one video, in order of time; spans without text are left out. Raises ValueError with one line.

    value: {start, end, text} lists (HowTo100M), {timestamps, sentences} (ActivityNet Captions), {annotations:
    [{segment, sentence}]} (YouCook2; COIN's `annotation`, `label`), or a list of {clip or start and end, caption}
    (Howto-Interlink7M).
    """
    if isinstance(value, list):
        return _ordered([_span(one, number) for number, one in enumerate(value)])
    if not isinstance(value, dict):
        raise ValueError(f"is a {type(value).__name__}, neither an object nor a list")
    if "text" in value and "start" in value:
        return _ordered(_lists(value, ("start", "end", "text"), text_of))  # speech: "none" is a word
    if "timestamps" in value and "sentences" in value:
        pairs = [_pair(pair, number) for number, pair in enumerate(_list(value, "timestamps"))]
        columns = {"start": [a for a, _ in pairs], "end": [b for _, b in pairs], "text": value["sentences"]}
        return _ordered(_lists(columns, ("start", "end", "text"), _caption))
    for name in ("annotations", "annotation", "clips"):
        if name in value:
            return _ordered([_span(one, number) for number, one in enumerate(_list(value, name))])
    keys = ", ".join(sorted(map(str, value))) or "nothing"
    raise ValueError(f"has neither start, end and text, nor timestamps and sentences, nor annotations, but {keys}")


def disjoint(spans: Sequence[Span]) -> list[Span]:
    """The spans, each cut where the next one begins, so that clips do not overlap."""
    starts = [*(span.start for span in spans[1:]), math.inf]
    return [Span(s.text, s.start, max(s.start, min(s.end, after))) for s, after in zip(spans, starts, strict=True)]


def seconds(time: Any) -> float:
    """Seconds from a number, or from `hours:minutes:seconds`. Raises ValueError."""
    if isinstance(time, bool) or not isinstance(time, int | float | str):
        raise ValueError(f"{time!r} is not a time")
    total = 0.0
    try:
        for part in time.strip().split(":") if isinstance(time, str) else (time,):
            total = 60 * total + float(part)
    except ValueError:
        raise ValueError(f"{time!r} is not a time") from None
    if not math.isfinite(total) or total < 0:
        raise ValueError(f"{time!r} is not a time")
    return total


def row_of(line: str, columns: Sequence[str]) -> tuple[str, Any]:
    """(video, its clips) from a line of a Howto-Interlink7M TSV. columns: names in the header. Raises ValueError.

    The hosted files have the columns video, clips and one more, and an index (`clip_id`) next to each clip and caption;
    CosMo's loader expects `path` and `clips`.
    """
    cells = cells_of(line)
    if len(cells) != len(columns):
        raise ValueError(f"{len(cells)} cells where the header has {len(columns)}")
    row = dict(zip(columns, cells, strict=True))
    try:
        clips = json.loads(row["clips"])
    except ValueError as error:
        raise ValueError(f"its clips are not JSON: {error}") from None
    return video_column(row, columns), clips


def video_column(row: dict[str, str], columns: Sequence[str]) -> str:
    """The name of the video in a row: a path without its suffix, or an id."""
    name = next(column for column in VIDEO_COLUMNS if column in columns)
    return without_ending(row[name]) if name != "video_id" else row[name]


VIDEO_COLUMNS = ("path", "video_name", "video_path", "video", "video_id")


def without_ending(path: str) -> str:
    """`a/b.webm` -> `a/b`."""
    pure = PurePosixPath(path)
    return str(pure.with_suffix("")) if pure.name else path


def _ordered(spans: Sequence[Span]) -> list[Span]:
    return sorted((span for span in spans if span.text), key=lambda span: (span.start, span.end))


def _lists(value: dict[str, Any], names: Sequence[str], worded: Worded) -> list[Span]:
    columns = [_list(value, name) for name in names]
    if len({len(column) for column in columns}) != 1:
        raise ValueError("; ".join(f"{len(column)} of {name}" for name, column in zip(names, columns, strict=True)))
    return [
        _made(start, end, text, number, worded) for number, (start, end, text) in enumerate(zip(*columns, strict=True))
    ]


def _list(value: dict[str, Any], name: str) -> list[Any]:
    found = value.get(name)
    if not isinstance(found, list):
        raise ValueError(f"{name} is a {type(found).__name__}, not a list")
    return found


def _span(one: Any, number: int) -> Span:
    if not isinstance(one, dict):
        raise ValueError(f"clip {number} is a {type(one).__name__}, not an object")
    if "clip" in one:
        start, dash, end = one["clip"].partition(" - ") if isinstance(one["clip"], str) else ("", "", "")
        if not dash:
            raise ValueError(f"clip {number}: {one['clip']!r} is not `start - end`")
    elif "segment" in one:
        start, end = _pair(one["segment"], number)
    elif "start" in one and "end" in one:
        start, end = one["start"], one["end"]
    else:
        raise ValueError(f"clip {number} has no times (clip, segment, or start and end)")
    return _made(start, end, next((one[name] for name in _TEXTS if one.get(name)), ""), number, _caption)


def _pair(pair: Any, number: int) -> tuple[Any, Any]:
    if not isinstance(pair, list) or len(pair) != 2:
        raise ValueError(f"clip {number}: {pair!r} is not [start, end]")
    return pair[0], pair[1]


def _caption(value: Any) -> str:
    if isinstance(value, int | float) and not math.isnan(value):  # of a column that is not the captions'
        raise ValueError(f"is a {type(value).__name__}")
    return known_text(value)


def _made(start: Any, end: Any, text: Any, number: int, worded: Worded) -> Span:
    try:
        said = worded(text)
    except ValueError as error:
        raise ValueError(f"clip {number}: its text {error}") from None
    try:
        begin, stop = seconds(start), seconds(end)
    except ValueError as error:
        raise ValueError(f"clip {number}: {error}") from None
    if stop < begin:
        raise ValueError(f"clip {number} ends ({stop:g} s) before it starts ({begin:g} s)")
    return Span(" ".join(said.split()), begin, stop)
