"""A client for servers with OpenAI's chat completions API, shared by the caption and text engines.

Keeps `concurrency` requests in flight, retries with growing waits, and pauses all of them while the server asks clients
to wait. The key is read from a named environment variable and is never stored.
"""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import random
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from interlink.engines.present import importing, require_key, require_packages
from interlink.engines.settings import ChatSettings
from interlink.errors import StageError, UserError

log = logging.getLogger(__name__)

_WORTH_ANOTHER_TRY = (408, 409, 425, 429)  # and everything from 500
_SETTINGS_ARE_WRONG = (401, 403, 404, 405)  # no request can ever succeed
_END = object()
_WHO, _INSTALL = "the openai engine", "pip install 'interlink[openai]'"


@dataclass(frozen=True)
class Ask:
    """One request. tag: returned with the reply; its text also spreads the waits between attempts."""

    tag: Any
    messages: list[dict[str, Any]]


@dataclass(frozen=True)
class Reply:
    """The answer. flag: refused, empty, or length (cut off at the token limit); error: the reason if there is none.

    tokens: of the answer, as the server counts; 0 where it does not count them.
    """

    tag: Any
    text: str = ""
    flag: str = ""
    error: StageError | None = None
    tokens: int = 0


def check_chat(settings: ChatSettings, where: str) -> None:
    """Raises UserError without a model's name, without the key that the settings name, and without the package."""
    _key(settings, where)
    require_packages(_WHO, ("openai",), _INSTALL)


def _key(settings: ChatSettings, where: str) -> str:
    if not settings.model:
        raise UserError("the openai engine has no model", f"set {where}.model to the name of a model on the server", 2)
    return require_key(settings.api_key_env, settings.base_url, where)


class Chat:
    """One server and model. where: the block of the recipe with its settings, for messages."""

    def __init__(self, settings: ChatSettings, where: str) -> None:
        self.settings = settings
        self.where = where
        self.asked = self.tokens_in = self.tokens_out = 0  # as the server counts
        self._key = ""
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._not_before = 0.0  # loop time before which no request is sent

    def open(self) -> None:
        """Raises UserError without a model's name, or without the key in the environment variable of the settings."""
        settings = self.settings
        self._key = _key(settings, self.where)
        with importing(_WHO, _INSTALL):
            from openai import AsyncOpenAI
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chat", daemon=True)
        self._thread.start()
        self._client = AsyncOpenAI(
            base_url=settings.base_url, api_key=self._key or "none", timeout=settings.timeout, max_retries=0
        )

    def parameters(self) -> dict[str, Any]:
        """The settings that shape the answers."""
        return {
            "max_tokens": self.settings.max_tokens,
            "seed": self.settings.seed,
            "temperature": self.settings.temperature,
        }

    def close(self) -> None:
        if self._loop is None or self._thread is None:
            return
        if self.asked:
            log.info("%s: %d answers, %d tokens in, %d out", self.where, self.asked, self.tokens_in, self.tokens_out)
        asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()
        self._loop = self._thread = None

    def converse(self, asks: Iterable[Ask | None]) -> Iterator[Reply]:
        """Yields a reply to every request, in any order. Reads ahead no more than `concurrency`.

        None among the requests means that there is no request yet, so replies come first. It may only occur while a
        request is in flight, or if another one follows. Raises UserError if no request can ever succeed.
        """
        assert self._loop is not None, "call open() first"
        done: queue.SimpleQueue[Reply | BaseException] = queue.SimpleQueue()
        sent: list[Any] = []
        flying = 0
        source = iter(asks)
        more = True
        try:
            while more or flying:
                while more and flying < self.settings.concurrency:
                    ask = next(source, _END)
                    if ask is _END:
                        more = False
                    elif isinstance(ask, Ask):
                        sent = [future for future in sent if not future.done()]
                        sent.append(asyncio.run_coroutine_threadsafe(self._deliver(ask, done), self._loop))
                        flying += 1
                    elif flying:
                        break
                    if not done.empty():
                        break  # a reply does not wait for the next request
                if flying:
                    reply = done.get()
                    flying -= 1
                    if isinstance(reply, BaseException):
                        raise reply
                    yield reply
        finally:
            for future in sent:
                future.cancel()

    async def _deliver(self, ask: Ask, done: queue.SimpleQueue[Reply | BaseException]) -> None:
        try:
            done.put(await self._answer(ask))
        except StageError as error:
            done.put(Reply(ask.tag, error=error))
        except Exception as error:
            done.put(error)

    async def _answer(self, ask: Ask) -> Reply:
        """Retries until there is an answer. Raises StageError throttled, network or model, and UserError."""
        chance = random.Random(f"{ask.tag}")  # spreads the waits; answers do not depend on it
        fault = StageError("network", "no attempt was made")
        for attempt in range(self.settings.max_attempts):
            if attempt:
                wait = fault.retry_after
                if wait is None:
                    wait = 2.0 ** (attempt - 1) * (0.5 + chance.random())
                await asyncio.sleep(min(wait, self.settings.longest_wait))
            await self._patience()
            try:
                return self._read(ask, await self._send(ask.messages))
            except StageError as error:
                fault = error
                if error.error_class == "throttled" and error.retry_after:
                    pause = min(error.retry_after, self.settings.longest_wait)
                    self._not_before = max(self._not_before, asyncio.get_running_loop().time() + pause)
                if error.error_class == "unsupported":
                    break
        name = "model" if fault.error_class in ("unsupported", "unreadable") else fault.error_class
        raise StageError(name, f"{fault} (after {attempt + 1} attempts)", fault.retry_after)

    async def _patience(self) -> None:
        """Waits while the server asks clients to wait."""
        loop = asyncio.get_running_loop()
        while (left := self._not_before - loop.time()) > 0:
            await asyncio.sleep(left)

    async def _send(self, messages: list[dict[str, Any]]) -> str:
        """The body of a successful answer. Raises StageError (class `unsupported`: a retry is useless)."""
        import openai

        settings = self.settings
        try:
            raw = await self._client.chat.completions.with_raw_response.create(
                model=settings.model,
                messages=messages,
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
        message = self._clean(f"the server answered {status}: {message}")[:500]
        if status in _SETTINGS_ARE_WRONG:
            raise UserError(
                f"{self.settings.base_url}: {message}",
                f"check base_url, model and the key's variable under {self.where}, then build again",
            )
        if status in (429, 503):
            return StageError("throttled", message, _retry_after(headers))
        if status in _WORTH_ANOTHER_TRY or status >= 500:
            return StageError("network", message, _retry_after(headers))
        return StageError("unsupported", message)

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text

    def _read(self, ask: Ask, body: str) -> Reply:
        """Parses the answer. Raises StageError `unreadable` where it is not a completion."""
        try:
            answer = json.loads(body)
            choice = answer["choices"][0]
            message, reason = choice["message"], choice.get("finish_reason")
            text, refusal = message.get("content"), message.get("refusal")
            if not isinstance(text, str | None):
                raise TypeError("the content is not text")
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise StageError(
                "unreadable", f"the server's answer is not a completion: {type(error).__name__}: {error}"
            ) from None
        tokens = self._count(answer.get("usage"))
        text = " ".join((text or "").split())
        if refusal or reason == "content_filter":
            return Reply(ask.tag, flag="refused")
        if not text:
            return Reply(ask.tag, flag="empty")
        return Reply(ask.tag, text, "length" if reason == "length" else "", tokens=tokens)

    def _count(self, usage: Any) -> int:
        """The tokens of one answer."""
        self.asked += 1
        if not isinstance(usage, Mapping):
            return 0
        read, written = (
            count if isinstance(count := usage.get(name), int) else 0 for name in ("prompt_tokens", "completion_tokens")
        )
        self.tokens_in += read
        self.tokens_out += written
        return written


def _retry_after(headers: Any) -> float | None:
    """Seconds to wait that the server asks for, as a number or a date."""
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
