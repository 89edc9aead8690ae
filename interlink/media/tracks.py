"""Subtitle tracks inside a container: text formats only (mov_text, SubRip, WebVTT, ASS), read from their packets.

Costs one read of the file; decodes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from interlink.encodings import decode
from interlink.media.probe import Probe
from interlink.subtitles.blocks import cue_of
from interlink.subtitles.cues import Cue, Subtitles
from interlink.subtitles.ssa import ssa_cue
from interlink.text.languages import Label, label_of, language_of

TEXT_CODECS = ("mov_text", "subrip", "webvtt", "ass", "ssa", "text")
ASS_FIELDS = 8  # fields before the text, in packets of Matroska: ReadOrder, Layer, Style …
NAMES = ("title", "name", "handler_name")  # keys of a stream's metadata that name it


@dataclass(frozen=True)
class Track:
    """A text track. label: its language (as the container states it, else from its name) and kinds."""

    index: int
    codec: str
    label: Label


def text_tracks(probe: Probe, container: Any) -> list[Track]:
    """The subtitle streams with spoken text, in order."""
    tracks = []
    for stream in probe.streams:
        if stream.kind == "subtitle" and stream.codec in TEXT_CODECS:
            source = container.streams[stream.index]
            track = Track(stream.index, stream.codec, _label(source, stream.language))
            if not track.label.never_speech:
                tracks.append(track)
    return tracks


def read_track(container: Any, track: Track, likely: Sequence[str] = ()) -> Subtitles:
    """All cues of one track, with times in the container's clock. Reading stops at damage and reports a problem.

    likely: languages to expect if the track states none, for its encoding.
    """
    found = Subtitles(track.codec)
    spans, payloads = _packets(container, track, found)
    whole = b"\n".join(payloads)
    decoded = decode(whole, language=language_of(track.label.language), likely=likely)
    encoding = "utf-8" if track.codec == "mov_text" else decoded.encoding  # its packets may state UTF-16
    if decoded.doubt and track.codec != "mov_text":
        found.problems.append(decoded.doubt)
    for (start, end), payload in zip(spans, payloads, strict=True):
        cue = _cue(start, end, payload, track.codec, encoding)
        if cue is not None:
            found.cues.append(cue)
    found.cues.sort(key=lambda cue: cue.start)
    return found


def _label(stream: Any, stated: str) -> Label:
    from av.stream import Disposition

    flags = {
        "forced": Disposition.forced,
        "commentary": Disposition.comment,
        "sdh": Disposition.hearing_impaired,
        "descriptions": Disposition.descriptions,
        "metadata": Disposition.metadata | Disposition.timed_thumbnails,
    }
    values = {str(key).casefold(): str(value) for key, value in stream.metadata.items()}
    named = [label_of(values[key]) for key in NAMES if key in values]
    kinds = {kind for label in named for kind in label.kinds} | {
        kind for kind, flag in flags.items() if stream.disposition & flag
    }
    language = language_of(stated) or next((label.language for label in named if label.language), "")
    return Label(stated if language_of(stated) else language, frozenset(kinds))


def _packets(container: Any, track: Track, found: Subtitles) -> tuple[list[tuple[float, float]], list[bytes]]:
    """Times and bytes of the track's packets."""
    from av.error import FFmpegError

    spans, payloads = [], []
    container.seek(0)
    packets = container.demux(container.streams[track.index])
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
        spans.append((round(start, 3), round(start + float((packet.duration or 0) * packet.time_base), 3)))
        payloads.append(bytes(packet))
    return spans, payloads


def _cue(start: float, end: float, payload: bytes, codec: str, encoding: str) -> Cue | None:
    if codec == "mov_text":  # two bytes of length, the text, then boxes of style
        payload = payload[2 : 2 + int.from_bytes(payload[:2], "big")]
        if payload[:2] in (b"\xfe\xff", b"\xff\xfe"):
            return cue_of(start, end, payload.decode("utf-16", errors="replace"))
    text = payload.decode(encoding, errors="replace")
    if codec in ("ass", "ssa"):
        fields = text.split(",", ASS_FIELDS)
        layer, style = (fields[1], fields[2]) if len(fields) > ASS_FIELDS else ("", "")
        return ssa_cue(start, end, fields[-1], style, layer)
    return cue_of(start, end, text)
