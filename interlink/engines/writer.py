"""The base class of writers: a stream of text requests in, a stream of answers out. Imports nothing heavy.

Packages add engines through the entry point group `interlink.writers`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from interlink.engines.captioner import Identity
from interlink.engines.engine import Engine
from interlink.errors import StageError
from interlink.plugins import Group

# name -> module:Class. The engine's block in the settings of a stage has the same name.
WRITERS: dict[str, str] = {
    "vllm": "interlink.engines.vllm:VllmWriter",
    "openai": "interlink.engines.writer_openai:OpenAIWriter",
    "transformers": "interlink.engines.writer_transformers:TransformersWriter",
}
GROUP = Group("interlink.writers", "writing engine", WRITERS, "interlink.engines.writer:Writer")


@dataclass(frozen=True)
class WriteRequest:
    """One text to write. system: the rules, or empty; prompt: the request."""

    id: str
    clip: int
    system: str
    prompt: str


@dataclass(frozen=True)
class Written:
    """The answer to one request. An empty text has the flag `empty` or `refused`; a text cut off at the token limit has
    `length`. error: the reason why there is no text."""

    id: str
    clip: int
    text: str = ""
    flag: str = ""
    error: StageError | None = None


class Writer(Engine):
    """A language model that writes texts."""

    @staticmethod
    def parallel(settings: Any) -> int:
        """Number of requests that it works on at once."""
        return 16

    @abstractmethod
    def open(self) -> Identity:
        """Loads the model or opens the connection. Raises UserError where the settings cannot be used."""

    @abstractmethod
    def write(self, requests: Iterable[WriteRequest | None]) -> Iterator[Written]:
        """Yields an answer to every request, in any order. Reads ahead no more than `parallel`.

        None among the requests means that there is no request yet, so answers come first. It only occurs while a
        request is in work, or if another one follows. Raises UserError if no request can ever be answered.
        """


def check_writer(name: str) -> str:
    """`name` if it is a known engine, else UserError with the nearest name."""
    return GROUP.check(name)


def writer_class(name: str) -> type[Writer]:
    """The class of an engine. Raises UserError where it cannot be imported."""
    found: type[Writer] = GROUP.load(name)
    return found


def make_writer(name: str, settings: BaseModel | Mapping[str, Any]) -> Writer:
    """The engine `name`, not yet opened. settings: its block, or the options of a third-party engine."""
    made: Writer = GROUP.make(name, settings)
    return made
