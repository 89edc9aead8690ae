"""Maps errors of a transfer to failure classes: by status and exception type first, by message text last.

Message text is needed because sites answer "private" and "confirm you are not a bot" with status 200.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

from yt_dlp.networking.exceptions import HTTPError, RequestError, TransportError
from yt_dlp.utils import (
    ContentTooShortError,
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    PostProcessingError,
    UnsupportedError,
    UserNotLive,
    YoutubeDLError,
)

from interlink.errors import StageError
from interlink.fetch.status import class_of_status

# In order: the first match decides.
_WORDS: tuple[tuple[str, str], ...] = (
    ("throttled", r"too many requests|rate.?limit|try again later"),
    ("unsupported", r"\bDRM\b|live event|live stream|is (?:not currently|currently) live|premieres? in|is offline"),
    ("gone", r"private video|video is private"),
    ("blocked", r"not a bot|captcha|sign in|log ?in|logged.in|cookies|members.only|join this channel|subscri"),
    ("blocked", r"confirm your age|age.restricted|inappropriate|your country|your location|geo.?restrict|blocked"),
    ("blocked", r"premium|purchase|paid|rent(?:al|ed)? |payment|password|forbidden|authenticat"),
    ("gone", r"private|removed|deleted|terminated|no longer (?:available|exists)|does not exist|doesn't exist"),
    ("gone", r"video (?:is )?(?:un|not )available|isn't available|not found|has been closed|expired"),
    ("no_video", r"requested format is not available"),
    ("no_media", r"no video formats|no media|no video could be found|there(?:'s| is) no video|no playable"),
    ("no_media", r"did not get any data"),
    ("network", r"timed out|content too short|bytes read|expected \d+ bytes|connection"),
)
_NOISE = re.compile(
    r"^ERROR:\s*|\[download\] Got error:\s*|;? ?please report this issue on .*|\(caused by .*\)",
    re.DOTALL,
)


def classify(error: Exception, last: Exception | None, silent: Exception | None) -> Exception:
    """The StageError for `error`; `error` itself if it is not a failure of the transfer (a bug).

    last: the newest network error of this transfer (some errors of yt-dlp contain only its text). silent: the error of
    a body that began and then stalled.
    """
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, StageError):
            return link
    if not isinstance(error, YoutubeDLError):
        return error
    text = _text(error)
    direct = [*_chain(error, context=False)]
    if last is not None and not any(isinstance(link, ExtractorError) for link in chain):
        direct += _chain(last)
    for links in (direct, chain):
        if silent is not None and silent in links:
            return StageError("stalled", f"the server stopped sending in the middle of the file: {text}")
        for link in links:
            if found := _by_kind(link, text):
                return found
        if links is direct and (word := _by_words(chain)):
            return StageError(word, text)
    if any(isinstance(link, ExtractorError) for link in chain):
        return StageError("unsupported", text)
    outside = next((link for link in chain if isinstance(link, OSError) and not isinstance(link, TimeoutError)), None)
    return outside if isinstance(outside, Exception) else StageError("unsupported", text)


def retry_after(error: HTTPError) -> float | None:
    """Seconds of a Retry-After header (a number, or a date by the local clock); None without one."""
    value = (error.response.headers.get("Retry-After") or "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def is_refusal(error: HTTPError) -> bool:
    """Whether this status means that the host wants fewer requests."""
    return error.status in (401, 403, 429, 503)


def _by_kind(link: BaseException, text: str) -> StageError | None:
    if isinstance(link, HTTPError):
        name = "no_media" if link.redirect_loop else class_of_status(link.status)
        return StageError(name, text, retry_after(link) if name == "throttled" else None)
    if isinstance(link, TransportError | ContentTooShortError):
        return StageError("network", text)
    if isinstance(link, RequestError):
        return StageError("unsupported", text)
    if isinstance(link, GeoRestrictedError):
        return StageError("blocked", text)
    if isinstance(link, UserNotLive):
        return StageError("unsupported", text)
    if isinstance(link, UnsupportedError):
        return StageError("no_media", text)
    if isinstance(link, PostProcessingError):
        return StageError("unreadable", text)
    return None


def _by_words(chain: list[BaseException]) -> str | None:
    messages = [
        link.orig_msg for link in chain if isinstance(link, ExtractorError)
    ]  # without the id, which may contain any word
    for words in messages or [str(link) for link in chain if isinstance(link, DownloadError)]:
        for name, pattern in _WORDS:
            if re.search(pattern, words, re.IGNORECASE):
                return name
    return None


def _chain(error: BaseException, context: bool = True) -> Iterator[BaseException]:
    """The error and its causes, nearest first. context: also the errors that were being handled when it was raised."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        link = waiting.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting += [(getattr(link, "exc_info", None) or (None, None))[1], getattr(link, "cause", None), link.__cause__]
        if context:
            waiting.append(link.__context__)


def _text(error: Exception) -> str:
    return " ".join(_NOISE.sub("", str(error)).split())[:500]
