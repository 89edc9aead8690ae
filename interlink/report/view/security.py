"""Who may ask the viewer, and for what: a browser that was given the token, from its own pages, to read.

Any site that is open in the same browser can send requests to this machine; these rules keep it out.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def new_token() -> str:
    return secrets.token_urlsafe(24)


class Guard:
    """The outermost layer of the application.

    hosts: values of the header Host that are answered; others get 421, so that no foreign name can point here.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: frozenset[str], cookie: str) -> None:
        self.app = app
        self.token = token
        self.hosts = hosts
        self.cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(h for h in HEADERS if h[0] not in there)]
            await send(message)

        answer: Callable[[Scope, Receive, Send], Awaitable[None]] = self._refusal(Request(scope)) or self.app
        await answer(scope, receive, guarded)

    def _refusal(self, request: Request) -> Response | None:
        """The answer to a request that goes no further; None for others."""
        if request.headers.get("host", "").lower() not in self.hosts:
            return PlainTextResponse("This server does not answer to that host name.", 421)
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("This server only reads.", 405, {"allow": "GET, HEAD"})
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return PlainTextResponse("Requests from other sites are refused.", 403)
        given = request.query_params.get("token")
        if given is not None and self._is_token(given):
            rest = urlencode([pair for pair in QueryParams(request.url.query).multi_items() if pair[0] != "token"])
            answer = RedirectResponse(f"{request.url.path}?{rest}" if rest else request.url.path, 303)
            answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", path="/")
            return answer
        if not self._is_token(request.cookies.get(self.cookie, "")):
            return PlainTextResponse("Open the address that `interlink view` printed: it holds the token.", 403)
        return None

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())
