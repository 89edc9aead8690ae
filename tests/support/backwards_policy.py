"""A policy as another package would offer it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from interlink.interleave.evidence import ClipEvidence
from interlink.interleave.pieces import FramePiece, Piece, TextPiece
from interlink.interleave.policy import Policy
from interlink.interleave.settings import InterleaveSettings


class Backwards(Policy):
    """Captions before their frames, shouted where it is told to."""

    roles: ClassVar[frozenset[str]] = frozenset(("caption",))

    def __init__(self, settings: InterleaveSettings) -> None:
        super().__init__(settings)
        self.shout = bool(settings.options.get("shout"))

    def arrange(self, clips: Sequence[ClipEvidence], seed: str) -> list[Piece]:
        pieces: list[Piece] = []
        for place, clip in enumerate(clips):
            text = clip.caption.upper() if self.shout else clip.caption
            pieces.append(TextPiece(place, "caption", text, clip.start, clip.end))
            pieces += [FramePiece(place, number) for number in range(len(clip.frames))]
        return pieces
