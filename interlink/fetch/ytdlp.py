"""Fetches one media file from a URL with the library yt-dlp: a direct file, an HTML5 page, or any supported site.

Every request goes through `interlink.fetch.session`, which applies the rate limit, reports progress, counts bytes and
records errors. Costs about 0.1 core-seconds per transfer, and the bytes. It reads no configuration files and writes no
cookies. It may run ffmpeg (to merge local files of sites that separate video and sound) and the JavaScript runtime that
yt-dlp finds for sites that need one. A recipe cannot add other commands, and no program other than this one fetches.

The build calls it in a child process (interlink.fetch.child), which judges every connection.
"""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yt_dlp

from interlink.errors import StageError
from interlink.fetch.classify import classify
from interlink.fetch.local import Subtitle
from interlink.fetch.pacing import Pace
from interlink.fetch.session import MOST_TEXT_BYTES, Session, host_of
from interlink.fetch.transfers import Transfer
from interlink.redaction import redact_text
from interlink.subtitles.files import SUFFIXES
from interlink.text.languages import Label, distance, group_of, language_of, read_label

_UNSAFE = re.compile(r"[^\w.-]")  # in a file's name
_NO_MEDIA_TYPES = (
    "text/",
    "image/",
    "font/",
    "application/json",
    "application/pdf",
    "application/xml",
    "application/zip",
)
_INFO = {
    "id": "id",
    "extractor": "extractor",
    "uploader": "uploader",
    "channel_id": "channel_id",
    "license": "licence",
    "upload_date": "upload_date",
    "duration": "duration",
    "language": "language",
    "categories": "categories",
}


@dataclass(frozen=True)
class Wishes:
    """The request for a URL. most_bytes, most_seconds: limits. timeout: seconds for a socket to answer.

    languages: subtitle languages in order of preference. cookies: text of a Netscape cookie file. proxy: None = the
    environment's. cache: folder for data that videos of a site share. extra: further yt-dlp options, already checked.
    """

    max_height: int
    most_bytes: float
    most_seconds: float
    languages: tuple[str, ...]
    automatic_subtitles: bool
    timeout: float
    cookies: str
    proxy: str | None
    cache: Path
    extra: Mapping[str, Any]


@dataclass
class Fetched:
    """A finished file in the given folder, and the site's metadata.

    lost: messages about further content that could not be fetched.
    """

    file: Path
    title: str
    info: str  # JSON
    subtitles: list[Subtitle] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def prepare() -> None:
    """Does what the first transfer would do without progress: imports, and a pattern for each site. Costs a second."""
    with yt_dlp.YoutubeDL({"quiet": True, "no_warnings": True}) as session:
        for extractor in session._ies.values():
            extractor.suitable("https://example.org/")


def fetch(url: str, folder: Path, wishes: Wishes, transfer: Transfer, pacer: Pace) -> Fetched:
    """Fetches one media file into `folder` (empty, on a disk). Raises StageError.

    Makes one attempt; the executor retries network, throttled and stalled.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise StageError("unsupported", f"only http and https are fetched, not {url[:200]!r}")
    with Session(_options(folder, wishes), transfer, pacer, wishes.most_bytes) as session:
        try:
            return _fetch(url, folder, wishes, session)
        except StageError as error:
            raise _without(folder, error) from error
        except Exception as error:
            found = classify(error, session.last_error, session.silent_error, session.warnings)
            if isinstance(found, StageError):
                by_words = found.error_class in ("blocked", "throttled") and session.last_error is None
                if by_words:  # a status has already lowered the rate
                    pacer.refused(host_of(url))
                raise _without(folder, found) from error
            raise


def _fetch(url: str, folder: Path, wishes: Wishes, session: Session) -> Fetched:
    info, lost = _one_video(session.extract_info(url, download=False))
    _check(info, wishes, session)
    subtitles = _subtitles(info, folder, wishes, session, lost)
    session.received, session.most_bytes = 0, wishes.most_bytes  # the limit applies to the media file
    done = session.process_ie_result(info, download=True)
    files = [
        Path(entry["filepath"]) for entry in (done or {}).get("requested_downloads") or [] if entry.get("filepath")
    ]
    if not files or not files[0].is_file():
        raise StageError("no_media", "the site lists a video but sent none")
    with files[0].open("rb") as file:
        head = file.read(512).lstrip().lower()
    if not head or head.startswith((b"<!doctype html", b"<html")):
        raise StageError("no_media", "the file is empty" if not head else "a web page instead of a media file")
    kept = {ours: info[theirs] for theirs, ours in _INFO.items() if info.get(theirs) not in (None, "", [])}
    text = json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    title = redact_text(str(info.get("title") or ""), url)
    return Fetched(files[0], title, redact_text(text, url), subtitles, [redact_text(one, url) for one in lost])


def _one_video(info: dict[str, Any] | None) -> tuple[dict[str, Any], list[str]]:
    """The first video of a URL; the others are reported as lost."""
    lost: list[str] = []
    while info and info.get("_type") in ("playlist", "multi_video"):
        entries = [entry for entry in info.get("entries") or [] if entry]
        count = info.get("playlist_count") or len(entries)
        if count > 1:
            lost.append(f"the page has {count} videos; only the first was fetched")
        info = entries[0] if entries else None
    if not info:
        raise StageError("no_media", "the page has no video")
    return info, lost


def _check(info: dict[str, Any], wishes: Wishes, session: Session) -> None:
    status = info.get("live_status")
    if info.get("is_live") or status in ("is_live", "is_upcoming", "post_live"):
        raise StageError("unsupported", f"a live stream ({status or 'is_live'})")
    if (info.get("duration") or 0) > wishes.most_seconds:
        raise StageError("too_long", f"{info['duration']} s long, the recipe allows {wishes.most_seconds:g}")
    if all(chosen.get("vcodec") == "none" for chosen in info.get("requested_formats") or [info]):
        raise StageError("no_video", "the media has only sound")
    if info.get("ext") == "unknown_video":
        kind = session.content_types.get(info.get("url") or "", "")
        if kind.startswith(_NO_MEDIA_TYPES):
            raise StageError("no_media", f"the URL returns {kind}")


# -- subtitles --------------------------------------------------------------------------------------------------


def _subtitles(info: dict[str, Any], folder: Path, wishes: Wishes, session: Session, lost: list[str]) -> list[Subtitle]:
    """The wanted subtitle files, fetched before the media file so that a failure is cheap.

    An error that may pass fails the item, which is then retried; other errors are added to `lost`.
    """
    found: list[Subtitle] = []
    chosen = _choose(info.get("subtitles") or {}, wishes.languages, "subtitles")
    if wishes.automatic_subtitles:
        have = {language_of(code) for _, code, _ in chosen}
        automatic = _choose(info.get("automatic_captions") or {}, wishes.languages, "automatic")
        chosen += [entry for entry in automatic if language_of(entry[1]) not in have]
    for origin, language, track in chosen:
        name = f"{origin}.{_UNSAFE.sub('_', language)}.{track['ext']}"
        target = folder / name
        try:
            session.received, session.most_bytes = 0, MOST_TEXT_BYTES
            if track.get("data") is not None:
                target.write_text(track["data"], encoding="utf-8")
            else:
                track = {**track, "http_headers": track.get("http_headers") or info.get("http_headers")}
                session.dl(str(target), track, subtitle=True)
            found.append(Subtitle(name, _label(language).language, target.read_bytes()))
        except Exception as error:
            reason = classify(error, session.last_error, session.silent_error)
            if not isinstance(reason, StageError) or reason.error_class in ("throttled", "network", "stalled"):
                raise
            lost.append(f"{name}: {reason.error_class}")
    return found


def _choose(tracks: dict[str, Any], languages: tuple[str, ...], origin: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(origin, code, track) for each wanted language; prefers the original, then the plain code, then a region.

    Sites write codes as they like: `en-nP7-2PuUl7o` is an English track, `iw` is Hebrew.
    """
    usable = {
        code: next((t for suffix in SUFFIXES for t in formats or [] if f".{t.get('ext')}" == suffix), None)
        for code, formats in tracks.items()
        if not _label(code).never_speech
    }
    codes = sorted(code for code, track in usable.items() if track)
    picked: list[str] = []
    for wanted in languages:
        near = [code for code in codes if group_of(_label(code).language) == group_of(wanted)]
        near.sort(key=lambda code: _order(code, wanted))
        picked += [code for code in (f"{wanted}-orig", wanted, *near) if code in codes][:1]
    if not picked and languages and codes == ["und"]:  # the page states no language: its only track
        picked = codes
    return [(origin, code, track) for code in dict.fromkeys(picked) if (track := usable[code])]


def _order(code: str, wanted: str) -> tuple[bool, bool, bool, int, str]:
    """Full subtitles before forced ones, the language itself before its siblings, codes before names, the nearest."""
    label, tag = _label(code), code.replace("_", "-").casefold()
    own, named = language_of(label.language), len(tag.split("-")[0]) > 3
    apart = distance(wanted, label.language) if "-" in wanted else 0
    return bool(label.incomplete), own != language_of(wanted), named, apart, code


def _label(code: str) -> Label:
    """The language and kinds of a site's code; an unknown code is its own language."""
    return read_label(f".{code}") or Label(code)


# -- options ----------------------------------------------------------------------------------------------------


def _options(folder: Path, wishes: Wishes) -> dict[str, Any]:
    options: dict[str, Any] = {
        "format": "bv*+ba/b/bv*",
        "format_sort": [f"res:{wishes.max_height}", "vcodec:h264", "acodec:aac", "ext:mp4:m4a"],
        **wishes.extra,
        "outtmpl": {"default": str(folder / "media.%(ext)s")},
        "cachedir": str(wishes.cache),
        "quiet": True,
        "color": "never",
        "no_warnings": True,
        "noprogress": True,
        "noplaylist": True,
        "playlist_items": "1",
        "continuedl": False,
        "retries": 0,
        "extractor_retries": 0,
        "file_access_retries": 0,
        "fragment_retries": 1,
        "skip_unavailable_fragments": False,  # a file with a gap is unusable
        "socket_timeout": wishes.timeout,
        "geo_bypass": False,  # it would forge the client's address
        "fixup": "never",
        "merge_output_format": "mp4/mkv",
        "ffmpeg_location": _ffmpeg(),
        "external_downloader": {"default": "native"},
    }
    if wishes.cookies:
        options["cookiefile"] = io.StringIO(
            wishes.cookies
        )  # a copy, because yt-dlp writes the cookies back when it closes
    if wishes.proxy is not None:
        options["proxy"] = wishes.proxy
    return options


def _ffmpeg() -> str:
    if found := shutil.which("ffmpeg"):
        return found
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _without(folder: Path, error: StageError) -> StageError:
    """The same error, with local paths removed from its message."""
    return type(error)(error.error_class, str(error).replace(f"{folder}/", ""), error.retry_after)
