"""The base class of interleave policies: an order of the frames and texts of a document's clips."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from interlink.interleave.evidence import ClipEvidence
from interlink.interleave.pieces import Piece
from interlink.interleave.registry import GROUP
from interlink.interleave.settings import InterleaveSettings

ALL_ROLES: frozenset[str] = frozenset(("narration", "caption", "speech", "ocr"))


class Policy(ABC):
    """An order of frames and texts. A subclass defines `arrange` and overrides defaults.

    roles: the texts that it places. needs: tables it reads in addition to those that every build has. reads: the blocks
    of `interleave` that only this policy reads.
    """

    roles: ClassVar[frozenset[str]] = ALL_ROLES
    needs: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: InterleaveSettings) -> None:
        self.settings = settings

    @abstractmethod
    def arrange(self, clips: Sequence[ClipEvidence], seed: str) -> list[Piece]:
        """The frames and texts of one document's clips, in their order.

        Every text of its roles is placed once, every frame at most once (a frame that is not placed counts as left
        out). Frames, and the texts of one role, stay in the order of time. All randomness comes from `seed`.
        """


def policy_class(name: str) -> type[Policy]:
    """The class behind a policy's name. UserError where it cannot be imported."""
    found: type[Policy] = GROUP.load(name)
    return found
