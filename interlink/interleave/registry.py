"""What a policy is, and the class behind its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from interlink.interleave.evidence import ToldClip
from interlink.interleave.pieces import Piece
from interlink.interleave.policy_names import GROUP
from interlink.interleave.settings import InterleaveSettings


class Policy(Protocol):
    """An order of frames and texts.

    roles: the texts it places. needs: tables it reads besides those that every build has.
    """

    roles: ClassVar[frozenset[str]]
    needs: ClassVar[tuple[str, ...]]

    def __init__(self, settings: InterleaveSettings) -> None: ...

    def arrange(self, clips: Sequence[ToldClip], seed: str) -> list[Piece]:
        """The frames and texts of one document's clips, in their order.

        Every text of its roles is placed once, every frame at most once (what is not placed counts as left out); times
        of frames, and of the texts of one role, never go back. Whatever is drawn is drawn from `seed`.
        """


def policy_class(name: str) -> type[Policy]:
    """The class behind a policy's name. UserError where it cannot be imported."""
    found: type[Policy] = GROUP.load(name)
    return found
