"""What a reader is: frames in, the lines of text on them out, as a stream. The engines behind it are in `READERS`.

Imports nothing heavy; an engine's libraries come with its `open`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from interlink.engines.captioner import Identity
from interlink.engines.engine import Engine
from interlink.errors import StageError
from interlink.plugins import Group
from interlink.settings import Settings

# name -> module:Class. The name is also that of the engine's block in the ocr stage's settings.
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
    """Pixels of the frame as it was read, from its upper left corner."""

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
    """One line of text. score: the engine's confidence, 0 to 1. None where an engine tells neither place nor score."""

    text: str
    score: float | None = None
    box: Box | None = None


@dataclass(frozen=True)
class FrameRequest:
    """One frame to be read: JPEG bytes, and whose it is (`frame`: its number within the item)."""

    id: str
    frame: int
    image: bytes


@dataclass(frozen=True)
class FrameText:
    """The answer to one request: lines from top to bottom, or the error that this frame met."""

    id: str
    frame: int
    lines: tuple[Line, ...] = ()
    error: StageError | None = None


class Reader(Engine):
    """An engine that reads pictures."""

    def open(self) -> Identity:
        """Loads the model or opens the connection. Raises UserError where the settings cannot work here."""
        raise NotImplementedError(f"{type(self).__name__} must define open")

    def read(self, requests: Iterable[FrameRequest]) -> Iterator[FrameText]:
        """An answer to every request, in any order, reading no further ahead than it can work on."""
        raise NotImplementedError(f"{type(self).__name__} must define read")


def check_reader(name: str) -> str:
    """`name` if there is such an engine, else UserError with the nearest one."""
    return GROUP.check(name)


def reader_class(name: str, group: Group = GROUP) -> type[Reader]:
    """The class behind an engine's name."""
    found: type[Reader] = group.load(name)
    return found


def make_reader(name: str, settings: Settings) -> Reader:
    """The engine `name`, not yet opened."""
    return reader_class(name)(settings)


def in_reading_order(lines: Iterable[tuple[Box, Line]]) -> tuple[Line, ...]:
    """From top to bottom, and from left to right where two lines lie on one height. lines: each with its box."""
    rows: list[list[tuple[Box, Line]]] = []
    for box, line in sorted(lines, key=lambda pair: (pair[0].top, pair[0].left)):
        if rows and (box.top + box.bottom) / 2 < rows[-1][0][0].bottom:
            rows[-1].append((box, line))
        else:
            rows.append([(box, line)])
    return tuple(line for row in rows for _, line in sorted(row, key=lambda pair: pair[0].left))
