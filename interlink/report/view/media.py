"""Bytes of frames and videos. A video is served only where a row of the build names it."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections.abc import Iterator
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from interlink.report.view.frames import frame_place, partition_of_frame, read_frame, thumbnail
from interlink.report.view.render import build_of, looked_of, optional_whole, whole
from interlink.storage import Storage

_HEIGHTS = (90, 120, 180, 240)  # of thumbnails
_PIECE = 1 << 20  # bytes of a video that are read at once
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_CACHED = {"cache-control": "private, max-age=3600"}


def frame(request: Request) -> Response:
    """The JPEG of a frame; `?height=` asks for a thumbnail."""
    build = build_of(request)
    looked = looked_of(build)
    clip, number = whole(request.path_params["clip"], "clip"), whole(request.path_params["frame"], "frame")
    height = optional_whole(request, "height")
    if height is not None and height not in _HEIGHTS:
        raise HTTPException(400, f"height is one of {', '.join(map(str, _HEIGHTS))}")
    try:
        place = frame_place(looked.catalogue, request.path_params["item"], clip, number)
    except KeyError:
        raise HTTPException(404, "there is no such frame in this build") from None
    blobs = partition_of_frame(looked.catalogue, place).blobs  # named by its content
    offset = int(looked.catalogue.frames["offset"][place])
    tag = f'"{hashlib.sha256(f"{blobs}:{offset}:{height}".encode()).hexdigest()[:20]}"'
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"etag": tag, **_CACHED})
    try:
        data = read_frame(looked.catalogue, build.storage, place)
        if height is not None:
            data = thumbnail(data, height)
    except (OSError, ValueError):
        raise HTTPException(404, "the bytes of this frame are gone") from None
    return Response(data, media_type="image/jpeg", headers={"etag": tag, **_CACHED})


def media(request: Request) -> Response:
    """The video of an item, whole or in ranges."""
    build = build_of(request)
    rows = looked_of(build).catalogue.rows("SELECT media FROM items WHERE id = ?", (request.path_params["item"],))
    name = rows[0]["media"] if rows else ""
    if not name:
        raise HTTPException(404, "this build names no such video")
    kind = mimetypes.guess_type(name)[0] or ""
    if not kind.startswith(("video/", "audio/")):
        kind = "application/octet-stream"
    path = Path(name) if Path(name).is_absolute() else None
    if path is None and build.storage.is_local:
        path = Path(build.storage.full(name))
    if path is not None:
        if not path.is_file():
            raise HTTPException(404, "the video is no longer there")
        return FileResponse(path, media_type=kind)
    return _remote(build.storage, name, kind, request.headers.get("range", ""))


def _remote(storage: Storage, name: str, kind: str, wanted: str) -> Response:
    """A file of a remote root, in pieces; one range is answered, of several the whole file."""
    try:
        size = storage.size(name)
    except FileNotFoundError:
        raise HTTPException(404, "the video is no longer there") from None
    begin, end = 0, size
    found = _RANGE.fullmatch(wanted)
    if found and (found[1] or found[2]):
        if found[1]:
            begin, end = int(found[1]), min(size, int(found[2]) + 1 if found[2] else size)
        else:
            begin = max(0, size - int(found[2]))
        if begin >= end:
            return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
    headers = {"accept-ranges": "bytes", "content-length": str(end - begin)}
    if found:
        headers["content-range"] = f"bytes {begin}-{end - 1}/{size}"

    def pieces() -> Iterator[bytes]:
        for place in range(begin, end, _PIECE):
            yield storage.read_range(name, place, min(_PIECE, end - place))

    return StreamingResponse(pieces(), 206 if found else 200, headers, kind)
