"""Captions by any server that speaks OpenAI's chat completions with images.

Keeps `concurrency` requests in flight, tries again with growing waits, and holds all of them back while the server asks
for patience. Costs one request per clip. The key is read from a named environment variable and goes nowhere else.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import queue
import random
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from interlink.engines.captioner import ClipCaption, ClipRequest, Identity, fill_prompt
from interlink.engines.frames import evenly
from interlink.engines.settings import OpenAISettings
from interlink.errors import StageError, UserError

PROMPT = "These are frames of one clip of a how-to video. Say in one or two sentences what is done, with what."
_WORTH_ANOTHER_TRY = (408, 409, 425, 429)  # and everything from 500
_SETTINGS_ARE_WRONG = (401, 403, 404, 405)  # no clip could ever be answered


class OpenAI:
    """One server and model."""

    def __init__(self, settings: OpenAISettings, prompt: str) -> None:
        self.settings = settings
        self.prompt = prompt or PROMPT
        self._key = ""
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._not_before = 0.0  # loop time before which the server wants no request

    def open(self) -> Identity:
        """Raises UserError without a model's name or without the key that the settings name."""
        settings = self.settings
        if not settings.model:
            raise UserError(
                "the openai engine has no model", "set caption.openai.model to a name that the server knows", 2
            )
        if settings.api_key_env:
            self._key = os.environ.get(settings.api_key_env, "")
            if not self._key:
                raise UserError(
                    f"the environment variable {settings.api_key_env} with the key for {settings.base_url} is not set",
                    f"export {settings.api_key_env}, or set caption.openai.api_key_env to '' for a server without keys",
                )
        try:
            from openai import AsyncOpenAI
        except ImportError as error:
            raise UserError(f"the openai engine needs a package: {error}", "pip install 'interlink[openai]'") from None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="captioner", daemon=True)
        self._thread.start()
        self._client = AsyncOpenAI(
            base_url=settings.base_url, api_key=self._key or "none", timeout=settings.timeout, max_retries=0
        )
        return Identity(
            engine="openai",
            model=settings.model,
            prompt=self.prompt,
            parameters={
                "detail": settings.detail,
                "max_frames": settings.max_frames,
                "max_tokens": settings.max_tokens,
                "seed": settings.seed,
                "temperature": settings.temperature,
            },
        )

    def close(self) -> None:
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()
        self._loop = self._thread = None

    def caption(self, requests: Iterable[ClipRequest]) -> Iterator[ClipCaption]:
        assert self._loop is not None, "open() comes first"
        done: queue.SimpleQueue[ClipCaption | BaseException] = queue.SimpleQueue()
        sent: list[Any] = []
        flying = 0
        source = iter(requests)
        more = True
        try:
            while more or flying:
                while more and flying < self.settings.concurrency:
                    request = next(source, None)
                    if request is None:
                        more = False
                    elif not request.frames:
                        yield ClipCaption(request.id, request.clip, flag="no_frames")
                    else:
                        sent = [future for future in sent if not future.done()]
                        sent.append(asyncio.run_coroutine_threadsafe(self._deliver(request, done), self._loop))
                        flying += 1
                    if not done.empty():
                        break  # an answer does not wait until the next clip has been read
                if flying:
                    answer = done.get()
                    flying -= 1
                    if isinstance(answer, BaseException):
                        raise answer
                    yield answer
        finally:
            for future in sent:
                future.cancel()

    async def _deliver(self, request: ClipRequest, done: queue.SimpleQueue[ClipCaption | BaseException]) -> None:
        try:
            done.put(await self._answer(request))
        except StageError as error:
            done.put(ClipCaption(request.id, request.clip, error=error))
        except Exception as error:
            done.put(error)

    async def _answer(self, request: ClipRequest) -> ClipCaption:
        """Tries until there is an answer. Raises StageError throttled, network or model, and UserError."""
        message = self._message(request)
        chance = random.Random(f"{request.id}/{request.clip}")  # spreads waits; no caption depends on it
        fault = StageError("network", "no try was made")
        for attempt in range(self.settings.max_attempts):
            if attempt:
                wait = fault.retry_after
                if wait is None:
                    wait = 2.0 ** (attempt - 1) * (0.5 + chance.random())
                await asyncio.sleep(min(wait, self.settings.longest_wait))
            await self._patience()
            try:
                return _read(request, await self._send(message))
            except StageError as error:
                fault = error
                if error.error_class == "throttled" and error.retry_after:
                    pause = min(error.retry_after, self.settings.longest_wait)
                    self._not_before = max(self._not_before, asyncio.get_running_loop().time() + pause)
                if error.error_class == "unsupported":
                    break
        name = "model" if fault.error_class in ("unsupported", "unreadable") else fault.error_class
        raise StageError(name, f"{fault} (tried {attempt + 1} times)", fault.retry_after)

    async def _patience(self) -> None:
        """Waits as long as the server has asked anyone to wait."""
        loop = asyncio.get_running_loop()
        while (left := self._not_before - loop.time()) > 0:
            await asyncio.sleep(left)

    async def _send(self, message: list[dict[str, Any]]) -> str:
        """The body of a good answer. Raises StageError (class `unsupported`: another try is useless)."""
        import openai

        settings = self.settings
        try:
            raw = await self._client.chat.completions.with_raw_response.create(
                model=settings.model,
                messages=message,
                max_tokens=settings.max_tokens,
                temperature=settings.temperature,
                seed=settings.seed,
            )
        except openai.APITimeoutError:
            raise StageError("network", f"no answer within {settings.timeout:g} s") from None
        except openai.APIConnectionError as error:
            raise StageError("network", self._clean(f"{settings.base_url}: {error.__cause__ or error}")) from None
        except openai.APIStatusError as error:
            raise self._refusal(error.status_code, str(error.message), error.response.headers) from None
        body: str = raw.text if isinstance(raw.text, str) else raw.text()
        return body

    def _refusal(self, status: int, message: str, headers: Any) -> StageError:
        told = self._clean(f"the server answered {status}: {message}")[:500]
        if status in _SETTINGS_ARE_WRONG:
            raise UserError(
                f"{self.settings.base_url}: {told}",
                "check base_url, model and the key's variable under caption.openai, then build again",
            )
        if status in (429, 503):
            return StageError("throttled", told, _retry_after(headers))
        if status in _WORTH_ANOTHER_TRY or status >= 500:
            return StageError("network", told, _retry_after(headers))
        return StageError("unsupported", told)

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text

    def _message(self, request: ClipRequest) -> list[dict[str, Any]]:
        content: list[dict[str, Any]] = [
            {
                "type": "image_url",
                "image_url": {
                    "url": f"data:image/jpeg;base64,{base64.b64encode(frame).decode()}",
                    "detail": self.settings.detail,
                },
            }
            for frame in evenly(request.frames, self.settings.max_frames)
        ]
        content.append({"type": "text", "text": fill_prompt(self.prompt, request)})
        return [{"role": "user", "content": content}]


def _read(request: ClipRequest, body: str) -> ClipCaption:
    """The caption in an answer. Raises StageError `unreadable` where it is not one."""
    try:
        choice = json.loads(body)["choices"][0]
        message, reason = choice["message"], choice.get("finish_reason")
        text, refusal = message.get("content"), message.get("refusal")
        if not isinstance(text, str | None):
            raise TypeError("content is no text")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StageError(
            "unreadable", f"the server's answer is no completion: {type(error).__name__}: {error}"
        ) from None
    text = " ".join((text or "").split())
    if refusal or reason == "content_filter":
        return ClipCaption(request.id, request.clip, flag="refused")
    if not text:
        return ClipCaption(request.id, request.clip, flag="empty")
    return ClipCaption(request.id, request.clip, text, "length" if reason == "length" else "")


def _retry_after(headers: Any) -> float | None:
    """Seconds that the server asks for: a number, or a date."""
    value = headers.get("retry-after")
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    from datetime import datetime, timezone
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(timezone.utc)).total_seconds())
    except (ValueError, TypeError):
        return None
