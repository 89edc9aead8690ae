"""The signatures of functions that a family names in its `Evaluation`, and the lookup of a function by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

from rich.console import Console

from cosmos_train.evaluate.stored import Score

if TYPE_CHECKING:
    import torch

    from cosmos_train.evaluate.embedder import Embedder
    from cosmos_train.evaluate.fewshot import Report, Result
    from cosmos_train.evaluate.protocol import Protocol
    from cosmos_train.evaluate.readers.folder import DataFolder
    from cosmos_train.evaluate.slots import Slots
    from cosmos_train.evaluate.tasks import Task
    from cosmos_train.recipe import Recipe
    from cosmos_train.stream.settings import DataSettings
    from cosmos_train.stream.tokenizer import Tokenizer


@dataclass(frozen=True)
class Captioned:
    """A held-out sample with the model's words for it. key: its document; picture: one of its frames, a JPEG."""

    key: str
    truth: str
    said: str
    picture: bytes


@dataclass(frozen=True)
class Probed:
    """Scores of a probe, as metrics, and its first few samples: the same ones each time."""

    numbers: dict[str, float]
    samples: tuple[Captioned, ...] = ()


# Maps a model and its device to the scores of a probe; scores alone for a model that writes no captions.
Ask = Callable[[Any, "torch.device"], dict[str, float] | Probed]


class LoadEmbedder(Interface):
    """`embedder`. settings: `key=value` of the recipe; part: student or teacher, for a model that has both; template:
    wraps each text, as `protocol.prompts.retrieval`."""

    def __call__(self, path: Path, settings: list[str], protocol: Protocol, part: str, template: str) -> Embedder: ...


class Answer(Interface):
    """`answers`. One result for each number of shots. predictions: a folder that keeps answers; report: progress."""

    def __call__(
        self, path: Path, settings: list[str], task: Task, data: DataFolder, protocol: Protocol, shots: Sequence[int],
        predictions: Path | None, report: Callable[[str], Report],
    ) -> list[Result]: ...  # fmt: skip


class MakeProbe(Interface):
    """`probe`. heldout: the probe's shards; learned from: those of the recipe."""

    def __call__(self, recipe: Recipe, heldout: DataSettings, tokenizer: Tokenizer, slots: Slots) -> Ask: ...


@dataclass(frozen=True)
class Shown:
    """A result as JSON, for the terminal, and for the run's evaluations.

    checkpoint, step: of the weights; "" if the result is not to be stored.
    """

    facts: object
    show: Callable[[Console], None]
    scores: Sequence[Score] = ()
    checkpoint: str = ""
    step: int = 0


class ReportProbe(Interface):
    """`probe_report`. settings: `data.shards=…` names the held-out shards."""

    def __call__(
        self, path: Path, settings: Sequence[str], slots: Path | None, clips: int, candidates: int, draws: int
    ) -> Shown: ...


def resolve(name: str) -> Any:
    """The function that "module:function" names."""
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)
