"""What a policy puts in order: a frame that is shown, a text that is told."""

from __future__ import annotations

from dataclasses import dataclass

from interlink.shards.document import Role


@dataclass(frozen=True)
class Shown:
    """A frame. clip: place of its clip in the document; frame: place among that clip's frames."""

    clip: int
    frame: int


@dataclass(frozen=True)
class Told:
    """A text. clip: place of its clip in the document; start, end: seconds."""

    clip: int
    role: Role
    text: str
    start: float
    end: float


Piece = Shown | Told
