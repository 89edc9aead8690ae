"""A hostile site on loopback for tests of fetching, with a canary: a second server that nothing may ever ask.

`SITE` maps each path to the outcome that its item must have. Everything points at the canary where it can.
"""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

SECRET = "canary-secret"  # the text of the canary's answers
BURNING = "/burn.html"  # a page that keeps one of yt-dlp's regular expressions busy for minutes

# Paths of the site -> ok, partial, or the class of the failure.
SITE: dict[str, str] = {
    "/clip.mp4": "ok",
    "/moved.mp4": "ok",
    "/page.html": "ok",
    "/evil_name.mp4": "ok",
    "/evil_title.html": "ok",
    "/encrypted.m3u8": "ok",
    "/many_headers.mp4": "network",
    # internal addresses
    "/to_canary.mp4": "blocked",
    "/to_canary_twice.mp4": "blocked",
    "/to_name.mp4": "blocked",
    "/to_decimal.mp4": "blocked",
    "/to_short.mp4": "blocked",
    "/to_ipv6.mp4": "blocked",
    "/to_mapped.mp4": "blocked",
    "/to_metadata.mp4": "blocked",
    "/to_user.mp4": "blocked",
    "/video_canary.html": "blocked",
    "/og_canary.html": "blocked",
    "/ld_canary.html": "blocked",
    "/refresh_canary.html": "blocked",
    "/master_canary.m3u8": "blocked",
    "/segment_canary.m3u8": "blocked",
    "/key_canary.m3u8": "blocked",
    "/map_canary.m3u8": "blocked",
    "/dash_canary.mpd": "blocked",
    "/iframe_canary.html": "no_media",
    "/track_canary.html": "partial",
    "/track_outside.html": "ok",
    "/to_file.mp4": "unsupported",
    "/to_ftp.mp4": "unsupported",
    "/to_data.mp4": "unsupported",
    # other programs
    "/rtmp.html": "unsupported",
    "/mms.html": "no_media",
    "/sample_aes.m3u8": "unsupported",
    "/live.m3u8": "unsupported",
    # too much
    "/big.mp4": "too_large",
    "/big_unannounced.mp4": "too_large",
    "/big_page.html": "too_large",
    "/bomb.html": "too_large",
    "/endless.html": "too_large",
    "/long.html": "too_long",
    # nothing there
    "/empty.mp4": "no_media",
    "/page_as_clip.mp4": "no_media",
    "/notes.txt": "no_media",
    "/plain.html": "no_media",
    "/self_iframe.html": "no_media",
    "/laughs.mpd": "no_media",
    "/deep.html": "no_media",
    "/loop.mp4": "no_media",
    "/chain/0.mp4": "no_media",
    # broken connections
    "/truncated.mp4": "network",
    "/reset.mp4": "network",
    "/bad_chunks.mp4": "network",
    "/no_http.mp4": "network",
    "/stall.mp4": "stalled",
    "/trickle.mp4": "stalled",
    "/unanswered.mp4": "network",
    **{f"/status/{status}.mp4": name for status, name in {
        400: "blocked", 401: "blocked", 402: "blocked", 403: "blocked", 404: "gone", 405: "blocked", 408: "network",
        410: "gone", 416: "network", 421: "network", 425: "network", 429: "throttled", 451: "blocked", 500: "network",
        502: "network", 503: "throttled", 504: "network", 509: "throttled", 529: "throttled", 999: "blocked",
    }.items()},
}  # fmt: skip


class Hostile:
    """The site and its canary while it is entered. clip: bytes of a medium. hits: requests by path."""

    def __init__(self, clip: bytes) -> None:
        self.clip = clip
        self.hits: Counter[str] = Counter()
        self.canary_hits: list[str] = []
        self.stop = threading.Event()
        self._servers = [self._serve(_Site), self._serve(_Canary)]

    def _serve(self, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        server.hostile = self  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._servers[0].server_address[1]}"

    @property
    def canary_port(self) -> int:
        return int(self._servers[1].server_address[1])

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"

    def canary(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.canary_port}{path}"

    def __enter__(self) -> Hostile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()


class _Canary(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None: ...

    def do_GET(self) -> None:
        self.server.hostile.canary_hits.append(self.path)  # type: ignore[attr-defined]
        body = f"WEBVTT\n\n00:00.000 --> 00:01.000\n{SECRET}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_POST = do_GET


def _html(body: str, head: str = "<title>Stir</title>") -> bytes:
    return f"<!DOCTYPE html><html><head>{head}</head><body>{body}</body></html>".encode()


def _pages(site: Hostile) -> dict[str, Callable[[], bytes]]:
    canary = site.canary
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n"
    dash = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
        ' mediaPresentationDuration="PT9S">'
        '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="9" codecs="avc1.4d401f">'
        f"<BaseURL>{canary('/dash.mp4')}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    laughs = '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "lol">' + "".join(
        f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' if n else '<!ENTITY a0 "&a;">' for n in range(9)
    ) + '<!ELEMENT MPD (#PCDATA)>]><MPD xmlns="urn:mpeg:dash:schema:mpd:2011">&a8;</MPD>'  # fmt: skip
    ld = '<script type="application/ld+json">{{"@context":"https://schema.org","@type":"VideoObject",{}}}</script>'
    clip = site.url("/clip.mp4")
    return {
        "/page.html": lambda: _html('<video src="/clip.mp4"></video>'),
        "/evil_title.html": lambda: _html(
            '<video src="/clip.mp4"></video>', "<title>\x1b[31m&#8238;../../x\n\x07</title>"
        ),
        "/video_canary.html": lambda: _html(f'<video src="{canary("/v.mp4")}"></video>'),
        "/og_canary.html": lambda: _html("", f'<meta property="og:video" content="{canary("/og.mp4")}">'),
        "/ld_canary.html": lambda: _html("", ld.format(f'"name":"x","contentUrl":"{canary("/ld.mp4")}"')),
        "/refresh_canary.html": lambda: _html("", f'<meta http-equiv="refresh" content="0; url={canary("/r.mp4")}">'),
        "/iframe_canary.html": lambda: _html(f'<iframe src="{canary("/frame.html")}"></iframe>'),
        "/track_canary.html": lambda: _html(
            f'<video src="/clip.mp4"><track kind="subtitles" src="{canary("/t.vtt")}" srclang="en"></video>'
        ),
        "/track_outside.html": lambda: _html(
            '<video src="/clip.mp4"><track kind="subtitles" src="/en.vtt" srclang="../../../../outside"></video>'
        ),
        "/rtmp.html": lambda: _html("", ld.format('"name":"x","contentUrl":"rtmp://127.0.0.1/live/x.flv"')),
        "/mms.html": lambda: _html("", ld.format('"name":"x","contentUrl":"mms://127.0.0.1/live/x.wmv"')),
        "/long.html": lambda: _html("", ld.format(f'"name":"x","duration":"PT99H","contentUrl":"{clip}"')),
        "/self_iframe.html": lambda: _html('<iframe src="/self_iframe.html"></iframe>' * 50),
        "/plain.html": lambda: _html("No film here."),
        "/deep.html": lambda: _html(f'<script type="application/ld+json">{"[" * 50_000}</script>'),
        BURNING: lambda: b"<html>" + b"<video " * 200_000,
        "/big_page.html": lambda: b"<html>" + b"<p>soup</p>" * 500_000,
        "/master_canary.m3u8": lambda: f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9\n{canary('/m.m3u8')}\n".encode(),
        "/segment_canary.m3u8": lambda: f"{hls}#EXTINF:9,\n{canary('/s.ts')}\n#EXT-X-ENDLIST\n".encode(),
        "/key_canary.m3u8": lambda: (
            f'{hls}#EXT-X-KEY:METHOD=AES-128,URI="{canary("/key")}"\n#EXTINF:9,\nclip.mp4\n#EXT-X-ENDLIST\n'.encode()
        ),
        "/map_canary.m3u8": lambda: (
            f'{hls}#EXT-X-MAP:URI="{canary("/init.mp4")}"\n#EXTINF:9,\nclip.mp4\n#EXT-X-ENDLIST\n'.encode()
        ),
        "/encrypted.m3u8": lambda: (
            f'{hls}#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x{"00" * 16}\n'
            "#EXTINF:9,\nsealed.ts\n#EXT-X-ENDLIST\n".encode()
        ),
        "/sample_aes.m3u8": lambda: (
            f'{hls}#EXT-X-KEY:METHOD=SAMPLE-AES,URI="key"\n#EXTINF:9,\n{canary("/s.ts")}\n#EXT-X-ENDLIST\n'.encode()
        ),
        "/live.m3u8": lambda: f"{hls}#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:9,\n{canary('/s.ts')}\n".encode(),
        "/dash_canary.mpd": dash.encode,
        "/laughs.mpd": laughs.encode,
        "/notes.txt": lambda: b"stir, then wait",
        "/en.vtt": lambda: b"WEBVTT\n\n00:00.000 --> 00:01.000\nstir the pot\n",
    }


def _moves(site: Hostile) -> dict[str, str]:
    canary = site.canary
    return {
        "/moved.mp4": "/clip.mp4",
        "/loop.mp4": "/loop.mp4",
        "/to_canary.mp4": canary("/x.mp4"),
        "/to_canary_twice.mp4": "/to_canary.mp4",
        "/to_name.mp4": canary("/x.mp4", "localhost"),
        "/to_decimal.mp4": canary("/x.mp4", "2130706433"),
        "/to_short.mp4": canary("/x.mp4", "127.1"),
        "/to_ipv6.mp4": canary("/x.mp4", "[::1]"),
        "/to_mapped.mp4": canary("/x.mp4", "[::ffff:127.0.0.1]"),
        "/to_metadata.mp4": "http://169.254.169.254/latest/meta-data/",
        "/to_user.mp4": canary("/x.mp4", f"{site.host.partition(':')[0]}@127.0.0.1"),
        "/to_file.mp4": "file:///etc/passwd",
        "/to_ftp.mp4": f"ftp://127.0.0.1:{site.canary_port}/x.mp4",
        "/to_data.mp4": "data:video/mp4;base64,AAAA",
    }


_TYPES = {"html": "text/html", "m3u8": "application/vnd.apple.mpegurl", "mpd": "application/dash+xml",
          "txt": "text/plain", "vtt": "text/vtt"}  # fmt: skip


class _Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None: ...

    def do_GET(self) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self._respond()
        self.close_connection = True

    def _answer(self, status: int, body: bytes, kind: str, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length != -1:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _respond(self) -> None:
        site: Hostile = self.server.hostile  # type: ignore[attr-defined]
        path = self.path.partition("?")[0]
        site.hits[path] += 1
        if (page := _pages(site).get(path)) is not None:
            self._answer(200, page(), _TYPES[path.rpartition(".")[2]])
        elif (target := _moves(site).get(path)) is not None:
            self._answer(302, b"", "text/html", Location=target)
        elif path.startswith("/status/"):
            self._answer(int(path[8:11]), b"<html>no</html>", "text/html")
        elif path.startswith("/chain/"):
            self._answer(302, b"", "text/html", Location=f"/chain/{int(path[7:-4]) + 1}.mp4")
        elif (misbehave := getattr(self, f"_{path[1:].partition('.')[0]}", None)) is not None:
            misbehave(site)
        else:
            self._answer(404, b"<html>no</html>", "text/html")

    def _clip(self, site: Hostile) -> None:
        self._answer(200, site.clip, "video/mp4")

    def _slow(self, site: Hostile) -> None:
        """A clip of two megabytes that takes some seconds at a steady rate."""
        self._answer(200, b"", "video/mp4", length=2_000_000)
        self.wfile.write(site.clip)
        left = 2_000_000 - len(site.clip)
        while left > 0 and not site.stop.is_set():
            self.wfile.write(bytes(min(left, 50_000)))
            left -= 50_000
            time.sleep(0.1)

    def _evil_name(self, site: Hostile) -> None:
        evil = 'attachment; filename="../../../../outside.mp4"'
        self._answer(200, site.clip, "video/mp4", Content_Disposition=evil)

    def _many_headers(self, site: Hostile) -> None:
        self._answer(200, site.clip, "video/mp4", **{f"X_{n}": "y" for n in range(300)})

    def _key(self, site: Hostile) -> None:
        self._answer(200, bytes(16), "application/octet-stream")

    def _sealed(self, site: Hostile) -> None:
        from Cryptodome.Cipher import AES
        from Cryptodome.Util.Padding import pad

        sealed = AES.new(bytes(16), AES.MODE_CBC, bytes(16)).encrypt(pad(site.clip, 16))
        self._answer(200, sealed, "video/mp2t")

    def _big(self, site: Hostile) -> None:
        self._answer(200, site.clip, "video/mp4", length=10**12)

    def _big_unannounced(self, site: Hostile) -> None:
        self._answer(200, site.clip, "video/mp4", length=-1)
        while not site.stop.is_set():
            self.wfile.write(bytes(100_000))

    def _bomb(self, site: Hostile) -> None:
        self._answer(200, gzip.compress(b"<html>" + b" " * 30_000_000), "text/html", Content_Encoding="gzip")

    def _endless(self, site: Hostile) -> None:
        self._answer(200, b"<html>", "text/html", length=-1)
        while not site.stop.is_set():
            self.wfile.write(b"<p>soup</p>" * 10_000)

    def _empty(self, site: Hostile) -> None:
        self._answer(200, b"", "video/mp4")

    def _page_as_clip(self, site: Hostile) -> None:
        self._answer(200, b"<!DOCTYPE html><p>Please log in", "video/mp4")

    def _truncated(self, site: Hostile) -> None:
        self._answer(200, site.clip[:1000], "video/mp4", length=len(site.clip))

    def _reset(self, site: Hostile) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _bad_chunks(self, site: Hostile) -> None:
        self._answer(200, b"zz\r\nnot a chunk\r\n", "video/mp4", length=-1, Transfer_Encoding="chunked")

    def _no_http(self, site: Hostile) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9\r\n")

    def _stall(self, site: Hostile) -> None:
        self._answer(200, site.clip[:100], "video/mp4", length=len(site.clip))
        site.stop.wait(60)

    def _trickle(self, site: Hostile) -> None:
        self._answer(200, b"", "video/mp4", length=len(site.clip))
        while not site.stop.wait(0.05):
            self.wfile.write(b"x")

    def _unanswered(self, site: Hostile) -> None:
        site.stop.wait(60)
