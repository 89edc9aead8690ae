"""VTT, SRT and SBV: blocks of text under a time line. One lenient reader, since real files mix these formats.

A malformed time line loses only its cue and is reported in `problems`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from interlink.subtitles.cues import BREAK, INVISIBLE, Cue, CueMaker, Subtitles

STAMP = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,9})"
# Time lines may lack the fraction, or write it after a colon (three digits).
LOOSE_STAMP = r"(?:(\d{1,4}) ?: ?)?(\d{1,2}) ?: ?(\d{1,2})(?: ?(?:[.,] ?(?=\d)|:(?=\d{3}(?!\d)))(\d{1,9}))?"
ARROW = r"(?:-{1,3}|[–—])>"
SPACES = r"[^\S\r\n]*"
TIME_START = rf"^{SPACES}{LOOSE_STAMP}{SPACES}{ARROW}"
TIME_LINE = re.compile(rf"{TIME_START}{SPACES}{LOOSE_STAMP}(?:\s.*)?$")
SBV_STAMP = r"(\d{1,4}):(\d{1,2}):(\d{1,2})\.(\d{1,9})"
SBV_LINE = re.compile(rf"^\s*{SBV_STAMP}\s*,\s*{SBV_STAMP}\s*$")
INLINE_STAMP = re.compile(rf"<{STAMP}>")
SBV_BREAK = "[br]"
VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s+([^<>]+)>")
BROKEN = re.compile(rf"{SPACES}[-\d].*-->")  # a time line, or what is left of one
PLACED = re.compile(r"\{[^{}]*\\(?:an[4-9]|pos\b|move\b)")
COMMENT = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")
HEADER = re.compile(r"^\s*(Kind|Language)\s*:\s*([\w-]+)\s*$", re.IGNORECASE)
TIMESTAMP_MAP = re.compile(r"X-TIMESTAMP-MAP\s*=\s*(.*)", re.IGNORECASE)
MPEGTS = re.compile(r"MPEGTS\s*:\s*(\d{1,20})", re.IGNORECASE)
LOCAL = re.compile(rf"LOCAL\s*:\s*{LOOSE_STAMP}", re.IGNORECASE)
MPEG_SECOND = 90_000


@dataclass
class _Open:
    """The cue whose text is being read."""

    start: float
    end: float
    sbv: bool
    lines: list[str] = field(default_factory=list)


def read_blocks(text: str, found: Subtitles, strict: bool = False) -> None:
    """Adds the cues of a VTT, SRT or SBV file to `found`. strict: an empty line ends a cue, as in VTT.

    In SRT, text after an empty line goes on with the cue, unless a number stands before it: then it is another cue,
    without its time line.
    """
    reader = _Reader(found, strict)
    for number, block in _blocks(text):
        reader.block(number, block)
    reader.close()


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
    cue = maker.cue()
    if cue is None or ("<v" not in payload and "{" not in payload):
        return cue
    speakers = tuple(dict.fromkeys(name.strip() for name in VOICE.findall(payload)))
    return replace(cue, speakers=speakers, placed=PLACED.search(payload) is not None)


class _Reader:
    """Reads blocks of lines one after the other."""

    def __init__(self, found: Subtitles, strict: bool) -> None:
        self.found, self.strict = found, strict
        self.open: _Open | None = None
        self.shift = 0.0  # seconds: this part's clock minus that of the first part

    def block(self, first: int, block: list[str]) -> None:
        """One run of lines that are not empty: a cue, several cues (if blank lines were lost), or something else."""
        starts = [number for number, line in enumerate(block) if re.search(ARROW, line) or SBV_LINE.match(line)]
        starts = [number for number in starts if BROKEN.match(block[number]) or _times(block[number])]
        if not starts:
            self._without_times(first, block)
            return
        before = block[: starts[0]]
        if not self._header(before) and self.open is not None and not self.strict:
            self.open.lines += before[:-1] if before and before[-1].strip().isdigit() else before
        for number, start in enumerate(starts):
            self.close()
            times = _times(block[start])
            if times is None:
                self.found.problems.append(f"line {first + start}: an invalid time line")
                continue
            if times[1] < times[0]:
                self.found.problems.append(f"line {first + start}: a cue that ends before it begins")
            last = number + 1 == len(starts)
            payload = block[start + 1 :] if last else block[start + 1 : starts[number + 1]]
            if not last and payload and payload[-1].strip().isdigit():
                payload = payload[:-1]  # the number of the next cue
            sbv = SBV_LINE.match(block[start]) is not None
            self.open = _Open(times[0] + self.shift, times[1] + self.shift, sbv, payload)

    def close(self) -> None:
        """Ends the open cue."""
        if self.open is None:
            return
        shown = "\n".join(self.open.lines)
        cue = cue_of(
            round(self.open.start, 3),
            round(self.open.end, 3),
            shown.replace(SBV_BREAK, "\n") if self.open.sbv else shown,
        )
        if cue is not None:
            self.found.cues.append(cue)
        self.open = None

    def _without_times(self, first: int, block: list[str]) -> None:
        if self.strict and COMMENT.match(block[0]):
            return
        header = self._header(block)
        if block[0].strip().isdigit():
            if len(block) > 1:
                self.close()
                self.found.problems.append(f"line {first}: a cue without a time line")
            return
        if header or self.open is None:
            return
        if not self.strict:
            self.open.lines += block
        elif len(block) > 1 or len(block[0].split()) > 1:  # else the id of a cue
            self.found.problems.append(f"line {first}: text without a time line")

    def _header(self, lines: list[str]) -> bool:
        """Reads what a VTT header states; whether these lines are one."""
        known = any("WEBVTT" in line for line in lines)
        for line in lines if known or (self.strict and self.open is None and not self.found.cues) else ():
            if match := HEADER.match(line):
                known = True
                if match[1].casefold() == "language":
                    self.found.language = match[2]
                elif match[2].casefold() in ("chapters", "metadata", "descriptions"):
                    self.found.kind = match[2].casefold()
            if match := TIMESTAMP_MAP.search(line):
                known = True
                self._map(match[1])
        return known

    def _map(self, text: str) -> None:
        """X-TIMESTAMP-MAP (RFC 8216, 3.5): this part's local time, and the transport stream's at the same moment."""
        stream, local = MPEGTS.search(text), LOCAL.search(text)
        if stream is None or local is None:
            self.found.problems.append("an invalid X-TIMESTAMP-MAP")
            return
        clock = int(stream[1]) / MPEG_SECOND - _seconds(local.groups())
        if self.found.clock is None:
            self.found.clock = round(clock, 3)
        self.close()
        self.shift = clock - self.found.clock


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


def _times(line: str) -> tuple[float, float] | None:
    """The times of a time line; None if it is none."""
    match = SBV_LINE.match(line) or TIME_LINE.match(line)
    return (_seconds(match.groups()[:4]), _seconds(match.groups()[4:])) if match else None


def _seconds(parts: tuple[str | None, ...]) -> float:
    """Seconds from the (hours or None, minutes, seconds, fraction or None) of a timestamp."""
    hours, minutes, seconds, fraction = parts
    assert minutes is not None and seconds is not None
    return round((int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds) + float(f"0.{fraction or 0}"), 3)
