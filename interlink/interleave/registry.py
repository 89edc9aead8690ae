"""The policies by name: ours, and those that other packages offer under the entry point group `interlink.policies`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from interlink.plugins import Group

if TYPE_CHECKING:
    from interlink.interleave.evidence import ToldClip
    from interlink.interleave.pieces import Piece
    from interlink.interleave.settings import InterleaveSettings

POLICIES: dict[str, str] = {
    "clip": "interlink.interleave.policies:ClipPolicy",
    "temporal": "interlink.interleave.policies:TemporalPolicy",
    "sentence": "interlink.interleave.policies:SentencePolicy",
    "step": "interlink.interleave.policies:StepPolicy",
    "next_utterance": "interlink.interleave.policies:NextUtterancePolicy",
    "assignment": "interlink.interleave.assignment:AssignmentPolicy",
}
GROUP = Group("interlink.policies", "interleave policy", POLICIES)


class Policy(Protocol):
    """An order of frames and texts.

    roles: the texts it tells. needs: tables it reads besides those that every build has.
    """

    roles: ClassVar[frozenset[str]]
    needs: ClassVar[tuple[str, ...]]

    def __init__(self, settings: InterleaveSettings) -> None: ...

    def arrange(self, clips: Sequence[ToldClip], seed: str) -> list[Piece]:
        """The frames and texts of one document's clips, in the order in which they are told.

        Every text of its roles is told once, every frame at most once (what is not told counts as left out); times of
        frames, and of the texts of one role, never go back. Whatever is drawn is drawn from `seed`.
        """


def check_policy(name: str) -> str:
    """`name` if there is such a policy, else UserError with the nearest one."""
    return GROUP.check(name)


def policy_class(name: str) -> type[Policy]:
    """The class behind a policy's name. UserError where it cannot be imported."""
    found: type[Policy] = GROUP.load(name)
    return found
