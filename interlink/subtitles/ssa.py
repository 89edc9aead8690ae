"""SSA and ASS (SubStation Alpha): one `Dialogue:` line per cue, with fields named by a `Format:` line.

Karaoke codes ({\\k20}, hundredths of a second) give times of words; drawings ({\\p1}) and `Comment:` lines are ignored.
Styles named for signs, credits or songs are asides; events with a place of their own ({\\pos}, {\\an8}) are placed.
"""

from __future__ import annotations

import re
from dataclasses import replace

from interlink.subtitles.cues import BREAK, Cue, CueMaker, Subtitles

STAMP = re.compile(r"^\s*(\d{1,4}):(\d{1,2}):(\d{1,2})[.:,](\d{1,3})\s*$")
FIELDS = ("layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text")
CODES = re.compile(r"\{([^{}]*)\}")
KARAOKE = re.compile(r"\\(?:k|K|kf|ko)(\d{1,6})")
DRAWING = re.compile(r"\\p(\d+)")
PLACE = re.compile(r"\\(?:pos|move|org)\s*\(|\\an?[4-9]\b|\\a1[01]\b")
# What the words of a style's name say about it -> the kind of its marks.
STYLES = (
    (re.compile(r"(?:^|[^a-z])(?:signs?|titles?|credits?|staff|notes?)(?:[^a-z]|$)"), "overlay"),
    (
        re.compile(r"(?:^|[^a-z])(?:op|ed|opening|ending|songs?|lyrics?|karaoke|kara|romaji|kanji|insert)(?:[^a-z]|$)"),
        "music",
    ),
)


def read_ssa(text: str, found: Subtitles) -> None:
    """Adds the cues of an SSA or ASS file to `found`."""
    fields: tuple[str, ...] = FIELDS
    events = not re.search(r"^\s*\[events\]", text, re.IGNORECASE | re.MULTILINE)
    for number, line in enumerate(BREAK.split(text), start=1):
        kind, colon, rest = line.strip().partition(":")
        if line.lstrip().startswith("["):
            events = line.strip().casefold() == "[events]"
        elif kind.casefold() == "format" and events:
            named = tuple(name.strip().casefold() for name in rest.split(","))
            fields = named if {"start", "end", "text"} <= set(named) and named[-1] == "text" else FIELDS
        elif kind.casefold() == "dialogue" and colon:
            values = dict(zip(fields, rest.split(",", len(fields) - 1), strict=False))
            start, end = _seconds(values.get("start", "")), _seconds(values.get("end", ""))
            if start is None or end is None or "text" not in values:
                found.problems.append(f"line {number}: a dialogue without a valid time")
                continue
            style = values.get("style", "").strip("* ")
            cue = ssa_cue(start, end, values["text"], style, values.get("layer", ""))
            if cue is not None:
                found.cues.append(cue)


def ssa_cue(start: float, end: float, text: str, style: str = "", layer: str = "") -> Cue | None:
    """The cue of one event's text, with its codes; None if it has no words."""
    maker = CueMaker(start, end)
    drawing = False
    sung, at = start, 0
    for match in [*CODES.finditer(text), None]:
        piece = text[at : match.start() if match else len(text)]
        if not drawing:
            maker.add(piece.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " "))
        if match is None:
            break
        at = match.end()
        for length in KARAOKE.findall(match[1]):
            maker.stamp(round(sung, 3))
            sung += int(length) / 100
        for scale in DRAWING.findall(match[1]):
            drawing = int(scale) > 0
    cue = maker.cue()
    if cue is None:
        return None
    folded = style.casefold()
    aside = next((kind for pattern, kind in STYLES if pattern.search(folded)), "")
    placed = any(PLACE.search(codes) for codes in CODES.findall(text))
    return replace(cue, group=f"{folded}/{layer.strip()}", placed=placed, aside=aside)


def _seconds(stamp: str) -> float | None:
    match = STAMP.match(stamp)
    if match is None:
        return None
    hours, minutes, seconds, fraction = match.groups()
    return round((int(hours) * 60 + int(minutes)) * 60 + int(seconds) + float(f"0.{fraction}"), 3)
