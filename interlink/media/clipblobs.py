"""The clips of a row as blobs: video, copied or cut exactly, and sound.

Costs one run of the ffmpeg program per clip and file, and the encoding for exact cuts. The bytes of all files stay in
memory until the row is finished, within a limit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interlink.errors import StageError
from interlink.media.clipfile import Piece, copy_clip, cut_audio, cut_clip
from interlink.stage import Blob


def add_files(source: Path, clips: list[dict[str, Any]], video: str, audio: str, short_side: int, limit: int) -> None:
    """Fills `video` and `audio` (tables.CLIP_FILE) of each of `clips`, which has start and end in seconds.

    video: none | copy | exact. If mp4 does not support the codec, a copy is cut exactly instead, and `how` is `exact`.
    audio: none | m4a | flac. limit: bytes of all files; a clip that would exceed it has none.
    """
    left = limit
    with tempfile.TemporaryDirectory() as folder:
        for clip in clips:
            start, end = clip["start"], clip["end"]
            if video != "none":
                clip["video"] = _video(source, Path(folder), start, end, video, short_side, left)
                left -= _size(clip["video"])
            if audio != "none":
                target = Path(folder) / f"clip.{audio}"
                clip["audio"] = _made(audio, target, left, lambda: cut_audio(source, target, start, end))  # noqa: B023
                left -= _size(clip["audio"])


def _video(
    source: Path, folder: Path, start: float, end: float, how: str, short_side: int, left: int
) -> dict[str, Any]:
    target = folder / "clip.mp4"
    if how == "copy":
        copied = _made("copy", target, left, lambda: copy_clip(source, target, start, end))
        if not (copied["problem"] or "").startswith("unsupported"):
            return copied
    return _made("exact", target, left, lambda: cut_clip(source, target, start, end, short_side))


def _made(how: str, target: Path, left: int, make: Callable[[], Piece]) -> dict[str, Any]:
    """A CLIP_FILE: the file that `make` writes to `target`, or the reason why there is none."""
    nothing = {"how": how, "start": None, "end": None, "pictures": None, "file": None}
    try:
        if left <= 0:
            raise StageError("too_large", "the files of earlier clips use up keyframes.clip_megabytes")
        piece = make()
        size = target.stat().st_size
        if size > left:
            raise StageError("too_large", f"its {size / 1e6:.1f} MB do not fit into keyframes.clip_megabytes")
        data = target.read_bytes()
    except StageError as error:
        return {**nothing, "problem": f"{error.error_class}: {error}"}
    finally:
        target.unlink(missing_ok=True)
    return {
        "how": how,
        "start": piece.start,
        "end": piece.end,
        "pictures": piece.frames,
        "file": Blob(data, target.suffix),
        "problem": None,
    }


def _size(made: dict[str, Any]) -> int:
    return len(made["file"].data) if made["file"] else 0
