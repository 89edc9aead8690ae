"""What a writer is: questions of text in, answers out, as a stream. Imports nothing heavy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from interlink.engines.captioner import Identity
from interlink.errors import StageError, UserError
from interlink.stage import Settings

# name -> module:Class. The name is also that of the engine's block in the settings of the stages that write.
WRITERS: dict[str, str] = {
    "openai": "interlink.engines.writer_openai:OpenAIWriter",
    "transformers": "interlink.engines.writer_transformers:TransformersWriter",
}


@dataclass(frozen=True)
class WriteRequest:
    """One text to be written. system: the rules, or empty; prompt: what it is about."""

    id: str
    clip: int
    system: str
    prompt: str


@dataclass(frozen=True)
class Written:
    """The answer to one request. An empty text has a flag: empty or refused; `length`: it was cut off at the limit of
    tokens. error: nothing was written because this went wrong."""

    id: str
    clip: int
    text: str = ""
    flag: str = ""
    error: StageError | None = None


class Writer(Protocol):
    """A language model. Made cheaply from its settings; `open` loads."""

    def __init__(self, settings: Any) -> None: ...

    @property
    def parallel(self) -> int:
        """How many requests it works on at once."""

    def open(self) -> Identity:
        """Loads the model or opens the connection. Raises UserError where the settings cannot work here."""

    def close(self) -> None: ...

    def write(self, requests: Iterable[WriteRequest | None]) -> Iterator[Written]:
        """An answer to every request, in any order, reading ahead no more than `parallel`.

        None among the requests: there is none yet, answers come first. It only comes while one is in work, or where
        another request follows. Raises UserError where nothing could ever be answered.
        """


def check_writer(name: str) -> str:
    """`name` if there is such an engine, else UserError with the nearest one."""
    if name in WRITERS:
        return name
    near = difflib.get_close_matches(name, WRITERS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"engines: {', '.join(WRITERS)}"
    raise UserError(f"there is no writing engine {name!r}", hint, code=2)


def make_writer(name: str, settings: Settings) -> Writer:
    """The engine `name`, not yet opened."""
    module, _, attribute = WRITERS[check_writer(name)].partition(":")
    engine: type[Writer] = getattr(import_module(module), attribute)
    return engine(settings)
