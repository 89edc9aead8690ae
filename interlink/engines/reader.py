"""The base class of readers: a stream of frames in, a stream of their lines of text out. `READERS` lists the engines.

Imports nothing heavy: an engine imports its libraries in `open`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from interlink.engines.captioner import Identity
from interlink.engines.engine import Engine
from interlink.errors import StageError
from interlink.plugins import Group
from interlink.settings import Settings

# name -> module:Class. The engine's block in the settings of the ocr stage has the same name.
READERS: dict[str, str] = {
    "rapidocr": "interlink.engines.reader_rapidocr:RapidOcr",
    "caption": "interlink.engines.reader_caption:CaptionReader",
}
# The same for the regions stage.
LOOKERS: dict[str, str] = {"florence2": "interlink.engines.florence:Florence"}

_BASE = "interlink.engines.reader:Reader"
GROUP = Group("", "ocr engine", READERS, _BASE)
REGIONS = Group("", "regions engine", LOOKERS, _BASE, also=("none",))


@dataclass(frozen=True)
class Box:
    """A box in pixels of the frame, from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """The shared area over the smaller one's area, 0 to 1."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        smaller = min(self.area, other.area)
        return max(width, 0.0) * max(height, 0.0) / smaller if smaller > 0 else 0.0

    @property
    def area(self) -> float:
        return max(self.right - self.left, 0.0) * max(self.bottom - self.top, 0.0)


@dataclass(frozen=True)
class Line:
    """One line of text. score: the engine's confidence, 0 to 1. score, box: None where an engine gives none."""

    text: str
    score: float | None = None
    box: Box | None = None


@dataclass(frozen=True)
class FrameRequest:
    """One frame to read: JPEG bytes, the item's id, and the frame's number within the item."""

    id: str
    frame: int
    image: bytes


@dataclass(frozen=True)
class FrameText:
    """The answer to one request: lines from top to bottom, or the error of this frame."""

    id: str
    frame: int
    lines: tuple[Line, ...] = ()
    error: StageError | None = None


class Reader(Engine):
    """An engine that reads pictures."""

    @abstractmethod
    def open(self) -> Identity:
        """Loads the model or opens the connection. Raises UserError where the settings cannot be used."""

    @abstractmethod
    def read(self, requests: Iterable[FrameRequest]) -> Iterator[FrameText]:
        """Yields an answer to every request, in any order. Reads no further ahead than it can work on."""


def check_reader(name: str) -> str:
    """`name` if it is a known engine, else UserError with the nearest name."""
    return GROUP.check(name)


def reader_class(name: str, group: Group = GROUP) -> type[Reader]:
    """The class of an engine."""
    found: type[Reader] = group.load(name)
    return found


def make_reader(name: str, settings: Settings) -> Reader:
    """The engine `name`, not yet opened."""
    return reader_class(name)(settings)


def in_reading_order(lines: Iterable[tuple[Box, Line]]) -> tuple[Line, ...]:
    """Lines from top to bottom, and from left to right at the same height. lines: each with its box."""
    rows: list[list[tuple[Box, Line]]] = []
    for box, line in sorted(lines, key=lambda pair: (pair[0].top, pair[0].left)):
        if rows and (box.top + box.bottom) / 2 < rows[-1][0][0].bottom:
            rows[-1].append((box, line))
        else:
            rows.append([(box, line)])
    return tuple(line for row in rows for _, line in sorted(row, key=lambda pair: pair[0].left))
