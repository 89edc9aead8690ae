"""What a captioner is: clips in, captions out, as a stream. Ours are listed in `ENGINES`; third-party ones come by
entry points (`interlink.captioners`).

Imports nothing heavy; an engine's libraries come with its `open`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel

from interlink.engines.engine import Engine
from interlink.errors import StageError
from interlink.plugins import Group

_PLACE = re.compile(r"\{(title|speech|ocr)\}")

# name -> module:Class. The name is also that of the engine's block in the caption stage's settings.
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
    """One clip to be told. frames: JPEG bytes in order of their times (seconds); start, end: seconds of the clip.

    annotation: what an annotation file says of it.
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

    flag `length`: the caption was cut off at the engine's token limit; `unfamiliar`: the engine knows no such clips.
    error: nothing was said because this went wrong. fit: how well the engine itself finds caption and frames to match,
    a cosine; None where it does not tell. tokens: how many it said; 0 where it does not tell.
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
    """Who speaks. model: never an absolute path; parameters: what shapes the answers, as plain data."""

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
        """As tables keep it: tables.ANSWERED."""
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

    free: it only repeats what is known. It is shown no pixels, nothing is cached, and redoing its rows costs nothing.
    """

    free: ClassVar[bool] = False

    def __init__(self, settings: Any, prompt: str) -> None:
        super().__init__(settings)
        self.prompt = prompt

    @staticmethod
    def parallel(settings: Any) -> int:
        """How many clips it works on at once."""
        return 16

    @staticmethod
    def tables(settings: Any) -> tuple[str, ...]:
        """Further tables that its requests are made from: `annotations`, `ocr`."""
        return ()

    def open(self) -> Identity:
        """Loads the model or opens the connection. Raises UserError where the settings cannot work here."""
        raise NotImplementedError(f"{type(self).__name__} must define open")

    def caption(self, requests: Iterable[ClipRequest]) -> Iterator[ClipCaption]:
        """An answer to every request, in any order, reading no further ahead than it can work on.

        What concerns one clip comes as the answer's `error`. Raises UserError where no clip could ever be answered.
        """
        raise NotImplementedError(f"{type(self).__name__} must define caption")


def check_engine(name: str) -> str:
    """`name` if there is such an engine, else UserError with the nearest one."""
    return GROUP.check(name)


def captioner_class(name: str) -> type[Captioner]:
    """The class behind an engine's name. UserError where it cannot be imported."""
    found: type[Captioner] = GROUP.load(name)
    return found


def make_captioner(name: str, settings: BaseModel | Mapping[str, Any], prompt: str) -> Captioner:
    """The engine `name`, not yet opened. settings: its block; of a third-party engine its options."""
    made: Captioner = GROUP.make(name, settings, prompt)
    return made


def fill_prompt(prompt: str, request: ClipRequest) -> str:
    """The prompt for one clip: `{title}`, `{speech}` and `{ocr}` stand for the video's title, what is said in the clip,
    and what is written in its frames."""
    # One pass: what a title says is never read as a placeholder.
    return _PLACE.sub(lambda found: str(getattr(request, found[1])), prompt)
