"""The pieces that a policy puts in order: frames and texts."""

from __future__ import annotations

from dataclasses import dataclass

from interlink.shards.document import Role


@dataclass(frozen=True)
class FramePiece:
    """A frame. clip: index of its clip in the document; frame: index in that clip's frames."""

    clip: int
    frame: int


@dataclass(frozen=True)
class TextPiece:
    """A text. clip: index of its clip in the document; start, end: seconds."""

    clip: int
    role: Role
    text: str
    start: float
    end: float


Piece = FramePiece | TextPiece
