"""Subtitle files to cues: VTT and SRT by one forgiving reader, since files in the wild mix the two.

Costs nothing beside reading the bytes. Whatever is malformed is skipped and said in `problems`; the rest is kept.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

STAMP = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
TIME_LINE = re.compile(rf"^\s*{STAMP}\s*-->\s*{STAMP}(?:\s.*)?$")
INLINE_STAMP = re.compile(rf"<{STAMP}>")
TAG = re.compile(r"</?[a-zA-Z][^<>]*>")  # voice, class, style, font …; "a < b" is left alone
OVERRIDE = re.compile(r"\{\\[^{}]*\}")  # SSA codes such as {\i1}
ESCAPED_BREAK = re.compile(r"\\[Nnh]")
INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060\ufeff\x00]")
NOTES = re.compile(r"[♩♪♫♬]+")
MOST_CUES = 200_000  # a file with more is cut there; a day of rolling captions has about 80,000


@dataclass(frozen=True)
class Token:
    """A word; `time` in seconds where the file gives the word's own."""

    text: str
    time: float | None = None


@dataclass(frozen=True)
class Line:
    """One line of a cue. timed: it carried times of its own, so in a rolling caption it is the new one."""

    tokens: tuple[Token, ...]
    timed: bool

    @property
    def text(self) -> str:
        return " ".join(token.text for token in self.tokens)


@dataclass(frozen=True)
class Cue:
    """Lines shown from start to end, in seconds."""

    start: float
    end: float
    lines: tuple[Line, ...]


@dataclass
class Subtitles:
    """What was read; problems: one short sentence each about what was skipped."""

    cues: list[Cue] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def is_chapters(name: str) -> bool:
    """Whether a track of this name lists chapters, which nobody says."""
    return "chapter" in name.casefold()


def parse(data: bytes) -> Subtitles:
    """Reads a VTT or SRT file. Never raises; cues come in order of their start."""
    found = Subtitles()
    for first_line, block in _blocks(_decode(data)):
        if block[0].startswith(("NOTE", "STYLE", "REGION")) and not TIME_LINE.match(block[0]):
            continue
        _read_block(first_line, block, found)
        if len(found.cues) >= MOST_CUES:
            found.problems.append(f"more than {MOST_CUES} cues")
            break
    found.cues.sort(key=lambda cue: cue.start)
    return found


def cue_of(start: float, end: float, payload: str) -> Cue | None:
    """A cue from its text (lines separated by newlines, with markup); None where no word is left."""
    end = max(start, end)
    lines = []
    for raw in payload.splitlines():
        line = _line(raw, start, end)
        if line.tokens:
            lines.append(line)
    return Cue(start, end, tuple(lines)) if lines else None


def _decode(data: bytes) -> str:
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        # Damage in a UTF-8 file leaves the rest UTF-8; a file in the old western encoding fails at every accent.
        text = data.decode("utf-8", errors="replace")
        spoilt = text.count("\ufffd")
        well = sum(character > "\x7f" for character in text) - spoilt
        return text if well > spoilt else data.decode("cp1252", errors="replace")


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """(number of its first line, lines) of every run of non-empty lines. A line of spaces is not empty: VTT says so."""
    block: list[str] = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        line = INVISIBLE.sub("", line)
        if line:
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []
    if block:
        yield number - len(block) + 1, block


def _read_block(first_line: int, block: list[str], found: Subtitles) -> None:
    """A block holds a cue; several, where the blank lines between them were lost; or a header or a stray id."""
    starts = [number for number, line in enumerate(block) if "-->" in line]
    if not starts:
        if len(block) > 1 and block[0].strip().isdigit():
            found.problems.append(f"line {first_line}: a cue without a time line")
        return
    for number, start in enumerate(starts):
        match = TIME_LINE.match(block[start])
        if match is None:
            found.problems.append(f"line {first_line + start}: a time line that is none")
            continue
        last = number + 1 == len(starts)
        payload = block[start + 1 :] if last else block[start + 1 : starts[number + 1]]
        if not last and payload and payload[-1].strip().isdigit():
            payload = payload[:-1]  # the number of the next cue
        stamps = match.groups()
        cue = cue_of(_seconds(stamps[:4]), _seconds(stamps[4:]), "\n".join(payload))
        if cue is not None:
            found.cues.append(cue)


def _line(raw: str, start: float, end: float) -> Line:
    """Splits a line at its inline times, then into words. Times outside the cue, or going back, are not believed."""
    tokens: list[Token] = []
    time: float | None = None
    latest, timed, glued, at = start, False, False, 0
    for match in [*INLINE_STAMP.finditer(raw), None]:
        piece = _plain(raw[at : match.start() if match else len(raw)])
        words = piece.split()
        if words and glued and not piece[0].isspace():
            tokens[-1] = Token(tokens[-1].text + words.pop(0), tokens[-1].time)  # a time inside a word
        for number, word in enumerate(words):
            tokens.append(Token(word, time if number == 0 else None))
        if piece:
            glued = bool(tokens) and not piece[-1].isspace()
        if match is None:
            break
        at, time, timed = match.end(), None, True
        stamp = _seconds(match.groups())
        if latest <= stamp <= end:
            latest = time = stamp
    return Line(tuple(tokens), timed)


def _plain(text: str) -> str:
    text = OVERRIDE.sub("", TAG.sub("", text))
    text = ESCAPED_BREAK.sub(" ", html.unescape(text))
    return NOTES.sub(" ", INVISIBLE.sub("", text))


def _seconds(parts: tuple[str | None, ...]) -> float:
    """(hours or None, minutes, seconds, fraction) of a stamp."""
    hours, minutes, seconds, fraction = parts
    assert minutes is not None and seconds is not None and fraction is not None
    thousandths = int(fraction.ljust(3, "0"))
    return round((int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds) + thousandths / 1000, 3)
