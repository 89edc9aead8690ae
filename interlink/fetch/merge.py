"""Merges the video and the sound that a site serves as separate files, with the ffmpeg program, by ffmpeg-python.

Costs a copy of the bytes. It is the only use of that program: it reads local files of known containers, and fetches
nothing.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yt_dlp.postprocessor.ffmpeg import FFmpegMergerPP

from interlink.containers import FORMATS
from interlink.errors import StageError

DEADLINE = 600.0  # seconds


def merge(parts: Sequence[str], formats: Sequence[Mapping[str, Any]], target: str, program: str) -> None:
    """Writes the first video and the first sound of each part into `target`, unchanged.

    formats: yt-dlp's description of each part (`vcodec`, `acodec`: "none" if it has none). Raises StageError
    `unreadable` or `stalled`; then there is no `target`.
    """
    import ffmpeg

    streams = []
    for part, about in zip(parts, formats, strict=True):
        read = ffmpeg.input(f"file:{part}", protocol_whitelist="file", format_whitelist=FORMATS)
        streams += [
            read[f"{kind}:0"] for kind, codec in (("v", "vcodec"), ("a", "acodec")) if about.get(codec) != "none"
        ]
    unfinished = f"{target}.unfinished{Path(target).suffix}"
    job = ffmpeg.output(*streams, f"file:{unfinished}", c="copy").global_args("-nostdin", "-v", "error")
    command = ffmpeg.compile(job, cmd=program, overwrite_output=True)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE, check=False)
    except subprocess.TimeoutExpired as error:
        Path(unfinished).unlink(missing_ok=True)
        raise StageError("stalled", f"merging took longer than {DEADLINE:.0f} s") from error
    if done.returncode:
        Path(unfinished).unlink(missing_ok=True)
        said = done.stderr.decode(errors="replace").replace(str(Path(target).parent), "").strip()
        raise StageError("unreadable", f"ffmpeg exited with {done.returncode}: {said[-400:]}")
    Path(unfinished).replace(target)


def _run(self: Any, info: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    parts: list[str] = info["__files_to_merge"]
    merge(parts, info["requested_formats"], info["filepath"], self.executable)
    return parts, info


def install() -> None:
    """Makes yt-dlp merge this way."""
    FFmpegMergerPP.run = _run
