"""An OpenAI-compatible server on loopback whose caption is a fixed function of the images and the prompt.

It misbehaves as `script` says: for the n-th request that holds a given image, the n-th entry (the last one repeats).
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


def caption_of(images: Sequence[bytes], prompt: str = "") -> str:
    """What the server says about these images."""
    return "Images " + " ".join(hashlib.sha256(image).hexdigest()[:6] for image in images) + f" asked {prompt!r}."


def answer_to(prompt: str) -> str:
    """What the server says to a question without images."""
    return f"a hand does {hashlib.sha256(prompt.encode()).hexdigest()[:6]}"


class CaptionServer:
    """Entered, it serves `/v1/chat/completions`. Misbehaviours: ok, 429:SECONDS, STATUS, garbage, html, empty, refuse,

    filter, length, null, hang:SECONDS, cut, drop.
    """

    def __init__(self, script: Callable[[bytes], Sequence[str]] | None = None, key: str = "") -> None:
        self.script = script or (lambda image: ["ok"])
        self.key = key
        self.write: Callable[[str], str] = answer_to
        self.see: Callable[[Sequence[bytes], str], str] = caption_of
        self.seen: Counter[bytes] = Counter()  # first image -> requests
        self.bodies: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.most_at_once = 0
        self.at_once = 0
        self.delay = 0.0
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.owner = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> CaptionServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None: ...

    def do_POST(self) -> None:
        owner: CaptionServer = self.server.owner  # type: ignore[attr-defined]
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/v1/chat/completions":
            return self._send(404, {"error": {"message": f"no such path {self.path}"}})
        if owner.key and self.headers.get("authorization") != f"Bearer {owner.key}":
            return self._send(401, {"error": {"message": f"wrong key {self.headers.get('authorization')}"}})
        content = body["messages"][-1]["content"]
        if isinstance(content, str):  # a question without images counts by its words
            images, answer = [content.encode()], owner.write(content)
        else:
            images = [
                base64.b64decode(c["image_url"]["url"].partition(",")[2]) for c in content if c["type"] == "image_url"
            ]
            answer = owner.see(images, next(c["text"] for c in content if c["type"] == "text"))
        with owner.lock:
            owner.bodies.append(body)
            owner.times.append(time.monotonic())
            number = owner.seen[images[0]]
            owner.seen[images[0]] += 1
            owner.at_once += 1
            owner.most_at_once = max(owner.most_at_once, owner.at_once)
        try:
            time.sleep(owner.delay)
            script = owner.script(images[0])
            self._behave(script[min(number, len(script) - 1)], answer)
        finally:
            with owner.lock:
                owner.at_once -= 1
        return None

    def _behave(self, what: str, caption: str) -> None:
        name, _, value = what.partition(":")
        message: dict[str, Any] = {"role": "assistant", "content": caption}
        reason = "stop"
        if name == "429":
            return self._send(429, {"error": {"message": "slow down"}}, {"retry-after": value} if value else {})
        if name.isdigit():
            return self._send(int(name), {"error": {"message": "it is broken"}})
        if name == "garbage":
            return self._send(200, {"choices": "none"})
        if name == "html":
            return self._raw(200, b"<html>gateway</html>", {"content-type": "text/html"})
        if name == "cut":
            return self._raw(200, b'{"choices": [{"mess', {"content-type": "application/json"})
        if name == "drop":
            self.close_connection = True
            self.connection.close()
            return None
        if name == "hang":
            time.sleep(float(value))
        if name == "empty":
            message["content"] = "  "
        if name == "null":
            message["content"] = None
        if name == "refuse":
            message.update(content=None, refusal="I cannot help with that")
        if name == "filter":
            message["content"], reason = "", "content_filter"
        if name == "length":
            reason = "length"
        usage = {"prompt_tokens": 100, "completion_tokens": len(caption.split())}
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return self._send(200, {"choices": [choice], "usage": usage})

    def _send(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._raw(status, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})})

    def _raw(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):  # who gave up waiting has hung up
            self.wfile.write(data)
