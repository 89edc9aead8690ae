"""Texts by any server with OpenAI's chat completions API. Costs one request per text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from interlink.engines.captioner import Identity
from interlink.engines.chat import Ask, Chat, check_chat
from interlink.engines.settings import ChatSettings
from interlink.engines.writer import Writer, WriteRequest, Written
from interlink.settings import Settings
from interlink.stage import Resources

WHERE = "narrate.openai"  # the block of the recipe


class OpenAIWriter(Writer):
    """One server and model."""

    settings_class: ClassVar[type[Settings] | None] = ChatSettings

    def __init__(self, settings: ChatSettings) -> None:
        super().__init__(settings)
        self._chat = Chat(settings, WHERE)

    @staticmethod
    def resources(settings: ChatSettings) -> Resources:
        return Resources(cpus=0.5, workers=1)  # `concurrency` limits the requests of the whole build

    @staticmethod
    def parallel(settings: ChatSettings) -> int:
        return settings.concurrency

    @staticmethod
    def check(settings: ChatSettings) -> None:
        check_chat(settings, WHERE)

    def open(self) -> Identity:
        """Raises UserError without a model's name, or without the key in the environment variable of the settings."""
        self._chat.open()
        return Identity(engine="openai", model=self.settings.model, parameters=self._chat.parameters())

    def close(self) -> None:
        self._chat.close()

    def write(self, requests: Iterable[WriteRequest | None]) -> Iterator[Written]:
        for reply in self._chat.converse(_ask(request) for request in requests):
            item_id, clip = reply.tag
            yield Written(item_id, clip, reply.text, reply.flag, reply.error)


def _ask(request: WriteRequest | None) -> Ask | None:
    if request is None:
        return None
    messages = [{"role": "system", "content": request.system}] if request.system else []
    return Ask((request.id, request.clip), [*messages, {"role": "user", "content": request.prompt}])
