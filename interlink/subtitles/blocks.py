"""VTT, SRT and SBV: blocks of text under a time line. One lenient reader, since real files mix these formats.

A malformed time line loses only its cue and is reported in `problems`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from interlink.subtitles.cues import BREAK, INVISIBLE, Cue, CueMaker, Subtitles

STAMP = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
TIME_LINE = re.compile(rf"^\s*{STAMP}\s*-->\s*{STAMP}(?:\s.*)?$")
SBV_STAMP = r"(\d{1,4}):(\d{1,2}):(\d{1,2})\.(\d{1,3})"
SBV_LINE = re.compile(rf"^\s*{SBV_STAMP}\s*,\s*{SBV_STAMP}\s*$")
INLINE_STAMP = re.compile(rf"<{STAMP}>")
SBV_BREAK = "[br]"


def read_blocks(text: str, found: Subtitles) -> None:
    """Adds the cues of a VTT, SRT or SBV file to `found`."""
    for first_line, block in _blocks(text):
        if block[0].startswith(("NOTE", "STYLE", "REGION")) and not TIME_LINE.match(block[0]):
            continue
        _read_block(first_line, block, found)


def cue_of(start: float, end: float, payload: str) -> Cue | None:
    """A cue from its text (lines separated by newlines, with markup and inline times); None if it has no words."""
    maker = CueMaker(start, end)
    for number, raw in enumerate(payload.splitlines()):
        if number:
            maker.add("\n")
        at = 0
        for match in INLINE_STAMP.finditer(raw):
            maker.add(raw[at : match.start()])
            maker.stamp(_seconds(match.groups()))
            at = match.end()
        maker.add(raw[at:])
    return maker.cue()


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """(number of its first line, lines) of every run of non-empty lines. A line of spaces is not empty, as in VTT."""
    block: list[str] = []
    number = 0
    for number, line in enumerate(BREAK.split(text), start=1):
        line = INVISIBLE.sub("", line)
        if line:
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []
    if block:
        yield number - len(block) + 1, block


def _read_block(first_line: int, block: list[str], found: Subtitles) -> None:
    """Parses a block: a cue, several cues (if blank lines were lost), a header, or a stray id."""
    sbv = {number for number, line in enumerate(block) if SBV_LINE.match(line)}
    starts = [number for number, line in enumerate(block) if "-->" in line or number in sbv]
    if not starts:
        if len(block) > 1 and block[0].strip().isdigit():
            found.problems.append(f"line {first_line}: a cue without a time line")
        return
    for number, start in enumerate(starts):
        match = SBV_LINE.match(block[start]) if start in sbv else TIME_LINE.match(block[start])
        if match is None:
            found.problems.append(f"line {first_line + start}: an invalid time line")
            continue
        last = number + 1 == len(starts)
        payload = block[start + 1 :] if last else block[start + 1 : starts[number + 1]]
        if not last and payload and payload[-1].strip().isdigit():
            payload = payload[:-1]  # the number of the next cue
        shown = "\n".join(payload)
        stamps = match.groups()
        cue = cue_of(
            _seconds(stamps[:4]), _seconds(stamps[4:]), shown.replace(SBV_BREAK, "\n") if start in sbv else shown
        )
        if cue is not None:
            found.cues.append(cue)


def _seconds(parts: tuple[str | None, ...]) -> float:
    """Seconds from the (hours or None, minutes, seconds, fraction) of a timestamp."""
    hours, minutes, seconds, fraction = parts
    assert minutes is not None and seconds is not None and fraction is not None
    thousandths = int(fraction.ljust(3, "0"))
    return round((int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds) + thousandths / 1000, 3)
