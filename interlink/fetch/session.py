"""yt-dlp for one transfer: every request is paced, counted and watched, and no other program fetches."""

from __future__ import annotations

from collections import deque
from typing import Any
from urllib.parse import urlsplit

import yt_dlp
from yt_dlp.downloader import get_suitable_downloader
from yt_dlp.downloader.external import ExternalFD
from yt_dlp.downloader.rtmp import RtmpFD
from yt_dlp.networking.exceptions import HTTPError, RequestError, TransportError
from yt_dlp.postprocessor.ffmpeg import FFmpegPostProcessor

from interlink.containers import FORMATS
from interlink.errors import StageError
from interlink.fetch import merge
from interlink.fetch.classify import is_refusal, retry_after
from interlink.fetch.pacing import Pace
from interlink.fetch.transfers import Transfer

_READ_BYTES = 1 << 16  # most bytes per read: a transfer slower than this per stall_seconds counts as stalled
MOST_PAGE_BYTES = 4_000_000  # of a web page
MOST_TEXT_BYTES = 16_000_000  # of a playlist, a subtitle file or another text that is read whole
_LONGEST_HOST = 255  # characters
_PYTHON_HANDLERS = ("Urllib", "Requests", "Websockets")  # those that use Python's sockets, where connections are judged
_WARNINGS = 3  # the last ones of yt-dlp that a message keeps


class Session(yt_dlp.YoutubeDL):  # type: ignore[misc]  # yt-dlp has no types
    """A YoutubeDL for one transfer, with rate limit, progress and byte count."""

    def __init__(self, options: dict[str, Any], transfer: Transfer, pacer: Pace, most_bytes: float) -> None:
        self.transfer = transfer
        self.pacer = pacer
        self.most_bytes = most_bytes
        self.received = 0  # bytes of all responses
        self.content_types: dict[str, str] = {}
        self.last_error: Exception | None = None
        self.silent_error: Exception | None = None
        self.warnings: deque[str] = deque(maxlen=_WARNINGS)
        super().__init__({**options, "logger": _Logger(self.warnings)})
        # yt-dlp would ask ffprobe, or ffmpeg, about a file without limits on formats. The mp4 muxer needs no answer.
        self.params["postprocessor_args"] = {"ffmpeg_i": ["-protocol_whitelist", "file", "-format_whitelist", FORMATS]}

    def urlopen(self, req: Any) -> Any:
        url = req if isinstance(req, str) else req.url
        host = host_of(url)
        self.transfer.progress()
        self.pacer.wait(host, self.transfer)
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

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        """Without handlers whose connections Python does not see (libcurl)."""
        return super().build_request_director([one for one in handlers if one.RH_KEY in _PYTHON_HANDLERS], preferences)

    def dl(self, name: str, info: dict[str, Any], subtitle: bool = False, test: bool = False) -> Any:
        """Downloads with yt-dlp's own downloaders only: other programs would ignore pace, limits and the guard."""
        if info.get("url"):
            loader = get_suitable_downloader(info, self.params, to_stdout=False)
            if loader is None or issubclass(loader, ExternalFD | RtmpFD):
                raise StageError("unsupported", f"only another program could fetch it ({info.get('protocol')})")
        return super().dl(name, info, subtitle=subtitle, test=test)

    def _count(self, size: int, announced: int = 0) -> None:
        self.received += size
        if self.received + announced > self.most_bytes:
            raise StageError("too_large", f"more than {self.most_bytes:.0f} bytes, the limit of the recipe")

    def _watch(self, response: Any) -> None:
        """Wraps the reads of a response body: they report progress, count bytes and record errors."""
        read = response.read
        is_page = "html" in self.content_types[response.url]

        def watched(size: int) -> bytes:
            try:
                data: bytes = read(min(size, _READ_BYTES))
            except TransportError as error:
                self.last_error = error
                if is_timeout(error):
                    self.silent_error = error
                raise
            self.transfer.progress()
            self._count(len(data))
            return data

        def watched_read(size: int | None = None) -> bytes:
            if size is not None and size >= 0:
                return watched(size)
            blocks: list[bytes] = []
            total, most = 0, MOST_TEXT_BYTES
            while block := watched(_READ_BYTES):
                if not blocks and (is_page or block.lstrip()[:1] == b"<"):
                    most = MOST_PAGE_BYTES
                blocks.append(block)
                total += len(block)
                if total > most:
                    raise StageError("too_large", f"a page of more than {most} bytes")
            return b"".join(blocks)

        response.read = watched_read


class _Logger:
    """Keeps the last warnings of yt-dlp; errors are raised as exceptions."""

    def __init__(self, warnings: deque[str]) -> None:
        self._warnings = warnings

    def debug(self, message: str) -> None: ...

    def warning(self, message: str) -> None:
        if "Falling back on generic" not in message:  # said of every page outside the known sites
            self._warnings.append(" ".join(message.split())[:200])

    def error(self, message: str) -> None: ...


def _no_program(self: ExternalFD, filename: str, info: dict[str, Any]) -> bool:
    raise StageError("unsupported", "only another program could fetch it, and those ignore the limits")


# Its own downloaders hand some streams over to ffmpeg. Merging is the only use of ffmpeg here, on local files.
merge.install()
ExternalFD.real_download = _no_program
FFmpegPostProcessor.get_audio_codec = lambda self, path: None


def host_of(url: str) -> str:
    """The name under which requests to a URL are paced."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()[:_LONGEST_HOST]


def is_timeout(error: BaseException | None) -> bool:
    depth = 0
    while error is not None and depth < 8:
        if isinstance(error, TimeoutError) or "timed out" in str(error).lower():
            return True
        error, depth = error.__cause__ or error.__context__, depth + 1
    return False
