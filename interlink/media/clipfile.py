"""Writes parts of a video as files that hold exactly their pictures (H.264, AAC), and their sound.

An exact cut costs decoding and encoding (x264: some 5 times real time at 360 pixels on one core). Pictures are those
of keyframes; the sound is the one that a recogniser hears. The same arguments give the same bytes with the same libav.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from time import monotonic
from typing import Any

from interlink.errors import StageError, UserError
from interlink.media.audio import Slices, Sound, heard_stream
from interlink.media.decode import Decoded, Frames
from interlink.media.probe import Probe, StreamInfo, describe, open_media
from interlink.media.shape import Shape

SOUND_CODECS = {".m4a": "aac", ".flac": "flac"}
TICKS = 90_000  # of an exact cut's clock, a second
BLOCK = 4096  # samples in a frame for the encoder


@dataclass(frozen=True)
class Piece:
    """The content of a file: start and end in seconds of the video's clock, and the number of pictures."""

    start: float
    end: float
    frames: int


class Deadline:
    """Raises StageError `stalled` when `seconds` have passed."""

    def __init__(self, name: str, seconds: float) -> None:
        self._name, self._seconds, self._until = name, seconds, monotonic() + seconds

    def check(self) -> None:
        if monotonic() > self._until:
            raise StageError("stalled", f"{self._name}: writing a clip took longer than {self._seconds:.0f} s")


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Probe]]:
    with open_media(path) as container:
        yield container, describe(container, path)


def watched(probe: Probe) -> StreamInfo:
    if probe.video is None:
        raise StageError("no_video", f"{probe.name}: no video")
    return probe.video


@contextmanager
def output(name: str, target: Path, start: float, end: float, failure: str = "unreadable") -> Iterator[Any]:
    """A new file, with the exact times of the part written into it. After an error there is no file.

    failure: class of the StageError if libav refuses what is written.
    """
    import av
    from av.error import FFmpegError

    options = {"fflags": "+bitexact"}
    if target.suffix != ".flac":
        options["movflags"] = "+faststart+use_metadata_tags"
    try:
        with av.open(str(target), "w", options=options) as out:
            out.metadata.update({"clip_start": f"{start:.6f}", "clip_end": f"{end:.6f}"})
            yield out
    except FFmpegError as error:
        target.unlink(missing_ok=True)
        raise StageError(failure, f"{name}: the clip cannot be written ({error.strerror})") from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise


class ExactClips:
    """Writes parts of one video, in order of time, from one decoding of its pictures and sound."""

    def __init__(self, name: str, pictures: Frames, sound: Slices | None, shape: Shape, quality: int) -> None:
        self._name, self._shape, self._quality = name, shape, quality
        self._pictures: Iterator[Decoded] = iter(pictures)
        self._next = next(self._pictures, None)
        self.sound = sound

    def cut(self, target: Path, start: float, end: float, deadline: float = 600.0) -> Piece:
        """Writes exactly the pictures with start <= time < end into an mp4 (H.264, AAC)."""
        limit, frames = Deadline(self._name, deadline), 0
        with output(self._name, target, start, end) as out:
            stream = voice = None
            for time, until, frame in self._between(start, end):
                limit.check()
                shown = self._shape.shown(frame)
                if stream is None:
                    stream = self._stream(out, shown)
                    voice = None if self.sound is None else _sound_stream(out, "aac", self.sound.sound)
                shown.pts, shown.time_base = round((time - start) * TICKS), stream.codec_context.time_base
                shown.duration = round((until - start) * TICKS) - shown.pts
                out.mux(stream.encode(shown))
                frames += 1
            if stream is None:
                raise StageError("unreadable", f"{self._name}: no picture from {start:.3f} to {end:.3f} s")
            out.mux(stream.encode(None))
            if voice is not None and self.sound is not None:
                _write_sound(out, voice, self.sound, start, end, limit)
        return Piece(start, end, frames)

    def _between(self, start: float, end: float) -> Iterator[tuple[float, float, Any]]:
        """(time, time of the next picture or the end, frame) of the pictures in a part."""
        while self._next is not None and self._next.time < end:
            decoded, self._next = self._next, next(self._pictures, None)
            if decoded.time >= start:
                until = end if self._next is None else min(end, self._next.time)
                yield decoded.time, until, decoded.frame

    def _stream(self, out: Any, frame: Any) -> Any:
        options = {"crf": str(self._quality), "preset": "veryfast", "threads": "1"}
        stream = out.add_stream("libx264", rate=25, options=options)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = frame.width, frame.height, "yuv420p"
        context.time_base = stream.time_base = Fraction(1, TICKS)
        context.thread_count = 1
        context.colorspace, context.color_range = int(frame.colorspace), int(frame.color_range)
        context.color_primaries, context.color_trc = int(frame.color_primaries), int(frame.color_trc)
        return stream


@contextmanager
def exact_clips(source: Path, short_side: int, quality: int = 23) -> Iterator[ExactClips]:
    """A writer of parts of `source`, upright and in square pixels. Raises StageError `no_video` or `unreadable`.

    short_side: pixels of the shorter side, made even; smaller pictures stay as they are. quality: x264's CRF, lower is
    better.
    """
    with opened(source) as (container, probe), sound_of(source) as sound:
        shape = Shape(short_side, watched(probe).sar)
        yield ExactClips(source.name, Frames(container, probe), sound, shape, quality)


@contextmanager
def sound_of(source: Path) -> Iterator[Slices | None]:
    """The sound of a file by time; None without sound that can be decoded."""
    with opened(source) as (container, probe):
        heard = heard_stream(probe)
        slices = None if heard is None else Slices(Sound(container, heard))
        yield None if slices is None or slices.empty else slices


def cut_clip(
    source: Path,
    target: Path,
    start: float,
    end: float,
    short_side: int,
    quality: int = 23,
    deadline: float = 600.0,
) -> Piece:
    """One part by `exact_clips`; the file is decoded from its start. Raises StageError like `copy_clip`."""
    with exact_clips(source, short_side, quality) as clips:
        return clips.cut(target, start, end, deadline)


def cut_audio(source: Path, target: Path, start: float, end: float, deadline: float = 120.0) -> Piece:
    """The sound of one part by `write_audio`; the file is decoded from its start."""
    with sound_of(source) as sound:
        return write_audio(source.name, sound, target, start, end, deadline)


def write_audio(
    name: str, sound: Slices | None, target: Path, start: float, end: float, deadline: float = 120.0
) -> Piece:
    """Writes the sound of a part as AAC (`target` ends in .m4a) or FLAC (.flac), with silence where there is none.

    At the source's rate and channels. Raises StageError: `no_media` without sound, otherwise like `copy_clip`.
    """
    if target.suffix not in SOUND_CODECS:
        raise UserError(f"{target.name}: sound is written as .m4a or .flac", "choose one of them", 2)
    if sound is None:
        raise StageError("no_media", f"{name}: no sound")
    with output(name, target, start, end) as out:
        stream = _sound_stream(out, SOUND_CODECS[target.suffix], sound.sound)
        _write_sound(out, stream, sound, start, end, Deadline(name, deadline))
    return Piece(start, end, 0)


def _sound_stream(out: Any, codec: str, sound: Sound) -> Any:
    from av import Codec

    rates = Codec(codec, "w").audio_rates
    rate = sound.rate if not rates or sound.rate in rates else 48_000
    stream = out.add_stream(codec, rate=rate, layout=sound.layout)
    if codec == "flac":
        stream.codec_context.format = sound.form
    return stream


def _write_sound(out: Any, stream: Any, sound: Slices, start: float, end: float, limit: Deadline) -> None:
    import numpy as np
    from av import AudioFrame

    kind, at = sound.sound, 0
    for samples in sound.between(start, end):
        limit.check()
        for first in range(0, len(samples), BLOCK):
            block = np.ascontiguousarray(samples[first : first + BLOCK]).reshape(1, -1)
            frame = AudioFrame.from_ndarray(block, format=kind.form, layout=kind.layout)
            frame.sample_rate, frame.time_base, frame.pts = kind.rate, Fraction(1, kind.rate), at
            at += block.shape[1] // kind.channels
            out.mux(stream.encode(frame))
    out.mux(stream.encode(None))
