"""TTML (W3C timed text), including DFXP, IMSC and broadcasters' exports.

Times of an element count from the start of its parent (TTML2 §12, `par`). Styles and regions are not read.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from dataclasses import dataclass, replace

from interlink.subtitles.cues import Cue, CueMaker, Subtitles, in_seconds
from interlink.subtitles.markup import Element

CLOCK = re.compile(r"^(\d{1,4}):(\d{1,2}):(\d{1,2})(?:([.,]\d{1,9})|[:;](\d{1,4})(?:\.\d+)?)?$")
OFFSET = re.compile(r"^(\d{1,12}(?:\.\d{1,9})?)(h|m|s|ms|f|t)$")
SHOWN_SECONDS = 5.0  # duration of a cue without an end
SPACES = re.compile(r"\s+")


@dataclass(frozen=True)
class Rates:
    """Frames and ticks per second in this file. second: length of a second of its time code, in seconds."""

    frames: float = 30.0
    ticks: float = 1.0
    second: float = 1.0


def read_ttml(root: Element, found: Subtitles) -> None:
    """Adds the cues of a TTML file to `found`."""
    tt = next((element for element in root.walk() if element.name == "tt"), root)
    rates = _rates(tt)
    found.language = tt.attributes.get("lang", "")
    cues: list[Cue] = []
    _walk(root, 0.0, math.inf, rates, cues, found)
    if len({cue.language for cue in cues}) < 2:  # only then do they tell cues apart
        cues = [replace(cue, language="", group="") for cue in cues]
    starts = sorted(cue.start for cue in cues)
    for cue in cues:
        if math.isinf(cue.end):
            later = bisect_right(starts, cue.start)
            following = starts[later] if later < len(starts) else math.inf
            cue = replace(cue, end=min(cue.start + SHOWN_SECONDS, following))
        found.cues.append(cue)


def seconds(expression: str, rates: Rates) -> float | None:
    """A TTML time expression in seconds (hh:mm:ss.fff, hh:mm:ss:frames, 1.5s, 30f, 90000t …); None if it is invalid."""
    expression = expression.strip()
    clock = CLOCK.match(expression)
    if clock is not None:
        hours, minutes, secs, fraction, frames = clock.groups()
        labelled = (int(hours) * 60 + int(minutes)) * 60 + int(secs) + float((fraction or "0").replace(",", "."))
        value = labelled * rates.second + int(frames or 0) / rates.frames
    else:
        offset = OFFSET.match(expression)
        if offset is None:
            return None
        worth = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "f": 1 / rates.frames, "t": 1 / rates.ticks}
        value = float(offset[1]) * worth[offset[2]]
    return in_seconds(value)


def _rates(tt: Element) -> Rates:
    def number(name: str) -> float | None:
        value = tt.attributes.get(name, "")
        return float(value) if re.fullmatch(r"\d{1,9}", value) and int(value) else None

    frames = number("framerate")
    multiplier = re.fullmatch(r"(\d{1,9})[ :](\d{1,9})", tt.attributes.get("frameratemultiplier", "").strip())
    scale = int(multiplier[1]) / int(multiplier[2]) if multiplier and int(multiplier[2]) and int(multiplier[1]) else 1.0
    # Time code that drops no frame runs behind the clock; drop-frame time code follows it to 0.07 s (SMPTE 12M).
    drops = tt.attributes.get("dropmode", "nonDrop").casefold() != "nondrop"
    second = 1 / scale if tt.attributes.get("timebase", "").casefold() == "smpte" and not drops else 1.0
    # Without a tick rate, a tick is a frame if the file states a frame rate, else a second (TTML2 §6.2.11).
    return Rates((frames or 30.0) * scale, number("tickrate") or (frames * scale if frames else 1.0), second)


def _walk(
    element: Element, begin: float, end: float, rates: Rates, cues: list[Cue], found: Subtitles, language: str = ""
) -> None:
    language = element.attributes.get("lang", language)
    for each in element.elements():
        if each.name in ("head", "metadata"):
            continue
        span = _span(each, begin, end, rates, found)
        if span is None:
            continue
        if each.name == "p":
            cue = _paragraph(each, *span, rates, found)
            if cue is not None:
                spoken = each.attributes.get("lang", language)
                cues.append(replace(cue, language=spoken, group=spoken))
        else:
            _walk(each, *span, rates, cues, found, language)


def _span(element: Element, begin: float, end: float, rates: Rates, found: Subtitles) -> tuple[float, float] | None:
    """The interval of an element, by its attributes within its parent's interval; None if they are invalid."""
    times: dict[str, float] = {}
    for name in ("begin", "end", "dur"):
        if name in element.attributes:
            value = seconds(element.attributes[name], rates)
            if value is None:
                found.problems.append(f"<{element.name}> with an invalid {name}")
                return None
            times[name] = value
    start = begin + times.get("begin", 0.0)
    stop = end
    if "end" in times:
        stop = min(stop, begin + times["end"])
    if "dur" in times:
        stop = min(stop, start + times["dur"])
    return round(start, 3), round(max(start, stop), 3)


def _paragraph(element: Element, begin: float, end: float, rates: Rates, found: Subtitles) -> Cue | None:
    """A paragraph's cue. If only its spans have times, it lasts from the first to the last of them."""
    spans = [each for each in element.elements() if "begin" in each.attributes]
    start = begin
    if "begin" not in element.attributes and spans:
        inner = [span for each in spans if (span := _span(each, begin, end, rates, found)) is not None]
        if not inner:
            return None
        start, end = min(first for first, _ in inner), max(last for _, last in inner)
    elif "begin" not in element.attributes and begin == 0.0 and math.isinf(end):
        if element.text().strip():
            found.problems.append("<p> without a time")
        return None
    maker = CueMaker(start, end)
    for piece in element.content:
        if isinstance(piece, str):
            maker.add(SPACES.sub(" ", piece))
            continue
        if "begin" in piece.attributes:
            span = _span(piece, begin, end, rates, found)
            if span is not None:
                maker.stamp(span[0])
        maker.add("\n" if piece.name == "br" else _spoken(piece))
    return maker.cue()


def _spoken(element: Element) -> str:
    """A span's text: line breaks in the file become spaces, `br` stays a line break. Omits ruby readings."""
    if element.name == "br":
        return "\n"
    if element.name in ("metadata", "set") or element.attributes.get("ruby") in ("text", "textcontainer"):
        return ""
    return "".join(SPACES.sub(" ", each) if isinstance(each, str) else _spoken(each) for each in element.content)
