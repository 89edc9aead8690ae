"""The base class of captioners: a stream of clips in, a stream of captions out. `ENGINES` lists the built-in ones;
packages add others through the entry point group `interlink.captioners`.

Imports nothing heavy: an engine imports its libraries in `open`.
"""

from __future__ import annotations

import hashlib
import json
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel

from interlink.engines.engine import Engine
from interlink.errors import StageError
from interlink.plugins import Group

_PLACE = re.compile(r"\{(title|speech|ocr)\}")

# name -> module:Class. The engine's block in the settings of the caption stage has the same name.
ENGINES: dict[str, str] = {
    "transcript": "interlink.engines.transcript:Transcript",
    "transformers": "interlink.engines.transformers:Transformers",
    "vllm": "interlink.engines.vllm:Vllm",
    "openai": "interlink.engines.openai:OpenAI",
    "checkpoint": "interlink.engines.checkpoint:Checkpoint",
    "annotations": "interlink.engines.annotated:Annotated",
}
GROUP = Group("interlink.captioners", "caption engine", ENGINES, "interlink.engines.captioner:Captioner")


@dataclass(frozen=True)
class ClipRequest:
    """One clip to caption. frames: JPEG bytes in order of their times (seconds); start, end: seconds of the clip.

    annotation: the clip's text in the annotations.
    """

    id: str
    clip: int
    frames: tuple[bytes, ...]
    times: tuple[float, ...]
    start: float
    end: float
    speech: str = ""
    title: str = ""
    annotation: str = ""
    ocr: str = ""


@dataclass(frozen=True)
class ClipCaption:
    """The answer to one request. An empty caption has a flag that says why: no_speech, no_frames, not_annotated, empty,
    refused.

    flag `length`: the caption was cut off at the engine's token limit; `unfamiliar`: the clip is unlike the training
    data of the engine. error: the reason why there is no caption. fit: the engine's own cosine of caption and frames;
    None where it gives none. tokens: length of the answer; 0 where the engine gives none.
    """

    id: str
    clip: int
    caption: str = ""
    flag: str = ""
    error: StageError | None = None
    fit: float | None = None
    tokens: int = 0


@dataclass(frozen=True)
class Identity:
    """The identity of an engine. model: never an absolute path; parameters: all that shapes the answers, plain data."""

    engine: str
    model: str = ""
    revision: str = ""
    prompt: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def prompt_hash(self) -> str:
        """16 hex digits of the prompt's sha256; empty without a prompt."""
        return hashlib.sha256(self.prompt.encode()).hexdigest()[:16] if self.prompt else ""

    def columns(self) -> dict[str, str]:
        """The columns tables.ANSWERED."""
        parameters = json.dumps(dict(self.parameters), sort_keys=True, separators=(",", ":"))
        return {
            "engine": self.engine,
            "model": self.model,
            "revision": self.revision,
            "prompt_hash": self.prompt_hash,
            "parameters": parameters,
        }


class Captioner(Engine):
    """A caption engine.

    free: it only repeats known text. It gets no frames, its answers are not cached, and recomputing rows costs nothing.
    """

    free: ClassVar[bool] = False

    def __init__(self, settings: Any, prompt: str) -> None:
        super().__init__(settings)
        self.prompt = prompt

    @staticmethod
    def parallel(settings: Any) -> int:
        """Number of clips that it works on at once."""
        return 16

    @staticmethod
    def tables(settings: Any) -> tuple[str, ...]:
        """Further tables that its requests need: `annotations`, `ocr`."""
        return ()

    @abstractmethod
    def open(self) -> Identity:
        """Loads the model or opens the connection. Raises UserError where the settings cannot be used."""

    @abstractmethod
    def caption(self, requests: Iterable[ClipRequest]) -> Iterator[ClipCaption]:
        """Yields an answer to every request, in any order. Reads no further ahead than it can work on.

        An error of one clip goes into the answer's `error`. Raises UserError if no clip can ever be answered.
        """


def check_engine(name: str) -> str:
    """`name` if it is a known engine, else UserError with the nearest name."""
    return GROUP.check(name)


def captioner_class(name: str) -> type[Captioner]:
    """The class of an engine. Raises UserError where it cannot be imported."""
    found: type[Captioner] = GROUP.load(name)
    return found


def make_captioner(name: str, settings: BaseModel | Mapping[str, Any], prompt: str) -> Captioner:
    """The engine `name`, not yet opened. settings: its block, or the options of a third-party engine."""
    made: Captioner = GROUP.make(name, settings, prompt)
    return made


def fill_prompt(prompt: str, request: ClipRequest) -> str:
    """The prompt for one clip, with `{title}` (the video's), `{speech}` and `{ocr}` (of the clip) filled in."""
    # One pass, so that braces in a title are not placeholders.
    return _PLACE.sub(lambda found: str(getattr(request, found[1])), prompt)
