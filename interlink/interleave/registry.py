"""The policies by name: ours, and those that other packages offer under the entry point group `interlink.policies`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib import import_module, metadata
from typing import TYPE_CHECKING, ClassVar, Protocol

from interlink.errors import UserError

if TYPE_CHECKING:
    from interlink.interleave.evidence import ToldClip
    from interlink.interleave.pieces import Piece
    from interlink.interleave.settings import InterleaveSettings

ENTRY_POINTS = "interlink.policies"

POLICIES: dict[str, str] = {
    "clip": "interlink.interleave.policies:ClipPolicy",
    "temporal": "interlink.interleave.policies:TemporalPolicy",
    "sentence": "interlink.interleave.policies:SentencePolicy",
    "step": "interlink.interleave.policies:StepPolicy",
    "next_utterance": "interlink.interleave.policies:NextUtterancePolicy",
    "assignment": "interlink.interleave.assignment:AssignmentPolicy",
}


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
    names = list(POLICIES)
    if name in POLICIES or name in (names := names + [entry.name for entry in _offered()]):
        return name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"policies: {', '.join(names)}"
    raise UserError(f"there is no interleave policy {name!r}", hint, 2)


def policy_class(name: str) -> type[Policy]:
    """The class behind a policy's name."""
    value = POLICIES.get(name) or next(entry.value for entry in _offered() if entry.name == check_policy(name))
    module, _, attribute = value.partition(":")
    try:
        found: type[Policy] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"policy {name} cannot be imported: {error}", "install what it needs", 2) from error
    return found


def _offered() -> list[metadata.EntryPoint]:
    return sorted(metadata.entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name)
