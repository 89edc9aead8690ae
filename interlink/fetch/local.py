"""Local media files: their checksums, and the subtitle files next to them.

Costs one read of each file (about 1.8 GB/s per core).
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import threading
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from interlink.errors import StageError
from interlink.subtitles.files import SUFFIXES, UNREAD_SUFFIXES
from interlink.text.languages import Label, read_label

_BLOCK = 1 << 20
_SEPARATOR = re.compile(r"[.\s_\-\[(（]")
_MOST_BYTES = 200_000_000  # of a subtitle file


@dataclass(frozen=True)
class Subtitle:
    """A subtitle file. language: from its name or the site, or empty."""

    name: str
    language: str
    data: bytes


def irregular(path: Path) -> str:
    """What a name is if it is no file that can be read to its end: a pipe, a device, a link to itself; else empty.

    A missing file is none of these.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return "a link that leads back to itself" if error.errno == errno.ELOOP else ""
    kinds = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
    devices = ((stat.S_ISBLK, "a device"), (stat.S_ISCHR, "a device"))
    return next((f"{what}, not a file" for matches, what in (*kinds, *devices) if matches(mode)), "")


def digest(path: Path, progress: Callable[[], None], most_bytes: float = float("inf")) -> tuple[str, int]:
    """(sha256, bytes) of a regular file. Raises StageError gone, unreadable, or too_large beyond `most_bytes`."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise StageError("unreadable", f"{path.name} is {kind}")
        if status.st_size > most_bytes:
            raise StageError("too_large", f"{path.name} has {status.st_size} bytes, the recipe allows {most_bytes:.0f}")
        total, size = hashlib.sha256(), 0
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                total.update(block)
                size += len(block)
                progress()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StageError("gone", f"{path.name} no longer exists") from error
    except OSError as error:
        raise StageError("unreadable", f"{path.name}: {error.strerror}") from error
    return total.hexdigest(), size


class Sidecars:
    """Finds the subtitle files of a media file: `<stem>.vtt`, `<stem>.<label>.srt` … Lists each folder once.

    A label is a language (`en`, `pt-BR`, `English`), a kind (`forced`, `sdh`) or several of them
    (`interlink.text.languages`). A file belongs to the longest stem of a media file that fits. Names are compared in
    Unicode's form NFC: some systems write accents as characters of their own.
    """

    def __init__(self, extensions: Iterable[str] = ()) -> None:
        """extensions: of media files, whose stems claim files."""
        self._lock = threading.Lock()
        self._extensions = frozenset(f".{extension.lower()}" for extension in extensions)
        self._folders: dict[Path, _Folder] = {}

    def find(self, folder: Path, stem: str, rivals: Path | None = None) -> tuple[list[Subtitle], list[str]]:
        """The subtitles of `stem` in `folder`, by name, and a message for each file that cannot be read.

        Chapters, chats and the like are left out. rivals: the folder of the media files, if it is another.
        """
        found: list[Subtitle] = []
        lost: list[str] = []
        for name, label in self._claimed(folder, _nfc(stem), rivals or folder):
            if label.never_speech:
                continue
            try:
                found.append(Subtitle(name, label.language, _read(folder / name)))
            except OSError as error:
                lost.append(f"{name}: {error.strerror}")
        return found, lost

    def unclaimed(self, folder: Path, stems: Iterable[str], rivals: Path | None = None) -> list[str]:
        """Names of the files in `folder` that look like subtitles and belong to none of `stems` or the media files."""
        listed, media = self._listed(folder), rivals or folder
        owners = {_nfc(stem) for stem in stems} | self._listed(media).media
        claimed = {name for stem in owners for name, _ in self._claimed(folder, stem, media)}
        return sorted({name for _, name in listed.subtitles} - claimed | set(listed.unread))

    def _claimed(self, folder: Path, stem: str, rivals: Path) -> list[tuple[str, Label]]:
        longer = self._listed(rivals).media
        found = []
        for base, name in self._listed(folder).by_start.get(stem, ()):
            label = read_label(base[len(stem) :])
            rival = label is not None and any(
                start != stem and start in longer and read_label(base[len(start) :]) is not None
                for start in _starts(base)
                if len(start) > len(stem)
            )
            if label is not None and not rival:
                found.append((name, label))
        return found

    def _listed(self, folder: Path) -> _Folder:
        with self._lock:
            if folder not in self._folders:
                self._folders[folder] = _listing(folder, self._extensions)
            return self._folders[folder]


@dataclass(frozen=True)
class _Folder:
    """What a folder holds. subtitles: (stem, name) of those that are read; unread: names of other formats.

    by_start: every part of a stem that could be that of its video -> the subtitles. media: stems of media files.
    """

    subtitles: list[tuple[str, str]]
    unread: list[str]
    by_start: dict[str, list[tuple[str, str]]]
    media: frozenset[str]


def _listing(folder: Path, extensions: frozenset[str]) -> _Folder:
    subtitles, unread, media = [], [], set()
    by_start: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for path in _files(folder):
        stem, suffix = _nfc(path.stem), path.suffix.lower()
        if suffix in SUFFIXES:
            subtitles.append((stem, path.name))
            for start in _starts(stem):
                by_start[start].append((stem, path.name))
        elif suffix in UNREAD_SUFFIXES:
            unread.append(path.name)
        elif suffix in extensions:
            media.add(stem)
    return _Folder(subtitles, unread, dict(by_start), frozenset(media))


def _starts(stem: str) -> list[str]:
    """The stem, and its beginnings before each separator."""
    return [*(stem[: match.start()] for match in _SEPARATOR.finditer(stem) if match.start()), stem]


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _read(path: Path) -> bytes:
    """The bytes of a regular file. Raises OSError for others, without opening them: a pipe would block."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file; skipped")
    if status.st_size > _MOST_BYTES:
        raise OSError(errno.EFBIG, f"{status.st_size} bytes are too many for subtitles; skipped")
    return path.read_bytes()


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # reading the media file reports it
        return []
