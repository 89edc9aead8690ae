"""Safety checkers: what gives a clip a number from 0 (harmless) to 1. Ours knows words; engines that see pictures come
from other packages, under the entry point group `interlink.safety`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from interlink.plugins import Group
from interlink.text.words import words


class SafetyChecker(Protocol):
    """wants_frames: whether it is given pictures, which then are read."""

    wants_frames: ClassVar[bool]

    def __init__(self, blocked_words: Sequence[str]) -> None: ...

    def open(self) -> None:
        """Loads its model. Raises UserError where it cannot work here."""

    def check(self, frames: Sequence[bytes], text: str) -> tuple[float, str]:
        """(0 to 1, what was found) for a clip's JPEGs and all its words."""


class WordList:
    """1 where one of the blocked words, or a run of words, stands in the text; in any case, as whole words."""

    wants_frames: ClassVar[bool] = False

    def __init__(self, blocked_words: Sequence[str]) -> None:
        self._blocked = {tuple(words(entry)) for entry in blocked_words} - {()}
        self._longest = max(map(len, self._blocked), default=0)

    def open(self) -> None: ...

    def check(self, frames: Sequence[bytes], text: str) -> tuple[float, str]:
        own = words(text)
        for begin in range(len(own)):
            for length in range(1, self._longest + 1):
                if tuple(own[begin : begin + length]) in self._blocked:
                    return 1.0, " ".join(own[begin : begin + length])
        return 0.0, ""


CHECKERS: dict[str, str] = {"words": "interlink.score.safety:WordList"}
GROUP = Group("interlink.safety", "safety checker", CHECKERS)


def check_checker(name: str) -> str:
    """`name` if there is such a checker, else UserError with the nearest one."""
    return GROUP.check(name)


def make_checker(name: str, blocked_words: Sequence[str]) -> SafetyChecker:
    """The checker `name`, not yet opened."""
    found: type[SafetyChecker] = GROUP.load(name)
    return found(blocked_words)
