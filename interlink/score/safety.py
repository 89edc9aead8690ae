"""Safety checkers: what gives a clip a number from 0 (harmless) to 1.

Ours know words, or see pictures: with a classifier that the user names, or with NudeNet's detector. Others come from
other packages, under the entry point group `interlink.safety`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Protocol

from pydantic import Field

from interlink.engines.captioner import Identity
from interlink.plugins import Group
from interlink.stage import Settings, operational
from interlink.text.words import words

Judgeable = tuple[Sequence[bytes], str]  # a clip's JPEGs, and all its words
Verdict = tuple[float, str]  # 0 to 1, and what was found


class SafetyChecker(Protocol):
    """wants_frames: whether it is given pictures, which then are read."""

    wants_frames: ClassVar[bool]

    def __init__(self, blocked_words: Sequence[str]) -> None: ...

    def open(self) -> Identity | None:
        """Loads its model, and tells which it is. Raises UserError where it cannot work here."""

    def check(self, clips: Sequence[Judgeable]) -> list[Verdict]:
        """(0 to 1, what was found) for each clip of a video."""


class ClassifierSettings(Settings):
    """A classifier of pictures, run here by the transformers library."""

    model: str = Field(
        "", description="hub id, or a local folder, of an AutoModelForImageClassification checkpoint (safetensors)"
    )
    revision: str = Field("", description="branch, tag or commit of a hub id; empty = its main branch")
    unsafe_labels: tuple[str, ...] = Field((), description="its labels that mean harm; a frame's value is their sum")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="number type of the weights; auto = as saved, float32 on a CPU"
    )
    device: str = operational("auto", "cpu, cuda, cuda:N; auto = cuda where there is one")
    batch_size: int = operational(16, "frames at once; halved by itself without memory", ge=1)


class NudenetSettings(Settings):
    """NudeNet's detector, whose weights come with the package."""

    unsafe_labels: tuple[str, ...] = Field(
        (
            "ANUS_EXPOSED",
            "BUTTOCKS_EXPOSED",
            "FEMALE_BREAST_EXPOSED",
            "FEMALE_GENITALIA_EXPOSED",
            "MALE_GENITALIA_EXPOSED",
        ),
        description="its labels that mean harm; a frame's value is that of its surest detection",
    )
    batch_size: int = operational(8, "frames at once; halved by itself without memory", ge=1)


class WordList:
    """1 where one of the blocked words, or a run of words, stands in the text; in any case, as whole words."""

    wants_frames: ClassVar[bool] = False

    def __init__(self, blocked_words: Sequence[str]) -> None:
        self._blocked = {tuple(words(entry)) for entry in blocked_words} - {()}
        self._longest = max(map(len, self._blocked), default=0)

    def open(self) -> None: ...

    def check(self, clips: Sequence[Judgeable]) -> list[Verdict]:
        return [self._find(text) for _, text in clips]

    def _find(self, text: str) -> Verdict:
        own = words(text)
        for begin in range(len(own)):
            for length in range(1, self._longest + 1):
                if tuple(own[begin : begin + length]) in self._blocked:
                    return 1.0, " ".join(own[begin : begin + length])
        return 0.0, ""


CHECKERS: dict[str, str] = {
    "words": "interlink.score.safety:WordList",
    "classifier": "interlink.score.classifier:Classifier",
    "nudenet": "interlink.score.nudity:Nudenet",
}
GROUP = Group("interlink.safety", "safety checker", CHECKERS)


def check_checker(name: str) -> str:
    """`name` if there is such a checker, else UserError with the nearest one."""
    return GROUP.check(name)


def make_checker(name: str, told: Any) -> SafetyChecker:
    """The checker `name`, not yet opened. told: the words that are blocked; of a checker of ours, its settings."""
    found: type[SafetyChecker] = GROUP.load(name)
    return found(told)
