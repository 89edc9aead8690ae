"""What a writer is: questions of text in, answers out, as a stream. Imports nothing heavy.

Third-party engines come by the entry point group `interlink.writers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from interlink.engines.captioner import Identity
from interlink.engines.engine import Engine
from interlink.errors import StageError
from interlink.plugins import Group

# name -> module:Class. The name is also that of the engine's block in the settings of the stages that write.
WRITERS: dict[str, str] = {
    "vllm": "interlink.engines.vllm:VllmWriter",
    "openai": "interlink.engines.writer_openai:OpenAIWriter",
    "transformers": "interlink.engines.writer_transformers:TransformersWriter",
}
GROUP = Group("interlink.writers", "writing engine", WRITERS, "interlink.engines.writer:Writer")


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


class Writer(Engine):
    """A language model that writes texts."""

    @staticmethod
    def parallel(settings: Any) -> int:
        """How many requests it works on at once."""
        return 16

    def open(self) -> Identity:
        """Loads the model or opens the connection. Raises UserError where the settings cannot work here."""
        raise NotImplementedError(f"{type(self).__name__} must define open")

    def write(self, requests: Iterable[WriteRequest | None]) -> Iterator[Written]:
        """An answer to every request, in any order, reading ahead no more than `parallel`.

        None among the requests: there is none yet, answers come first. It only comes while one is in work, or where
        another request follows. Raises UserError where nothing could ever be answered.
        """
        raise NotImplementedError(f"{type(self).__name__} must define write")


def check_writer(name: str) -> str:
    """`name` if there is such an engine, else UserError with the nearest one."""
    return GROUP.check(name)


def writer_class(name: str) -> type[Writer]:
    """The class behind an engine's name. UserError where it cannot be imported."""
    found: type[Writer] = GROUP.load(name)
    return found


def make_writer(name: str, settings: BaseModel | Mapping[str, Any]) -> Writer:
    """The engine `name`, not yet opened. settings: its block; of a third-party engine its options."""
    made: Writer = GROUP.make(name, settings)
    return made
