"""Captions by any server with OpenAI's chat completions API and images. Costs one request per clip."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from interlink.engines.captioner import Captioner, ClipCaption, ClipRequest, Identity, fill_prompt
from interlink.engines.chat import Ask, Chat, check_chat
from interlink.engines.frames import evenly
from interlink.engines.settings import OpenAISettings
from interlink.prompts import load
from interlink.settings import Settings
from interlink.stage import Resources

WHERE = "caption.openai"  # the block of the recipe
PROMPT = load("clip-1")


class OpenAI(Captioner):
    """One server and model."""

    settings_class: ClassVar[type[Settings] | None] = OpenAISettings

    def __init__(self, settings: OpenAISettings, prompt: str) -> None:
        super().__init__(settings, prompt or PROMPT)
        self._chat = Chat(settings, WHERE)

    @staticmethod
    def resources(settings: OpenAISettings) -> Resources:
        return Resources(cpus=0.5, workers=1)  # `concurrency` limits the requests of the whole build

    @staticmethod
    def parallel(settings: OpenAISettings) -> int:
        return settings.concurrency

    @staticmethod
    def check(settings: OpenAISettings) -> None:
        check_chat(settings, WHERE)

    def open(self) -> Identity:
        """Raises UserError without a model's name, or without the key in the environment variable of the settings."""
        self._chat.open()
        return Identity(
            engine="openai",
            model=self.settings.model,
            prompt=self.prompt,
            parameters={
                **self._chat.parameters(),
                "detail": self.settings.detail,
                "max_frames": self.settings.max_frames,
            },
        )

    def close(self) -> None:
        self._chat.close()

    def caption(self, requests: Iterable[ClipRequest]) -> Iterator[ClipCaption]:
        ready: deque[ClipCaption] = deque()
        for reply in self._chat.converse(self._asks(requests, ready)):
            item_id, clip = reply.tag
            yield ClipCaption(item_id, clip, reply.text, reply.flag, reply.error, tokens=reply.tokens)
            while ready:
                yield ready.popleft()
        yield from ready

    def _asks(self, requests: Iterable[ClipRequest], ready: deque[ClipCaption]) -> Iterator[Ask | None]:
        for request in requests:
            if request.frames:
                frames = evenly(request.frames, self.settings.max_frames)
                asked = question(frames, fill_prompt(self.prompt, request), detail=self.settings.detail)
                yield Ask((request.id, request.clip), asked)
            else:
                ready.append(ClipCaption(request.id, request.clip, flag="no_frames"))
                yield None


def question(frames: Sequence[bytes], prompt: str, **how: str) -> list[dict[str, Any]]:
    """A conversation with one question about JPEGs, in OpenAI's format. how: more fields of each image."""
    content: list[dict[str, Any]] = [
        {
            "type": "image_url",
            "image_url": {"url": f"data:image/jpeg;base64,{base64.b64encode(frame).decode()}", **how},
        }
        for frame in frames
    ]
    return [{"role": "user", "content": [*content, {"type": "text", "text": prompt}]}]
