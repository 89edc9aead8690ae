"""Where the catalogue of a build lies: in ROOT/view, or in the user's cache where the root is remote or read-only.

    <folder>/current            the name of the finished catalogue
    <folder>/<state>/           a catalogue; `state` stands for the tables that it was made from
    <folder>/.tmp-…/            one that is being made; a killed process leaves it, the next maker removes it

Whole or absent: a catalogue is made in a temporary folder, synced and renamed, then named by `current`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from interlink.storage import TEMPORARY, Storage, sync_file, sync_folder

FOLDER = "view"
_CURRENT = "current"
_LOCK = "making"


def folder_of(storage: Storage) -> Path:
    """The folder for catalogues of what lies in `storage`; made where it is absent."""
    if storage.is_local:
        inside = Path(storage.url) / FOLDER
        try:
            inside.mkdir(exist_ok=True)
            if os.access(inside, os.W_OK):
                return inside
        except OSError:
            pass  # a read-only root
    return cache_folder(storage.url)


def cache_folder(url: str) -> Path:
    """The folder for `url` in the user's cache; made where it is absent."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "interlink" / FOLDER / hashlib.sha256(url.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def current(folder: Path) -> Path | None:
    """The finished catalogue, if there is one."""
    try:
        name = (folder / _CURRENT).read_text().strip()
    except FileNotFoundError:
        return None
    found = folder / name
    return found if name and "/" not in name and found.is_dir() else None


@contextlib.contextmanager
def making(folder: Path, state: str) -> Iterator[Path]:
    """A folder to make the catalogue `state` in. It becomes the current one where the block ends without an error."""
    import fcntl

    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the system releases it when its process ends, however it ends
        for left in folder.glob(f"{TEMPORARY}*"):
            shutil.rmtree(left, ignore_errors=True)
        temporary = folder / f"{TEMPORARY}{uuid.uuid4().hex}"
        temporary.mkdir()
        try:
            yield temporary
            for path in temporary.iterdir():
                sync_file(path)
            _replace(temporary, folder / state)
            pointer = folder / f"{TEMPORARY}{_CURRENT}"
            pointer.write_text(state)
            sync_file(pointer)
            pointer.replace(folder / _CURRENT)
            sync_folder(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        for old in folder.iterdir():
            if old.is_dir() and old.name != state:
                shutil.rmtree(old, ignore_errors=True)  # who has it open keeps its bytes


def _replace(temporary: Path, target: Path) -> None:
    if target.exists():
        shutil.rmtree(target)
    temporary.replace(target)
