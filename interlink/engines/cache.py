"""A cache of answers by content: a request that was answered once is not sent again, even if its row was lost.

One small file per answer, `cache/<stage>/<identity>/<xx>/<key>.json` below the root, written whole when the answer
arrives. A lookup costs about 20 µs on a disk; on object storage, one listing for each of 256 folders and a read for
each hit. The folder can be deleted at any time: it only saves work.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from interlink.engines.captioner import Captioner, ClipCaption, ClipRequest, Identity, fill_prompt
from interlink.storage import Storage

KEPT = ("", "length", "unfamiliar")  # flags of answers that are kept; a refused request may succeed another time
MOST_HITS = 64  # most cached answers that wait while the engine works


@dataclass(frozen=True)
class Answer:
    """A stored answer, with the fields of `ClipCaption` and `Written`."""

    text: str
    flag: str = ""
    fit: float | None = None
    tokens: int = 0


class AnswerCache:
    """The answers of one engine at one stage. fresh: how often `--fresh` has named this stage."""

    def __init__(self, storage: Storage, stage: str, identity: Identity, fresh: int) -> None:
        parts = [identity.engine, identity.model, identity.revision, identity.prompt, dict(identity.parameters), fresh]
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
        self._storage = storage
        self._folder = f"cache/{stage}/{digest}"
        self._listed: dict[str, set[str]] = {}
        self.hits = 0

    @staticmethod
    def key(*parts: bytes | str) -> str:
        """The name of a request: a hash of its parts and their lengths."""
        digest = hashlib.sha256()
        for part in parts:
            data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            digest.update(b"%d:" % len(data))
            digest.update(data)
        return digest.hexdigest()

    def get(self, key: str) -> Answer | None:
        if not self._storage.is_local and f"{key}.json" not in self._there(key[:2]):
            return None
        try:
            found = json.loads(self._storage.read(f"{self._folder}/{key[:2]}/{key}.json"))
            text, flag, fit, tokens = found["text"], found["flag"], found.get("fit"), found.get("tokens", 0)
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return None  # never written, or lost in a power cut: ask again
        if not (isinstance(text, str) and isinstance(flag, str) and isinstance(fit, float | None)):
            return None
        self.hits += 1
        return Answer(text, flag, fit, tokens if isinstance(tokens, int) else 0)

    def put(self, key: str, answer: Answer) -> None:
        """Stores an answer, unless its flag is a refusal."""
        if answer.flag in KEPT:
            kept: dict[str, Any] = {"text": answer.text, "flag": answer.flag}
            kept |= {} if answer.fit is None else {"fit": answer.fit}
            kept |= {"tokens": answer.tokens} if answer.tokens else {}
            data = json.dumps(kept, ensure_ascii=False).encode("utf-8", "surrogatepass")
            self._storage.write(f"{self._folder}/{key[:2]}/{key}.json", data, durable=False)

    def _there(self, folder: str) -> set[str]:
        if folder not in self._listed:
            self._listed[folder] = set(self._storage.names(f"{self._folder}/{folder}"))
        return self._listed[folder]


class CachedCaptioner:
    """Sends a captioner only requests that are not cached. Wraps an open captioner; does not open or close it."""

    def __init__(self, engine: Captioner, cache: AnswerCache, prompt: str) -> None:
        self._engine = engine
        self._cache = cache
        self._prompt = prompt

    def caption(self, requests: Iterable[ClipRequest]) -> Iterator[ClipCaption]:
        source = iter(requests)
        hits: deque[ClipCaption] = deque()
        keys: dict[tuple[str, int], str] = {}
        while True:
            for request in source:
                if (found := self._look(request, keys)) is None:
                    break
                yield found
            else:
                return
            for answer in self._engine.caption(self._missing(request, source, hits, keys)):
                key = keys.pop((answer.id, answer.clip))
                if answer.error is None:
                    self._cache.put(key, Answer(answer.caption, answer.flag, answer.fit, answer.tokens))
                yield answer
                while hits:
                    yield hits.popleft()
            while hits:
                yield hits.popleft()

    def _missing(
        self,
        first: ClipRequest,
        source: Iterator[ClipRequest],
        hits: deque[ClipCaption],
        keys: dict[tuple[str, int], str],
    ) -> Iterator[ClipRequest]:
        """`first` and further requests that are not cached; ends early when cached answers pile up."""
        yield first
        while len(hits) < MOST_HITS and (request := next(source, None)) is not None:
            if (found := self._look(request, keys)) is None:
                yield request
            else:
                hits.append(found)

    def _look(self, request: ClipRequest, keys: dict[tuple[str, int], str]) -> ClipCaption | None:
        times = [round(time - request.times[0], 3) for time in request.times]
        frames = [hashlib.sha256(frame).digest() for frame in request.frames]
        key = self._cache.key(fill_prompt(self._prompt, request), json.dumps(times), *frames)
        if found := self._cache.get(key):
            return ClipCaption(request.id, request.clip, found.text, found.flag, fit=found.fit, tokens=found.tokens)
        keys[request.id, request.clip] = key
        return None
