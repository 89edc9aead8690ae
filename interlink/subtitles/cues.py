"""The common form of all subtitle formats: cues with lines of words, with times of words if the file has them.

Readers make cues with `CueMaker`, which removes markup in the same way for all formats. Importing costs nothing.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

TAG = re.compile(r"</?[a-zA-Z][^<>]*>")  # voice, class, style, font …; "a < b" stays
OVERRIDE = re.compile(r"\{\\[^{}]*\}")  # SSA codes such as {\i1}, which also occur in SRT files
ESCAPED_BREAK = re.compile(r"\\[Nnh]")
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\x00-\x08\x0b\x0c\x0e-\x1f]")
# Readings of ruby and the brackets around them. An end tag may be missing before the end of the ruby.
READING = re.compile(r"<(r[tp])\b[^<>]*>.*?(?:</\1>|(?=<r[tp]\b)|(?=</ruby>)|$)", re.IGNORECASE | re.DOTALL)
LONE = re.compile("[\ud800-\udfff]")  # surrogates, which JSON can contain but UTF-8 cannot
BREAK = re.compile(r"\r\n|\r|\n")
LONGEST = 1e6  # seconds (twelve days); later times are damage


@dataclass(frozen=True)
class Token:
    """A word. time, end: seconds, if the file or a recogniser gives the times of words.

    glued: no space stands before it (scripts without spaces).
    """

    text: str
    time: float | None = None
    end: float | None = None
    glued: bool = False


@dataclass(frozen=True)
class Line:
    """One line of a cue. timed: whether its words have times, which marks the new line of a rolling caption."""

    tokens: tuple[Token, ...]
    timed: bool

    @cached_property
    def text(self) -> str:
        return " ".join(token.text for token in self.tokens)


@dataclass(frozen=True)
class Cue:
    """Lines shown from start to end, in seconds.

    group: the style, layer or language that tells simultaneous cues apart. placed: it has a place of its own on the
    picture. aside: what a cue is that is not speech by its style (a mark's kind), or empty. speakers: names that the
    file gives outside the text.
    """

    start: float
    end: float
    lines: tuple[Line, ...]
    group: str = ""
    placed: bool = False
    aside: str = ""
    language: str = ""
    speakers: tuple[str, ...] = ()

    @cached_property
    def text(self) -> str:
        return " ".join(line.text for line in self.lines)


@dataclass
class Subtitles:
    """A parsed file. problems: one short sentence for each skipped part or doubt.

    kind: what the file says it is, where that is not speech (chapters, metadata, descriptions). language: stated in
    the file. clock: seconds to add to its times to get those of the transport stream it was made for, or None.
    """

    format: str = ""  # vtt, srt, sbv, json3, srv1, srv2, srv3, ttml, ssa
    cues: list[Cue] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    kind: str = ""
    language: str = ""
    clock: float | None = None


class CueMaker:
    """Collects the text of one cue, piece by piece, with the times between the pieces.

    Times outside the cue, or before the previous time, are ignored. A piece that follows another without a space
    continues its last word.
    """

    def __init__(self, start: float, end: float) -> None:
        self.start, self.end = start, max(start, end)
        self._lines: list[Line] = []
        self._tokens: list[Token] = []
        self._latest = start
        self._time: float | None = None
        self._timed = self._glued = False

    def stamp(self, seconds: float) -> None:
        """Sets the start time of the next piece."""
        self._timed, self._time = True, None
        if self._latest <= seconds <= self.end:
            self._latest = self._time = seconds

    def add(self, text: str) -> None:
        """Adds a piece of text with markup; line breaks end the line."""
        first, *rest = BREAK.split(text)
        self._piece(first)
        for piece in rest:
            self._close()
            self._piece(piece)

    def cue(self) -> Cue | None:
        """The cue; None if it has no words."""
        self._close()
        return Cue(self.start, self.end, tuple(self._lines)) if self._lines else None

    def _piece(self, raw: str) -> None:
        piece = plain(raw)
        words = piece.split()
        if words and self._glued and not piece[0].isspace():
            self._tokens[-1] = Token(self._tokens[-1].text + words.pop(0), self._tokens[-1].time)
            self._time = None  # a time inside a word
        for word in words:
            self._tokens.append(Token(word, self._time))
            self._time = None
        if piece:
            self._glued = bool(self._tokens) and not piece[-1].isspace()

    def _close(self) -> None:
        if self._tokens:
            self._lines.append(Line(tuple(self._tokens), self._timed))
        self._tokens, self._timed, self._glued = [], False, False


def plain(text: str) -> str:
    """Text without tags, codes, entities and invisible characters; spaces stay."""
    text = OVERRIDE.sub("", TAG.sub("", READING.sub("", text)))
    text = ESCAPED_BREAK.sub(" ", html.unescape(text))
    return LONE.sub("\ufffd", INVISIBLE.sub("", text))


def in_seconds(value: object, per_second: float = 1.0) -> float | None:
    """A valid time (finite, not negative, below the limit) in seconds, rounded to milliseconds; else None."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= LONGEST * per_second:
        return None
    return round(value / per_second, 3)


def until_next(cues: Sequence[Cue]) -> list[Cue]:
    """The cues sorted by start, each ending when the next later one begins (scrolling captions overlap)."""
    ordered = sorted(cues, key=lambda cue: cue.start)
    cut: list[Cue] = []
    following = math.inf
    for number in range(len(ordered) - 1, -1, -1):
        cue = ordered[number]
        cut.append(replace(cue, end=min(cue.end, following)))
        if number and ordered[number - 1].start < cue.start:
            following = cue.start
    return cut[::-1]
