"""Maps errors of a transfer to failure classes: by status and exception type first, by message text last.

Message text is needed because sites answer "private" and "confirm you are not a bot" with status 200.
"""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Iterable, Iterator
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
from interlink.fetch.faults import SetupFault
from interlink.fetch.guard import BlockedAddress
from interlink.fetch.status import class_of_status
from interlink.fetch.transfers import FULL_DISK

# In order: the first match decides.
_WORDS: tuple[tuple[str, str], ...] = (
    ("throttled", r"too many requests|rate.?limit|try again later|page needs to be reloaded|something went wrong"),
    (
        "network",
        r"failed to extract any player response|fragment (?:\d+ )?not found|being processed|processing this video",
    ),
    (
        "no_media",
        r"incomplete (?:\w+ )?id\b|looks truncated|no videos? tab|not have a \w+ tab|file is empty|empty file",
    ),
    ("unreadable", r"ffmpeg exited"),
    ("blocked", r"precondition check failed|playback on other websites|self.?harm"),
    ("unsupported", r"\bDRM\b|live event|live stream|is (?:not currently|currently) live|premieres? in|is offline"),
    ("gone", r"private video|video is private"),
    ("blocked", r"not a bot|captcha|sign in|log ?in|logged.in|cookies|members.only|join this channel|subscri"),
    ("blocked", r"confirm your age|age.restricted|inappropriate|your country|your location|geo.?restrict|blocked"),
    ("blocked", r"premium|purchase|paid|rent(?:al|ed)? |payment|password|forbidden|authenticat"),
    (
        "gone",
        r"private|removed|deleted|terminated|suspended|no longer (?:available|exists)|does not exist|doesn't exist",
    ),
    ("gone", r"video (?:is )?(?:un|not )available|isn't available|not found|has been closed|expired"),
    ("no_video", r"requested format is not available"),
    ("no_media", r"no video formats|no media|no video could be found|there(?:'s| is) no video|no playable"),
    ("no_media", r"did not get any data"),
    ("network", r"timed out|content too short|bytes read|expected \d+ bytes|connection"),
)
_SETUP = re.compile(r"requested format is not available|\bpo.?token|javascript runtime|\bjs runtime", re.IGNORECASE)
_BY_SETUP = ("no_video", "no_media", "unsupported")  # classes that a fault of the set-up may look like
_QUOTES = str.maketrans("’‘“”", "''\"\"")
_NOISE = re.compile(
    r"^ERROR:\s*|\[download\] Got error:\s*|;? ?please report this issue on .*|\(caused by .*\)",
    re.DOTALL,
)


def classify(
    error: Exception, last: Exception | None, silent: Exception | None, warnings: Iterable[str] = ()
) -> Exception:
    """The StageError for `error`; `error` itself if it is not a failure of the transfer (a bug, a full disk).

    last: the newest network error of this transfer (some errors of yt-dlp contain only its text). silent: the error of
    a body that began and then stalled. warnings: yt-dlp's last ones; the message keeps them.
    """
    found = _classify(error, last, silent)
    warned = "; ".join(warnings)
    if not isinstance(found, StageError) or not isinstance(error, YoutubeDLError):
        return found
    text = f"{found} (yt-dlp warned: {warned})" if warned else str(found)
    if found.error_class in _BY_SETUP and _SETUP.search(text):
        return SetupFault(found.error_class, text)
    return StageError(found.error_class, text, found.retry_after) if warned else found


def _classify(error: Exception, last: Exception | None, silent: Exception | None) -> Exception:
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, StageError):
            return link
        if isinstance(link, OSError) and link.errno in FULL_DISK:
            return link
    direct = [*_chain(error, context=False)]
    if last is not None and not any(isinstance(link, ExtractorError) for link in chain):
        direct += _chain(last)
    for link in [*direct, *chain]:
        if isinstance(link, BlockedAddress):
            return StageError("blocked", str(link))
    if not isinstance(error, YoutubeDLError):
        return _foreign(error)
    text = _text(error)
    for links in (direct, chain):
        if silent is not None and silent in links:
            return StageError("stalled", f"the server stopped sending in the middle of the file: {text}")
        for link in links:
            if found := _by_kind(link, text):
                return found
        if links is direct and (word := _by_words(chain)):
            return StageError(word, text)
    return StageError("unsupported", text)


def _foreign(error: Exception) -> Exception:
    """An exception that yt-dlp did not foresee: its extractor's, where that raised it; else it stays as it is."""
    if isinstance(error, MemoryError):
        return error
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours_or_theirs = [name.partition(".")[0] for name in modules if name.startswith(("interlink.", "yt_dlp"))]
    if not ours_or_theirs or not ours_or_theirs[-1].startswith("yt_dlp"):
        return error
    return StageError("unsupported", f"the extractor failed: {type(error).__name__}: {_text(error)}")


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
        plain = words.translate(_QUOTES)
        for name, pattern in _WORDS:
            if re.search(pattern, plain, re.IGNORECASE):
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
