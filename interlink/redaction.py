"""Removes secrets from URLs, from text that contains URLs, and from the plain data of a recipe.

The full URLs of a source live in its generations only, and are read by `download`. Tables, messages, shards and
releases hold them as `redact_url` leaves them: without user name, password, signatures and tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

REDACTED = "<redacted>"  # stands in a lock for a value that is not stored

# Words in names of parameters, headers and options that hold a secret.
_SECRET = re.compile(
    r"(?:^|[-_])sig|signature|signed|token|auth(?!ors?(?:[-_]|$))|secret|passw|pwd|passphrase|credential|session|cookie|jwt|bearer|"
    r"api.?key|access.?key|private|(?:^|[-_])key$|key.?pair|key.?id$|policy|hmac|^hdne|^hdnts|^hash$|^md5$|^otp$|ticket|"
    r"^x-(?:amz|goog|oss|cos|ms)-|^(?:code|nonce|expires?|exp)$|visitor",
    re.IGNORECASE,
)
_JWT = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*")
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s<>\"'`\\]+")
_SHORTEST = 6  # characters of a secret that is searched for in text outside of a URL


def redact_url(url: str) -> str:
    """The URL without user info, fragment, and parameters whose names or values say that they are secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return REDACTED
    query = "&".join(piece for piece in re.split("[&;]", parts.query) if piece and not _is_secret(piece))
    path = re.sub(r";[^/]*", _matrix, _JWT.sub(REDACTED, parts.path))
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, query, ""))


def redact_text(text: str, url: str = "") -> str:
    """The text with every URL in it redacted, and the secrets of `url` wherever they stand."""
    text = _URL.sub(lambda found: redact_url(found[0]), text)
    for secret in sorted(secrets_of(url), key=len, reverse=True) if url else ():
        text = text.replace(secret, REDACTED)
    return _JWT.sub(REDACTED, text)


def secrets_of(url: str) -> set[str]:
    """The values that `redact_url` removes, as they stand in the URL and decoded; short ones are left out."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return set()
    found = set(parts.netloc.rpartition("@")[0].split(":"))
    for piece in re.split("[&;]", f"{parts.query};{parts.path.partition(';')[2]}"):
        if _is_secret(piece):
            found |= {piece.partition("=")[2], *(value for _, value in parse_qsl(piece))}
    return {form for value in found for form in (value, unquote(value)) if len(form) >= _SHORTEST}


def has_user_info(url: str) -> bool:
    """Whether a URL holds a user name or a password."""
    try:
        return "@" in urlsplit(url).netloc
    except ValueError:
        return "@" in url.partition("://")[2].partition("/")[0]


def redact_data(data: Any) -> Any:
    """Plain data of a recipe: user info of URLs, and headers and options that name a secret, become REDACTED."""
    if isinstance(data, Mapping):
        return {name: _redact_entry(str(name), value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [redact_data(value) for value in data]
    if isinstance(data, str) and has_user_info(data):
        parts = urlsplit(data)
        return urlunsplit(parts._replace(netloc=f"{REDACTED}@{parts.netloc.rpartition('@')[2]}"))
    return data


def redacted_keys(data: Any, prefix: str = "") -> Iterator[str]:
    """The dotted keys of the values that a lock did not store."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            yield from redacted_keys(value, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(data, list | tuple):
        for value in data:
            yield from redacted_keys(value, prefix)
    elif isinstance(data, str) and REDACTED in data:
        yield prefix


_FREE = ("http_headers", "extractor_args")  # dictionaries with names that a user chooses


def _redact_entry(name: str, value: Any) -> Any:
    if name in _FREE:
        return _redact_named(value)
    return redact_data(value)


def _redact_named(value: Any) -> Any:
    """Like redact_data, where names decide too: headers and options that may hold anything."""
    if isinstance(value, Mapping):
        return {
            name: REDACTED if _SECRET.search(str(name)) and not isinstance(inner, Mapping) else _redact_named(inner)
            for name, inner in value.items()
        }
    return redact_data(value)


def _is_secret(piece: str) -> bool:
    name, _, value = piece.partition("=")
    plain = unquote(unquote(value))  # a URL in a URL may be quoted twice
    nested = re.findall(r"[?&;#]([^=?&;#]+)=", plain)
    return bool(any(map(_SECRET.search, [unquote(name), *nested])) or _JWT.search(plain) or has_user_info(plain))


def _matrix(found: re.Match[str]) -> str:
    pieces = [piece for piece in found[0].split(";") if piece and not _is_secret(piece)]
    return "".join(f";{piece}" for piece in pieces)
