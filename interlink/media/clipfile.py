"""Writes parts of a video as files: copied at keyframes, or cut exactly by re-encoding; and their sound.

A copy costs milliseconds and extends to the keyframes around the requested part; `Piece` has its times. An exact cut
costs decoding and encoding (x264: some 5 times real time at 360 pixels on one core). Uses the ffmpeg program on PATH,
else the one of imageio-ffmpeg. The same arguments give the same bytes with the same program.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from interlink.errors import StageError, UserError
from interlink.media.probe import FORMATS, Probe, describe, open_media

# Codecs that mp4 supports; others must be re-encoded.
COPIED_VIDEO = ("h264", "hevc", "av1", "vp9", "mpeg4")
COPIED_AUDIO = ("aac", "mp3", "opus", "ac3", "eac3", "alac", "flac")
EARLY = 0.0005  # seconds: times are rounded to microseconds, and the first picture must not be lost by that


@dataclass(frozen=True)
class Piece:
    """The content of a file: start and end in seconds of the video's clock, and the number of pictures."""

    start: float
    end: float
    frames: int


def copy_clip(source: Path, target: Path, start: float, end: float, deadline: float = 120.0) -> Piece:
    """Writes the pictures from the keyframe at or before `start` to the one at or after `end` into an mp4, unchanged.

    The sound is included if mp4 supports its codec. Raises StageError: `unsupported` for a video codec that mp4 does
    not support, `no_video`, `unreadable`, `stalled` after `deadline` seconds.
    """
    with _opened(source) as (container, probe):
        video = _video(probe)
        if video.codec not in COPIED_VIDEO:
            raise StageError("unsupported", f"{source.name}: {video.codec} cannot be copied into mp4; cut it exactly")
        piece = _stretch(source, start, end)
        if piece is None:
            raise StageError("unreadable", f"{source.name}: no keyframe before {end:.3f} s")
        sound = next((each for each in probe.streams if each.kind == "audio" and each.codec in COPIED_AUDIO), None)
        begin = _since_zero(container, piece.start)
    streams = [video.index] + ([sound.index] if sound else [])
    # No `EARLY` here: seeking finds the keyframe at or before the time.
    options: dict[str, Any] = {"c": "copy", "frames:v": piece.frames, "avoid_negative_ts": "make_zero"}
    _write(
        source,
        target,
        begin + EARLY,
        piece.end - piece.start,
        streams,
        {**options, **_metadata_options(piece)},
        deadline,
    )
    return piece


def cut_clip(
    source: Path,
    target: Path,
    start: float,
    end: float,
    short_side: int,
    quality: int = 23,
    deadline: float = 600.0,
) -> Piece:
    """Writes exactly the pictures with start <= time < end into an mp4 (H.264, AAC), upright and in square pixels.

    short_side: pixels of the shorter side, made even; smaller pictures stay as they are. quality: x264's CRF, lower is
    better. Raises StageError like `copy_clip`.
    """
    with _opened(source) as (container, probe):
        video = _video(probe)
        sound = next((each for each in probe.streams if each.kind == "audio" and each.codec), None)
        begin = _since_zero(container, start)
    streams = [video.index] + ([sound.index] if sound else [])
    even = f"trunc(min({short_side},min(iw,ih))/2)*2"
    # Square pixels first, then the size, so that the shorter side is the displayed one.
    square = "scale=w='max(1,round(iw*sar))':h=ih,setsar=1"
    shrunk = f"scale=w='if(gt(iw,ih),-2,{even})':h='if(gt(iw,ih),{even},-2)':flags=bicubic+accurate_rnd+bitexact"
    options: dict[str, Any] = {
        "vf": f"{square},{shrunk},format=yuv420p",
        "c:v": "libx264",
        "crf": quality,
        "preset": "veryfast",
        "c:a": "aac",
    }
    piece = Piece(start, end, 0)
    _write(source, target, begin - EARLY, end - start, streams, {**options, **_metadata_options(piece)}, deadline)
    with _opened(target) as (container, probe):
        stream = container.streams[_video(probe).index]
        return Piece(start, end, sum(1 for packet in container.demux(stream) if packet.size))


def cut_audio(source: Path, target: Path, start: float, end: float, deadline: float = 120.0) -> Piece:
    """Writes the sound from `start` to `end` as AAC (`target` ends in .m4a) or FLAC (.flac).

    Raises StageError: `no_media` without sound, otherwise like `copy_clip`.
    """
    codecs = {".m4a": "aac", ".flac": "flac"}
    if target.suffix not in codecs:
        raise UserError(f"{target.name}: sound is written as .m4a or .flac", "choose one of them", 2)
    with _opened(source) as (container, probe):
        sound = next((each for each in probe.streams if each.kind == "audio" and each.codec), None)
        if sound is None:
            raise StageError("no_media", f"{source.name}: no sound")
        begin = _since_zero(container, start)
    piece = Piece(start, end, 0)
    options: dict[str, Any] = {"c:a": codecs[target.suffix]}
    _write(source, target, begin, end - start, [sound.index], {**options, **_metadata_options(piece)}, deadline)
    return piece


@lru_cache(maxsize=1)
def ffmpeg_program() -> str:
    """The ffmpeg on PATH, else the one of imageio-ffmpeg. Raises UserError if neither is installed."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"ffmpeg is not installed ({error})", "install ffmpeg, or pip install imageio-ffmpeg"
        ) from error


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Probe]]:
    with open_media(path) as container:
        yield container, describe(container, path)


def _video(probe: Probe) -> Any:
    if probe.video is None:
        raise StageError("no_video", f"{probe.name}: no video")
    return probe.video


def _since_zero(container: Any, time: float) -> float:
    """A time of the container's clock as seconds from the container's start, as ffmpeg counts."""
    return time - (container.start_time or 0) / 1_000_000


def _stretch(source: Path, start: float, end: float) -> Piece | None:
    """The whole groups around [start, end): by seeking, or from the first packet if seeking lands after `start`."""
    from av.error import FFmpegError

    for sought in (True, False):
        with _opened(source) as (container, probe):
            stream = container.streams[_video(probe).index]
            try:
                if sought:
                    container.seek(int(start / stream.time_base), stream=stream, backward=True)
            except FFmpegError:
                continue
            piece = _between_keyframes(stream, container, start, end)
            if not sought or (piece is not None and piece.start <= start):
                return piece
    return None


def _between_keyframes(stream: Any, container: Any, start: float, end: float) -> Piece | None:
    """The stretch of whole groups of pictures around [start, end), from the packets' headers."""
    from av.error import FFmpegError

    begins: float | None = None
    last, frames = 0.0, 0
    try:
        for packet in container.demux(stream):
            if not packet.size or packet.pts is None:
                continue
            time = float(packet.pts * packet.time_base)
            if packet.is_keyframe:
                if begins is None or time <= start:
                    begins, frames = time, 0
                elif time >= end:
                    return Piece(round(begins, 6), round(time, 6), frames)
            if begins is not None:
                frames += 1
                last = max(last, time + float((packet.duration or 0) * packet.time_base))
    except FFmpegError:  # the part after the damage is left out
        pass
    return None if begins is None or begins >= end else Piece(round(begins, 6), round(last, 6), frames)


def _metadata_options(piece: Piece) -> dict[str, Any]:
    """Options that write the exact times of a piece into the file."""
    tags = {"metadata:g:0": f"clip_start={piece.start:.6f}", "metadata:g:1": f"clip_end={piece.end:.6f}"}
    return {**tags, "movflags": "+faststart+use_metadata_tags"}


def _write(
    source: Path,
    target: Path,
    start: float,
    length: float,
    streams: list[int],
    options: dict[str, Any],
    deadline: float,
) -> None:
    """Runs ffmpeg on one stretch of `source`. start: seconds from the container's start. One thread, no terminal."""
    import ffmpeg

    if target.suffix == ".flac":
        options = {key: value for key, value in options.items() if key != "movflags"}
    skip = {"ss": f"{start:.6f}"} if start > 0 else {}
    read = ffmpeg.input(
        f"file:{source}", **skip, t=f"{length + min(start, 0):.6f}", format_whitelist=FORMATS, threads=1
    )
    fixed = {"map_metadata": -1, "threads": 1, "fflags": "+bitexact", "flags:v": "+bitexact", "flags:a": "+bitexact"}
    job = ffmpeg.output(*[read[str(index)] for index in streams], f"file:{target}", **fixed, **options)
    command = ffmpeg.compile(job.global_args("-nostdin", "-v", "error"), cmd=ffmpeg_program(), overwrite_output=True)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=deadline, check=False)
    except subprocess.TimeoutExpired as error:
        target.unlink(missing_ok=True)
        raise StageError("stalled", f"{source.name}: ffmpeg took longer than {deadline:.0f} s") from error
    if done.returncode:
        target.unlink(missing_ok=True)
        message = done.stderr.decode(errors="replace").strip().replace(str(source.parent), "")
        raise StageError("unreadable", f"{source.name}: ffmpeg exited with {done.returncode}: {message[-500:]}")
