"""A web server on loopback that behaves well and badly on request; for tests of downloading, with real sockets.

`/clip.mp4` and `PAGES` work; `/status/N` answers N; the other names in `_Handler` misbehave as they are called.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

VTT = "WEBVTT\n\n00:00.000 --> 00:01.000\nstir the pot\n"

PAGES = {
    "/page.html": '<html><title>Stir</title><video><source src="/clip.mp4" type="video/mp4"></video></html>',
    "/captioned.html": (
        '<html><title>Stir</title><video src="/clip.mp4">'
        '<track kind="subtitles" src="/en.vtt" srclang="en"><track kind="subtitles" src="/ko.vtt" srclang="ko">'
        "</video></html>"
    ),
    "/lost_captions.html": (
        '<html><title>S</title><video src="/clip.mp4">'
        '<track kind="subtitles" src="/status/404.vtt" srclang="en"></video></html>'
    ),
    "/throttled_captions.html": (
        '<html><title>S</title><video src="/clip.mp4">'
        '<track kind="subtitles" src="/status/429.vtt" srclang="en"></video></html>'
    ),
    "/two.html": '<html><title>Two</title><video src="/clip.mp4"></video><video src="/clip.mp4?second"></video></html>',
    "/broken.html": '<html><title>Broken</title><video src="/status/404.mp4"></video></html>',
    "/plain.html": "<html><title>A recipe</title><p>No film here.</p></html>",
    "/live.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:2,\nsegment7.ts\n",
    "/vod.m3u8": (
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nclip.mp4\n#EXTINF:9,\nstatus/404.ts\n#EXT-X-ENDLIST\n"
    ),
}
_TYPES = {"html": "text/html", "vtt": "text/vtt", "m3u8": "application/vnd.apple.mpegurl"}


class MediaServer:
    """Serves `clip` (bytes of a medium) while it is entered. `hits` counts requests by path; `url(path)` names one."""

    def __init__(self, clip: bytes) -> None:
        self.clip = clip
        self.hits: Counter[str] = Counter()
        self.stop_misbehaving = threading.Event()  # ends silences and makes the throttled ones yield
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.media = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def __enter__(self) -> MediaServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_misbehaving.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None: ...

    def _answer(self, status: int, body: bytes, kind: str, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        self.close_connection = True

    def do_GET(self) -> None:
        try:
            self._respond()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _respond(self) -> None:
        media: MediaServer = self.server.media  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        path, query = parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}
        media.hits[path] += 1
        clip = media.clip
        if path in PAGES:
            self._answer(200, PAGES[path].encode(), _TYPES[path.rpartition(".")[2]])
        elif path == "/clip.mp4":
            self._answer(200, clip, "video/mp4")
        elif path in ("/en.vtt", "/ko.vtt"):
            self._answer(200, VTT.encode(), "text/vtt")
        elif path.startswith("/status/"):
            status = int(path.removeprefix("/status/")[:3])
            headers = {"Retry_After": query["after"]} if "after" in query else {}
            self._answer(status, b"<html>no</html>", "text/html", **headers)
        elif path == "/members.mp4":
            if "pass=in" in (self.headers.get("Cookie") or ""):
                self._answer(200, clip, "video/mp4")
            else:
                self._answer(403, b"", "text/html")
        elif path == "/throttled.mp4":  # until told otherwise
            if media.stop_misbehaving.is_set():
                self._answer(200, clip, "video/mp4")
            else:
                self._answer(429, b"", "text/html", Retry_After=query.get("after", "1"))
        elif path == "/truncated.mp4":
            self._answer(200, clip[: len(clip) // 2], "video/mp4", length=len(clip))
        elif path == "/stall.mp4":
            self._answer(200, clip[: len(clip) // 2], "video/mp4", length=len(clip))
            media.stop_misbehaving.wait(30)
        elif path == "/trickle.mp4":
            self._answer(200, b"", "video/mp4", length=len(clip))
            for offset in range(len(clip)):
                self.wfile.write(clip[offset : offset + 1])
                if media.stop_misbehaving.wait(0.05):
                    return
        elif path == "/unanswered.mp4":
            media.stop_misbehaving.wait(30)
            self.close_connection = True
        elif path == "/reset.mp4":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif path == "/loop.mp4":
            self._answer(302, b"", "text/html", Location="/loop.mp4")
        elif path == "/moved_signed.mp4":
            self._answer(302, b"", "text/html", Location=parts.query.partition("=")[2])
        elif path == "/moved.mp4":
            self._answer(302, b"", "text/html", Location="/clip.mp4")
        elif path == "/unannounced.mp4":  # its end is the end of the connection
            self.send_response(200)
            self.send_header("Content-Type", "video/mp4")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(clip)
            self.close_connection = True
        elif path == "/empty.mp4":
            self._answer(200, b"", "video/mp4")
        elif path == "/page_as_clip.mp4":
            self._answer(200, b"<!DOCTYPE html><p>Please log in", "video/mp4")
        elif path == "/notes.txt":
            self._answer(200, b"stir, then wait", "text/plain")
        elif path == "/song.mp3":
            self._answer(200, clip, "audio/mpeg")
        else:
            self._answer(404, b"<html>no</html>", "text/html")
