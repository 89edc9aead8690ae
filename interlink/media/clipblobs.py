"""The clips of a row as blobs: video, copied or cut exactly, and sound.

Costs one decoding of the pictures, and their encoding, for exact cuts; one decoding of the sound; a read of its packets
for each copied clip. The bytes of all files stay in memory until the row is finished, within a limit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from interlink.errors import StageError
from interlink.media.audio import Slices
from interlink.media.clipcopy import copy_clip
from interlink.media.clipfile import ExactClips, Piece, exact_clips, sound_of, write_audio
from interlink.stage import Blob


def add_files(
    source: Path,
    clips: list[dict[str, Any]],
    video: str,
    audio: str,
    short_side: int,
    limit: int,
    seek: bool = True,
) -> str:
    """Fills `video` and `audio` (tables.CLIP_FILE) of each of `clips`, which has start and end in seconds.

    video: none | copy | exact. If mp4 does not support the codec, a copy is cut exactly instead, and `how` is `exact`.
    audio: none | m4a | flac. limit: bytes of all files; a clip that would exceed it has none. seek: whether each time
    occurs once in the file. Returns a message about sound that could not be read; empty if there is none.
    """
    left = limit
    with tempfile.TemporaryDirectory() as folder, _Writer(source, Path(folder), short_side, seek) as writer:
        for clip in clips:
            start, end = clip["start"], clip["end"]
            if video != "none":
                clip["video"] = writer.video(video, start, end, left)
                left -= _size(clip["video"])
            if audio != "none":
                clip["audio"] = writer.sound(audio, start, end, left)
                left -= _size(clip["audio"])
        return writer.loss()


class _Writer:
    """Writes the files of one video. What decodes it is opened at the first clip that needs it, and kept."""

    def __init__(self, source: Path, folder: Path, short_side: int, seek: bool) -> None:
        self._source, self._folder, self._short_side, self._seek = source, folder, short_side, seek
        self._open = ExitStack()
        self._exact: ExactClips | None = None
        self._sound: list[Slices | None] = []  # empty: not opened yet

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def loss(self) -> str:
        heard = self._sound[0] if self._sound else None if self._exact is None else self._exact.sound
        return "" if heard is None else heard.sound.loss()

    def video(self, how: str, start: float, end: float, left: int) -> dict[str, Any]:
        target = self._folder / "clip.mp4"
        if how == "copy":
            copied = _made(how, target, left, lambda: copy_clip(self._source, target, start, end, seek=self._seek))
            if not (copied["problem"] or "").startswith("unsupported"):
                return copied
        return _made("exact", target, left, lambda: self._cut(target, start, end))

    def sound(self, how: str, start: float, end: float, left: int) -> dict[str, Any]:
        target = self._folder / f"clip.{how}"
        return _made(how, target, left, lambda: self._heard(target, start, end))

    def _cut(self, target: Path, start: float, end: float) -> Piece:
        if self._exact is None:
            self._exact = self._open.enter_context(exact_clips(self._source, self._short_side))
        return self._exact.cut(target, start, end)

    def _heard(self, target: Path, start: float, end: float) -> Piece:
        if not self._sound:
            self._sound.append(self._open.enter_context(sound_of(self._source)))
        return write_audio(self._source.name, self._sound[0], target, start, end)


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
