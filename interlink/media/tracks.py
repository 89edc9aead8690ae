"""Subtitle tracks inside a container: text formats only (mov_text, SubRip, WebVTT, ASS), read from their packets.

Costs one read of the file; decodes nothing.
"""

from __future__ import annotations

from typing import Any

from interlink.media.probe import Probe, StreamInfo
from interlink.subtitles.blocks import cue_of
from interlink.subtitles.cues import Cue, Subtitles
from interlink.subtitles.files import is_chapters
from interlink.subtitles.ssa import ssa_cue

TEXT_CODECS = ("mov_text", "subrip", "webvtt", "ass", "ssa", "text")
ASS_FIELDS = 8  # fields before the text, in packets of Matroska


def text_tracks(probe: Probe, container: Any) -> list[StreamInfo]:
    """The subtitle streams with spoken text, in order."""
    return [
        stream
        for stream in probe.streams
        if stream.kind == "subtitle"
        and stream.codec in TEXT_CODECS
        and not any(is_chapters(str(value)) for value in container.streams[stream.index].metadata.values())
    ]


def read_track(container: Any, track: StreamInfo) -> Subtitles:
    """All cues of one track, with times in the container's clock. Reading stops at damage and reports a problem."""
    from av.error import FFmpegError

    found = Subtitles(track.codec)
    stream = container.streams[track.index]
    container.seek(0)
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError as error:
            found.problems.append(f"reading stopped ({error.strerror})")
            break
        if packet is None:
            break
        if not packet.size or packet.pts is None:
            continue
        start = float(packet.pts * packet.time_base)
        end = start + float((packet.duration or 0) * packet.time_base)
        cue = _cue(round(start, 3), round(end, 3), bytes(packet), track.codec)
        if cue is not None:
            found.cues.append(cue)
    found.cues.sort(key=lambda cue: cue.start)
    return found


def _cue(start: float, end: float, payload: bytes, codec: str) -> Cue | None:
    if codec == "mov_text":  # two bytes of length, the text, then boxes of style
        payload = payload[2 : 2 + int.from_bytes(payload[:2], "big")]
        if payload[:2] in (b"\xfe\xff", b"\xff\xfe"):
            return cue_of(start, end, payload.decode("utf-16", errors="replace"))
    text = payload.decode("utf-8", errors="replace")
    if codec in ("ass", "ssa"):
        return ssa_cue(start, end, text.split(",", ASS_FIELDS)[-1])
    return cue_of(start, end, text)
