"""The folder of a release: complete or absent.

Local: files are written into a hidden folder next to it, which is renamed when all files are finished. Object storage:
a file is finished locally and uploaded once. RELEASE.json is uploaded last and is the commit; after an error the files
are removed. Costs a sha256 of every file (`SHA256SUMS`, for `sha256sum -c`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from interlink.errors import UserError
from interlink.storage import TEMPORARY, Storage, sync_file, sync_folder

COMMIT = "RELEASE.json"
SUMS = "SHA256SUMS"
MANY = 500  # files


@dataclass(frozen=True)
class File:
    """A finished file. path: relative to the release; size in bytes."""

    path: str
    size: int
    sha256: str


class Target:
    """The destination of a release. Use it as a context manager; without `commit` it leaves nothing behind.

    Raises UserError where the destination is not empty.
    """

    def __init__(self, url: str) -> None:
        self.storage = Storage(url)
        self.files: list[File] = []  # except those finished as one of many
        self.count = self.bytes = 0
        self._committed = False
        self._open: set[str] = set()
        if self.storage.is_local:
            self._final = Path(self.storage.url)
            self._check_local()
            self._final.parent.mkdir(parents=True, exist_ok=True)
            prefix = f"{TEMPORARY}{self._final.name}-{socket.gethostname()}-"
            _remove_stale(self._final.parent, prefix)
            self._work = self._final.parent / f"{prefix}{os.getpid()}"
            self._work.mkdir()
        else:
            self._check_remote()
            self._work = Path(tempfile.mkdtemp(prefix="interlink-release-"))
        self._sums = (self._work / SUMS).open("w")

    def begin(self, path: str) -> Path:
        """The local path to write the file `path` (relative, forward slashes) to; call `finish` when it is complete."""
        self.storage.full(path)  # raises for paths that lead out of the release
        self._open.add(path)
        local = self._work / path
        local.parent.mkdir(parents=True, exist_ok=True)
        return local

    def finish(self, path: str, one_of_many: bool = False) -> None:
        """Adds the complete file from `begin` to the release."""
        self._open.remove(path)
        local = self._work / path
        file = File(path, local.stat().st_size, _sha256(local))
        if not one_of_many:
            self.files.append(file)
        self.count += 1
        self.bytes += file.size
        self._sums.write(f"{file.sha256}  {path}\n")
        if not self.storage.is_local:
            self.storage.put(path, local)

    def write(self, path: str, data: bytes, one_of_many: bool = False) -> None:
        """Writes a small file."""
        self.begin(path).write_bytes(data)
        self.finish(path, one_of_many)

    def commit(self, description: bytes) -> None:
        """Writes the checksums and RELEASE.json (`description`), and publishes the release."""
        if self._open:
            raise AssertionError(f"unfinished: {sorted(self._open)}")
        self._sums.close()
        (self._work / COMMIT).write_bytes(description)
        if self.storage.is_local:
            _sync_tree(self._work, self.count)
            self._check_local()
            try:
                self._work.rename(self._final)  # replaces only an empty folder
            except OSError as error:
                raise UserError(f"cannot put the release at {self._final}: {error}", "choose another --out") from error
            sync_folder(self._final.parent)
        else:
            for name in (SUMS, COMMIT):
                self.storage.put(name, self._work / name)
        self._committed = True

    def __enter__(self) -> Target:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sums.close()
        if not self._committed and not self.storage.is_local:
            self.storage.delete_folder("")  # it was empty before
        shutil.rmtree(self._work, ignore_errors=True)

    def _check_local(self) -> None:
        if self._final.is_dir():
            if any(self._final.iterdir()):
                raise UserError(f"{self._final} is not empty", "choose another --out, or remove it first", 2)
        elif self._final.exists():
            raise UserError(f"{self._final} is a file", "choose a folder as --out", 2)

    def _check_remote(self) -> None:
        names = self.storage.names()
        if names:
            content = "holds a release" if COMMIT in names else "is not empty"
            raise UserError(f"{self.storage.url} {content}", "choose another --out, or remove it first", 2)


def _remove_stale(folder: Path, prefix: str) -> None:
    """Removes leftovers of killed releases of this machine next to the target."""
    import psutil

    for path in folder.glob(f"{prefix}*"):
        number = path.name[len(prefix) :]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(path, ignore_errors=True)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _sync_tree(folder: Path, files: int) -> None:
    if files > MANY:  # one call for all of them: syncing a million pictures one by one takes an hour
        os.sync()
        return
    for path in [*folder.rglob("*"), folder]:
        sync_file(path)
