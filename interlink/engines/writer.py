"""What a writer is: questions of text in, answers out, as a stream. Imports nothing heavy.

Engines of others come by the entry point group `interlink.writers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from interlink.engines.captioner import Identity
from interlink.errors import StageError
from interlink.plugins import Group
from interlink.stage import Settings

# name -> module:Class. The name is also that of the engine's block in the settings of the stages that write.
WRITERS: dict[str, str] = {
    "vllm": "interlink.engines.vllm:VllmWriter",
    "openai": "interlink.engines.writer_openai:OpenAIWriter",
    "transformers": "interlink.engines.writer_transformers:TransformersWriter",
}
GROUP = Group("interlink.writers", "writing engine", WRITERS)


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
    """A language model. Made cheaply from its settings; `open` loads.

    One of others is given the mapping `options` in place of settings; what it raises then (ValueError, TypeError,
    KeyError) is told as a mistake in them. It may have a static method `resources(options) -> Resources`.
    """

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
    return GROUP.check(name)


def make_writer(name: str, settings: Settings | Mapping[str, Any]) -> Writer:
    """The engine `name`, not yet opened. settings: its block; of an engine of others its options."""
    if isinstance(settings, Mapping):
        made: Writer = GROUP.make(name, settings)
        return made
    engine: type[Writer] = GROUP.load(name)
    return engine(settings)
