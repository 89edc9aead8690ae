"""Copies parts of a video into mp4 files, unchanged, from keyframe to keyframe.

Costs milliseconds. A file extends to the keyframes around the requested part; `Piece` has its times.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interlink.errors import StageError
from interlink.media.audio import heard_stream
from interlink.media.clipfile import Deadline, Piece, opened, output, watched
from interlink.media.decode import RESTART
from interlink.media.probe import StreamInfo

# Codecs that mp4 supports; others must be re-encoded.
COPIED_VIDEO = ("h264", "hevc", "av1", "vp9", "mpeg4")
COPIED_AUDIO = ("aac", "mp3", "opus", "ac3", "eac3", "alac", "flac")


def copy_clip(
    source: Path, target: Path, start: float, end: float, deadline: float = 120.0, seek: bool = True
) -> Piece:
    """Writes the pictures from the keyframe at or before `start` to the one at or after `end` into an mp4, unchanged.

    Pictures that an edit list hides stay hidden. The sound is included if mp4 supports its codec. seek: False reads
    from the start, for files in which a time occurs twice. Raises StageError: `unsupported` for a video codec or times
    that mp4 does not support, `no_video`, `unreadable`, `stalled` after `deadline` seconds.
    """
    limit = Deadline(source.name, deadline)
    for sought in (True, False) if seek else (False,):
        with opened(source) as (container, probe):  # afresh: not every file can be read from its start again
            video = watched(probe)
            if video.codec not in COPIED_VIDEO:
                raise StageError(
                    "unsupported", f"{source.name}: {video.codec} cannot be copied into mp4; cut it exactly"
                )
            found = _groups(container, video, start, end, sought)
            if sought and (found is None or found[0].start > start):
                continue
            if found is None:
                raise StageError("unreadable", f"{source.name}: no keyframe before {end:.3f} s")
            piece, packets = found
            sound = heard_stream(probe)
            with (
                opened(source) as (second, _),
                output(source.name, target, piece.start, piece.end, "unsupported") as out,
            ):
                tracks = [(container.streams[video.index], packets)]
                if sound is not None and sound.codec in COPIED_AUDIO:
                    heard = list(_overlapping(second, sound, piece, seek))
                    tracks += [(second.streams[sound.index], heard)] if heard else []
                _write(out, tracks, piece.start, limit)
            return piece
    raise AssertionError("the last attempt returns or raises")


def _groups(
    container: Any, video: StreamInfo, start: float, end: float, sought: bool
) -> tuple[Piece, list[Any]] | None:
    """The packets of the whole groups around [start, end): by seeking, or from the first packet on."""
    from av.error import FFmpegError

    stream = container.streams[video.index]
    try:
        if sought:
            container.seek(int(start / stream.time_base), stream=stream, backward=True)
    except FFmpegError:
        return None
    packets: list[Any] = []
    until, last = 0.0, -1e18
    try:
        for packet in container.demux(stream):
            if not packet.size or packet.pts is None:
                continue
            time = round(float(packet.pts * packet.time_base), 6)
            if time < last - RESTART:  # the clock starts again
                break
            last = max(last, time)
            if packet.is_keyframe:
                if not packets or time <= start:
                    packets = []
                elif time >= end:
                    until = time
                    break
            if packets or packet.is_keyframe:
                packets.append(packet)
    except FFmpegError:  # the part after the damage is left out
        pass
    shown = [float(packet.pts * packet.time_base) for packet in packets if not packet.is_discard]
    if not shown or min(shown) >= end:
        return None
    until = until or max(float((p.pts + (p.duration or 0)) * p.time_base) for p in packets)
    return Piece(round(min(shown), 6), round(until, 6), len(shown)), packets


def _overlapping(container: Any, sound: StreamInfo, piece: Piece, seek: bool) -> Iterator[Any]:
    """The packets of sound in a piece, and the one before, which the first needs to be decoded."""
    from av.error import FFmpegError

    stream = container.streams[sound.index]
    before: Any = None
    last = -1e18
    try:
        if seek:
            container.seek(int((piece.start - RESTART) / stream.time_base), stream=stream, backward=True)
        for packet in container.demux(stream):
            if not packet.size or packet.pts is None:
                continue
            time = float(packet.pts * packet.time_base)
            if time >= piece.end or time < last - RESTART:
                return
            last = time
            if time + float((packet.duration or 0) * packet.time_base) <= piece.start:
                before = packet
                continue
            if before is not None:
                yield before
                before = None
            yield packet
    except FFmpegError:  # the part after the damage is left out
        return


def _write(out: Any, tracks: list[tuple[Any, list[Any]]], start: float, limit: Deadline) -> None:
    """Adds the streams with their packets, at times since `start`. An edit list hides what is before."""
    waiting: list[tuple[float, Any]] = []
    for template, packets in tracks:
        stream = out.add_stream_from_template(template, opaque=True)
        _order(packets)
        offset = round(start / template.time_base)
        for packet in packets:
            packet.stream, packet.pts, packet.dts = stream, packet.pts - offset, packet.dts - offset
            waiting.append((float(packet.dts * packet.time_base), packet))
    for _, packet in sorted(waiting, key=lambda each: each[0]):
        limit.check()
        out.mux(packet)


def _order(packets: list[Any]) -> None:
    """Gives packets without decoding times the ones that their presentation times imply."""
    if all(packet.dts is not None for packet in packets):
        return
    shown = sorted(packet.pts for packet in packets)
    delay = max(time - packet.pts for time, packet in zip(shown, packets, strict=True))
    for time, packet in zip(shown, packets, strict=True):
        packet.dts = time - delay
