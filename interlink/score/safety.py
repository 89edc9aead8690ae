"""Safety checkers: they rate each clip with a number from 0 (harmless) to 1.

The built-in ones check words, or pictures with a classifier that the user names or with NudeNet's detector. Packages
add checkers through the entry point group `interlink.safety`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from interlink.engines.captioner import Identity
from interlink.engines.engine import Engine
from interlink.plugins import Group
from interlink.settings import Settings, operational
from interlink.text.words import words

Judgeable = tuple[Sequence[bytes], str]  # a clip's JPEGs, and all its words
Verdict = tuple[float, str]  # 0 to 1, and what was found


class SafetyChecker(Engine):
    """Base class. settings: a built-in checker gets its block of the recipe, every other one `score.blocked_words`.

    wants_frames: whether frames are read and passed to `judge`. costly: whether recomputing verdicts needs `--yes`.
    """

    wants_frames: ClassVar[bool] = False
    costly: ClassVar[bool] = False

    def open(self) -> Identity | None:
        """Loads the model and returns its identity; None without a model. Raises UserError where it cannot run here."""
        return None

    @abstractmethod
    def judge(self, clips: Sequence[Judgeable]) -> list[Verdict]:
        """(value from 0 to 1, what was found) for each clip of a video."""


class ClassifierSettings(Settings):
    """An image classifier, run locally with the transformers library."""

    model: str = Field(
        "", description="hub id, or a local folder, of an AutoModelForImageClassification checkpoint (safetensors)"
    )
    revision: str = Field("", description="branch, tag or commit of a hub id; empty = its main branch")
    unsafe_labels: tuple[str, ...] = Field(
        (), description="labels that mean harm; a frame's value is the sum of their probabilities"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="number type of the weights; auto = as saved, float32 on a CPU"
    )
    device: str = operational("auto", "cpu, cuda, cuda:N; auto = cuda if available")
    batch_size: int = operational(16, "frames per batch; halved automatically when memory runs out", ge=1)


class NudenetSettings(Settings):
    """NudeNet's detector; its package contains the weights."""

    unsafe_labels: tuple[str, ...] = Field(
        (
            "ANUS_EXPOSED",
            "BUTTOCKS_EXPOSED",
            "FEMALE_BREAST_EXPOSED",
            "FEMALE_GENITALIA_EXPOSED",
            "MALE_GENITALIA_EXPOSED",
        ),
        description="labels that mean harm; a frame's value is their highest score",
    )
    batch_size: int = operational(8, "frames per batch; halved automatically when memory runs out", ge=1)


class WordList(SafetyChecker):
    """1 where the text contains a blocked word or phrase, as whole words, ignoring case."""

    def __init__(self, blocked_words: Sequence[str]) -> None:
        super().__init__(blocked_words)
        self._blocked = {tuple(words(entry)) for entry in blocked_words} - {()}
        self._longest = max(map(len, self._blocked), default=0)

    def judge(self, clips: Sequence[Judgeable]) -> list[Verdict]:
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
GROUP = Group("interlink.safety", "safety checker", CHECKERS, "interlink.score.safety:SafetyChecker")


def check_checker(name: str) -> str:
    """`name` if it is a known checker, else UserError with the nearest name."""
    return GROUP.check(name)


def checker_class(name: str) -> type[SafetyChecker]:
    """The class of a checker. Raises UserError where it cannot be imported."""
    found: type[SafetyChecker] = GROUP.load(name)
    return found


def make_checker(name: str, settings: Any) -> SafetyChecker:
    """The checker `name`, not yet opened. settings: see `SafetyChecker`."""
    return checker_class(name)(settings)
