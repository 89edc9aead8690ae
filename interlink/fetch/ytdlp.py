"""One URL to one media file, by yt-dlp as a library: a direct file, an HTML5 page, or any site it knows.

Every request goes through `Session.urlopen`: there the host's pace is kept, progress is reported, bytes are counted and
errors are remembered. Costs about 0.1 s of a core a transfer, and the bytes. No configuration files are read and no
cookies written; the commands it may run are ffmpeg (merges video with sound where a site keeps them apart) and the
JavaScript runtime that yt-dlp finds by itself for sites that need one. A recipe cannot name others.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yt_dlp
from yt_dlp.networking.exceptions import HTTPError, RequestError, TransportError

from interlink.errors import StageError
from interlink.fetch.classify import classify, is_refusal, retry_after
from interlink.fetch.local import Subtitle
from interlink.fetch.pacing import Pacer
from interlink.fetch.transfers import Transfer
from interlink.subtitles.files import SUFFIXES

_READ_BYTES = 1 << 16  # at most at once: a slower trickle than this in stall_seconds counts as standing still
_MOST_PAGE_BYTES = 64 << 20
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
    """What is wanted of a URL. most_bytes, most_seconds: refused beyond. timeout: seconds for a socket to answer.

    languages: subtitle languages in order of preference. cookies: text of a Netscape cookie file. proxy: None takes the
    environment's. cache: folder for what sites have in common between videos. extra: further yt-dlp options, vetted.
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
    """A finished file in the given folder, and what the site says of it.

    lost: what else was there and could not be had.
    """

    file: Path
    title: str
    info: str  # JSON
    subtitles: list[Subtitle] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


class Session(yt_dlp.YoutubeDL):  # type: ignore[misc]  # yt-dlp is not typed for us
    """A YoutubeDL of one transfer: paced, watched, counted."""

    def __init__(self, options: dict[str, Any], transfer: Transfer, pacer: Pacer, most_bytes: float) -> None:
        self.transfer = transfer
        self.pacer = pacer
        self.most_bytes = most_bytes
        self.received = 0  # bytes of all answers
        self.content_types: dict[str, str] = {}
        self.last_error: Exception | None = None
        self.silent_error: Exception | None = None
        super().__init__(options)

    def urlopen(self, req: Any) -> Any:
        url = req if isinstance(req, str) else req.url
        host = urlsplit(url).netloc.rpartition("@")[2].lower()
        self.transfer.progress()
        self.pacer.wait(host, self.transfer.sleep)
        try:
            response = super().urlopen(req)
        except HTTPError as error:
            self.last_error = error
            if is_refusal(error):
                self.pacer.refused(host, retry_after(error))
            raise
        except RequestError as error:
            self.last_error = error
            raise
        self.pacer.answered(host)
        self.transfer.progress()
        self.content_types[response.url] = (response.headers.get("Content-Type") or "").lower()
        announced = response.headers.get("Content-Length") or ""
        if announced.isdigit():
            self._count(0, announced=int(announced))
        self._watch(response)
        return response

    def _count(self, size: int, announced: int = 0) -> None:
        self.received += size
        if self.received + announced > self.most_bytes:
            raise StageError("too_large", f"more than the {self.most_bytes:.0f} bytes that the recipe allows")

    def _watch(self, response: Any) -> None:
        """Makes each read of the answer's body report progress, count, and remember how it failed."""
        read = response.read

        def watched(size: int) -> bytes:
            try:
                data: bytes = read(min(size, _READ_BYTES))
            except TransportError as error:
                self.last_error = error
                if _is_timeout(error):
                    self.silent_error = error
                raise
            self.transfer.progress()
            self._count(len(data))
            return data

        def watched_read(size: int | None = None) -> bytes:
            if size is not None and size >= 0:
                return watched(size)
            blocks, total = [], 0
            while block := watched(_READ_BYTES):
                blocks.append(block)
                total += len(block)
                if total > _MOST_PAGE_BYTES:
                    raise StageError("no_media", f"a page of more than {_MOST_PAGE_BYTES} bytes")
            return b"".join(blocks)

        response.read = watched_read


class _Silent:
    """yt-dlp's logger: what matters comes back as an exception."""

    def debug(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...


def fetch(url: str, folder: Path, wishes: Wishes, transfer: Transfer, pacer: Pacer) -> Fetched:
    """Fetches one medium into `folder` (empty, on a disk). StageError with the class of what went wrong.

    One attempt: what may work later (network, throttled, stalled) is the executor's to try again.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise StageError("unsupported", f"only http and https are fetched, not {url[:200]!r}")
    with Session(_options(folder, wishes), transfer, pacer, wishes.most_bytes) as session:
        try:
            return _fetch(url, folder, wishes, session)
        except StageError as error:
            raise _without(folder, error) from error
        except Exception as error:
            found = classify(error, session.last_error, session.silent_error)
            if isinstance(found, StageError):
                by_words = found.error_class in ("blocked", "throttled") and session.last_error is None
                if by_words:  # a status would have slowed the pace already
                    pacer.refused(urlsplit(url).netloc.rpartition("@")[2].lower())
                raise _without(folder, found) from error
            raise


def _fetch(url: str, folder: Path, wishes: Wishes, session: Session) -> Fetched:
    info, lost = _one_video(session.extract_info(url, download=False))
    _check(info, wishes, session)
    subtitles = _subtitles(info, folder, wishes, session, lost)
    session.received = 0  # the limit is on the medium
    done = session.process_ie_result(info, download=True)
    files = [
        Path(entry["filepath"]) for entry in (done or {}).get("requested_downloads") or [] if entry.get("filepath")
    ]
    if not files or not files[0].is_file():
        raise StageError("no_media", "the site offered a video and gave none")
    with files[0].open("rb") as file:
        head = file.read(512).lstrip().lower()
    if not head or head.startswith((b"<!doctype html", b"<html")):
        raise StageError("no_media", "the file is empty" if not head else "a web page where the medium should be")
    kept = {ours: info[theirs] for theirs, ours in _INFO.items() if info.get(theirs) not in (None, "", [])}
    text = json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return Fetched(files[0], str(info.get("title") or ""), text, subtitles, lost)


def _one_video(info: dict[str, Any] | None) -> tuple[dict[str, Any], list[str]]:
    """The first video of what a URL holds; the others are listed as lost."""
    lost: list[str] = []
    while info and info.get("_type") in ("playlist", "multi_video"):
        entries = [entry for entry in info.get("entries") or [] if entry]
        count = info.get("playlist_count") or len(entries)
        if count > 1:
            lost.append(f"the page holds {count} videos, the first was taken")
        info = entries[0] if entries else None
    if not info:
        raise StageError("no_media", "no video there")
    return info, lost


def _check(info: dict[str, Any], wishes: Wishes, session: Session) -> None:
    status = info.get("live_status")
    if info.get("is_live") or status in ("is_live", "is_upcoming", "post_live"):
        raise StageError("unsupported", f"a live stream ({status or 'is_live'})")
    if (info.get("duration") or 0) > wishes.most_seconds:
        raise StageError("too_long", f"{info['duration']} s long, the recipe allows {wishes.most_seconds:g}")
    if all(chosen.get("vcodec") == "none" for chosen in info.get("requested_formats") or [info]):
        raise StageError("no_video", "only sound there")
    if info.get("ext") == "unknown_video":
        kind = session.content_types.get(info.get("url") or "", "")
        if kind.startswith(_NO_MEDIA_TYPES):
            raise StageError("no_media", f"the URL gives {kind}")


# -- subtitles --------------------------------------------------------------------------------------------------


def _subtitles(info: dict[str, Any], folder: Path, wishes: Wishes, session: Session, lost: list[str]) -> list[Subtitle]:
    """The wanted subtitle files, fetched before the medium so that a failure is cheap.

    One that may work later fails the item, which is then tried again; another is noted in `lost`.
    """
    found: list[Subtitle] = []
    chosen = _choose(info.get("subtitles") or {}, wishes.languages, "subtitles")
    if wishes.automatic_subtitles:
        have = {code.split("-")[0] for _, code, _ in chosen}
        automatic = _choose(info.get("automatic_captions") or {}, wishes.languages, "automatic")
        chosen += [entry for entry in automatic if entry[1].split("-")[0] not in have]
    for origin, language, track in chosen:
        name = f"{origin}.{language}.{track['ext']}"
        target = folder / name
        try:
            if track.get("data") is not None:
                target.write_text(track["data"], encoding="utf-8")
            else:
                track = {**track, "http_headers": track.get("http_headers") or info.get("http_headers")}
                session.dl(str(target), track, subtitle=True)
            found.append(Subtitle(name, "" if language == "und" else language, target.read_bytes()))
        except StageError:
            raise
        except Exception as error:
            reason = classify(error, session.last_error, session.silent_error)
            if not isinstance(reason, StageError) or reason.error_class in ("throttled", "network", "stalled"):
                raise
            lost.append(f"{name}: {reason.error_class}")
    return found


def _choose(tracks: dict[str, Any], languages: tuple[str, ...], origin: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(origin, language, track) for each wanted language: the original before the plain code before a regional one."""
    usable = {
        language: next((t for suffix in SUFFIXES for t in formats or [] if f".{t.get('ext')}" == suffix), None)
        for language, formats in tracks.items()
        if language != "live_chat"
    }
    codes = sorted(code for code, track in usable.items() if track)
    picked: list[str] = []
    for wanted in languages:
        ranked = [f"{wanted}-orig", wanted, *(code for code in codes if code.startswith(f"{wanted}-"))]
        picked += [code for code in ranked if code in codes][:1]
    if not picked and languages and codes == ["und"]:  # a page that does not say: its only track
        picked = codes
    return [(origin, code, track) for code in dict.fromkeys(picked) if (track := usable[code])]


# -- options ----------------------------------------------------------------------------------------------------


def _options(folder: Path, wishes: Wishes) -> dict[str, Any]:
    options: dict[str, Any] = {
        "format": "bv*+ba/b/bv*",
        "format_sort": [f"res:{wishes.max_height}", "vcodec:h264", "acodec:aac", "ext:mp4:m4a"],
        **wishes.extra,
        "outtmpl": {"default": str(folder / "media.%(ext)s")},
        "cachedir": str(wishes.cache),
        "logger": _Silent(),
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
        "skip_unavailable_fragments": False,  # a medium with a hole is no medium
        "socket_timeout": wishes.timeout,
        "geo_bypass": False,  # it would forge the address we come from
        "fixup": "never",
        "merge_output_format": "mp4/mkv",
        "ffmpeg_location": _ffmpeg(),
    }
    if wishes.cookies:
        options["cookiefile"] = io.StringIO(wishes.cookies)  # a copy: yt-dlp writes the jar back when it closes
    if wishes.proxy is not None:
        options["proxy"] = wishes.proxy
    return options


def _ffmpeg() -> str:
    if found := shutil.which("ffmpeg"):
        return found
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _is_timeout(error: BaseException | None) -> bool:
    depth = 0
    while error is not None and depth < 8:
        if isinstance(error, TimeoutError) or "timed out" in str(error).lower():
            return True
        error, depth = error.__cause__ or error.__context__, depth + 1
    return False


def _without(folder: Path, error: StageError) -> StageError:
    """The same error, its message free of this machine's paths."""
    return StageError(error.error_class, str(error).replace(f"{folder}/", ""), error.retry_after)
