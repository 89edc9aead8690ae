"""Parses the entries of a source list: a path, a URL, or a site's id of a video. Costs nothing.

YouTube has a dozen forms of URLs for one video. All of them become one canonical URL and one 11-character id, so that
a list of ids and a list of URLs of the same videos are the same source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

YOUTUBE_TEMPLATE = "https://www.youtube.com/watch?v={id}"
YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")
SITE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

_YOUTUBE_HOSTS = {"youtube.com", "m.youtube.com", "music.youtube.com", "youtube-nocookie.com"}
_YOUTUBE_FOLDERS = {"embed", "shorts", "live", "v", "e", "vi"}
_SITES = {*_YOUTUBE_HOSTS, "youtu.be", "vimeo.com", "dailymotion.com", "dai.ly"}
# Endings of hosts by which an address without a scheme is known. File names do not end so before a slash.
_TOPS = {"com", "org", "net", "edu", "gov", "info", "io", "tv", "co", "be", "de", "fr", "uk", "jp", "cn", "ru", "eu"}
_HOST = re.compile(r"(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}(?::\d+)?")
_ESCAPED = re.compile(r"https?%3a%2f%2f\S+", re.IGNORECASE)
_MIRRORS_BY_ID = {"howto100m.inria.fr"}  # hosts with files named by the YouTube id


@dataclass(frozen=True)
class Address:
    """A URL to fetch. video_id: the site's id, or empty. stem: a readable name."""

    url: str
    video_id: str
    stem: str


def parse_url(text: str) -> Address | None:
    """The address in `text`, normalised (lower-case scheme and host, no fragment); None if it is not a usable URL."""
    try:
        parts = urlsplit(text.strip())
        host = parts.hostname or ""
        _ = parts.port  # a property that raises if the port is not a number
    except ValueError:
        return None
    if not parts.scheme or not host or re.search(r"\s", text.strip()):
        return None
    user, at, place = parts.netloc.rpartition("@")
    url = urlunsplit((parts.scheme.lower(), user + at + place.lower(), parts.path, parts.query, ""))
    stem = PurePosixPath(unquote(parts.path)).stem or host
    if video_id := _youtube_id(host, parts.path, parts.query):
        return Address(YOUTUBE_TEMPLATE.format(id=video_id), video_id, stem)
    if host in _MIRRORS_BY_ID and YOUTUBE_ID.fullmatch(stem):
        return Address(url, stem, stem)
    return Address(url, "", stem)


def completed(entry: str) -> str:
    """An entry as an address with a scheme, if it is one as pages and tables write it; else without quotation marks.

    `youtu.be/ID`, `www.youtube.com/watch?v=ID`, `//host/path` (a page's own scheme), a percent-escaped URL, `&amp;`,
    and quotation marks or angle brackets around it.
    """
    text = entry.strip()
    if len(text) > 2 and text[0] + text[-1] in ('""', "''", "<>"):
        text = text[1:-1].strip()
    if _ESCAPED.fullmatch(text):
        text = unquote(text)
    if text.startswith("//") and _HOST.fullmatch(text[2:].partition("/")[0]):
        text = f"https:{text}"
    elif "://" not in text and _is_host(*text.partition("/")[::2]):
        text = f"https://{text}"
    return text.replace("&amp;", "&") if "://" in text else text


def _is_host(first: str, rest: str) -> bool:
    """Whether the part of an entry before its first slash is a host."""
    if not _HOST.fullmatch(first) or not rest:
        return False
    host = first.partition(":")[0].casefold()
    return host.startswith("www.") or host.removeprefix("m.") in _SITES or host.rpartition(".")[2] in _TOPS


def _youtube_id(host: str, path: str, query: str) -> str:
    host = host.removeprefix("www.")
    folders = [part for part in path.split("/") if part]
    candidate = ""
    if host == "youtu.be" and folders:
        candidate = folders[0]
    elif host in _YOUTUBE_HOSTS and folders:
        if folders[0] == "watch":
            candidate = parse_qs(query).get("v", [""])[0]
        elif folders[0] in _YOUTUBE_FOLDERS and len(folders) > 1:
            candidate = folders[1]
    return candidate if YOUTUBE_ID.fullmatch(candidate) else ""
