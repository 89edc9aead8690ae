"""Files of a build, on a local disk or any fsspec URL, where a commit is whole or absent.

Local: a temporary file in the same folder, fsync, rename, fsync of the folder. Object storage: the file is finished
locally and put once; never written through an open remote handle. Costs one round trip (or two fsyncs) per commit.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from interlink.errors import UserError

TEMPORARY = ".tmp-"  # names that begin so are never listed
_OPTIONS = {"hf": {"block_size": 2**16}}  # by protocol; the Hub's reads 5 MB beyond each range
SCRATCH = ".scratch"  # folder of a local storage for files that are being made


class Storage:
    """One folder, local or remote. Paths are relative, with forward slashes, and cannot leave it."""

    def __init__(self, url: str, options: dict[str, Any] | None = None) -> None:
        self.options = options or {}
        self.is_local = "://" not in url or url.startswith("file://")
        if self.is_local:
            self.url = str(Path(url.removeprefix("file://")).expanduser().absolute())
        else:
            self.url = url.rstrip("/")
        self._local = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "options": self.options, "is_local": self.is_local}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._local = threading.local()

    def __repr__(self) -> str:
        return f"Storage({self.url!r})"

    def full(self, path: str) -> str:
        """The absolute path or URL of `path`; refuses names that would leave this storage."""
        inside = _inside(path)
        return f"{self.url}/{inside}" if inside else self.url

    def file_system(self) -> Any:
        """The fsspec file system of a remote storage (one per thread), which must be installed."""
        if not hasattr(self._local, "fs"):
            import fsspec

            try:
                options = {
                    "use_listings_cache": False,
                    **_OPTIONS.get(self.url.partition("://")[0], {}),
                    **self.options,
                }
                self._local.fs, _ = fsspec.core.url_to_fs(self.url, **options)
            except (ImportError, ValueError) as error:
                raise UserError(
                    f"cannot open {self.url}: {error}", "install the extra for it: interlink[s3], [gcs] or [hub]", 2
                ) from error
        return self._local.fs

    # -- reading ------------------------------------------------------------------------------------------------

    def read(self, path: str) -> bytes:
        if self.is_local:
            return Path(self.full(path)).read_bytes()
        return bytes(self.file_system().cat_file(self.full(path)))

    def read_range(self, path: str, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`; EOFError when the file is shorter."""
        if self.is_local:
            with Path(self.full(path)).open("rb") as file:
                file.seek(offset)
                data = file.read(size)
        else:
            data = bytes(self.file_system().cat_file(self.full(path), start=offset, end=offset + size))
        if len(data) != size:
            raise EOFError(f"{self.full(path)}: {size} bytes wanted at {offset}, {len(data)} there")
        return data

    def read_into(self, path: str, offset: int, room: memoryview) -> None:
        """Fills `room` with the bytes from `offset`; EOFError when the file is shorter."""
        if self.is_local:
            read = 0
            with Path(self.full(path)).open("rb", buffering=0) as file:
                file.seek(offset)
                while read < len(room) and (more := file.readinto(room[read:])):
                    read += more
        else:
            data = self.file_system().cat_file(self.full(path), start=offset, end=offset + len(room))
            read = len(data)
            room[:read] = data
        if read != len(room):
            raise EOFError(f"{self.full(path)}: {len(room)} bytes wanted at {offset}, {read} there")

    def exists(self, path: str) -> bool:
        if self.is_local:
            return Path(self.full(path)).exists()
        return bool(self.file_system().exists(self.full(path)))

    def size(self, path: str) -> int:
        if self.is_local:
            return Path(self.full(path)).stat().st_size
        return int(self.file_system().size(self.full(path)))

    def names(self, folder: str = "") -> list[str]:
        """Names directly below `folder`, sorted; empty where there is no such folder."""
        if self.is_local:
            try:
                found = os.listdir(self.full(folder))  # noqa: PTH208, names are all that is wanted
            except FileNotFoundError:
                return []
        else:
            try:
                listed = self.file_system().ls(self.full(folder), detail=False)
            except FileNotFoundError:
                return []
            base = self.full(folder).split("://", 1)[1].rstrip("/")
            found = [name.rstrip("/").rsplit("/", 1)[-1] for name in listed if name.rstrip("/") != base]
        return sorted(name for name in found if not name.startswith(TEMPORARY))

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        """A local copy of one file (the file itself when it is local already)."""
        if self.is_local:
            yield Path(self.full(path))
            return
        with tempfile.TemporaryDirectory(prefix="interlink-") as folder:
            target = Path(folder) / PurePosixPath(path).name
            self.file_system().get_file(self.full(path), str(target))
            yield target

    # -- writing ------------------------------------------------------------------------------------------------

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Trouble with the storage is no item's fault: it stops the build with one line of what and one of what to do.

        Wrap what writes, and nothing that reads other files: each OSError in the block becomes a UserError.
        """
        try:
            yield
        except OSError as error:
            raise UserError(
                f"cannot write below {self.url}: {error}",
                "make room or mend the permissions and run the same command again: what was committed is kept",
            ) from error

    def write(self, path: str, data: bytes, durable: bool = True, private: bool = False) -> None:
        """Commits `data` under `path`, replacing what was there. Not `durable`: a power cut may lose it, never half.

        private: only the owner of a local file may read it.
        """
        if not self.is_local:
            self.file_system().pipe_file(self.full(path), data)
            return
        target = Path(self.full(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(target)
        try:
            if private:
                temporary.touch(0o600)
            with temporary.open("wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        if durable:
            sync_folder(target.parent)

    def create(self, path: str, data: bytes) -> bool:
        """Commits `data` under `path` only if nothing is there; False where something is."""
        if not self.is_local:
            try:
                self.file_system().pipe_file(self.full(path), data, mode="create")
            except FileExistsError:
                return False
            return True
        target = Path(self.full(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(target)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, target)  # fails where the name is taken, unlike rename
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(target.parent)
        return True

    def put(self, path: str, finished: Path) -> None:
        """Commits a finished local file under `path` and takes it away from where it was."""
        if not self.is_local:
            self.file_system().put_file(str(finished), self.full(path))
            finished.unlink()
            return
        target = Path(self.full(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        with finished.open("rb+") as file:
            os.fsync(file.fileno())
        try:
            finished.replace(target)
        except OSError:  # another disk: copy into the target folder first
            temporary = _temporary(target)
            try:
                shutil.copyfile(finished, temporary)
                with temporary.open("rb+") as file:
                    os.fsync(file.fileno())
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
            finished.unlink()
        sync_folder(target.parent)

    def settle(self, file: BinaryIO, begin: int, end: int) -> None:
        """Brings bytes [begin, end) of a long file that is being made to the disk, and releases their page cache.

        The kernel then writes on in pages that it has at hand; unwritten shards do not pile up, and what is written
        pushes nothing else out of its cache. Nothing is done for a remote storage, which reads the file back.
        """
        if not self.is_local:
            return
        file.flush()
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):  # not everywhere
            os.posix_fadvise(file.fileno(), begin, end - begin, os.POSIX_FADV_DONTNEED)

    def delete(self, path: str) -> None:
        """Removes one file; it is no error where there is none."""
        if self.is_local:
            Path(self.full(path)).unlink(missing_ok=True)
            return
        with suppress(FileNotFoundError):
            self.file_system().rm_file(self.full(path))

    def delete_folder(self, path: str) -> None:
        """Removes a folder with all that is below it."""
        if self.is_local:
            shutil.rmtree(self.full(path), ignore_errors=True)
            return
        with suppress(FileNotFoundError):
            self.file_system().rm(self.full(path), recursive=True)

    def scratch_file(self, suffix: str) -> tuple[Path, int]:
        """A new file in `scratch`, and its open descriptor; to be committed with `put`, or removed.

        Its mode is 0666 less the umask, unlike that of `tempfile.mkstemp`: others may read what is committed.
        """
        path = self.scratch() / f"{TEMPORARY}{uuid.uuid4().hex}{suffix}"
        return path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)

    def remove_leftovers(self, folder: str) -> None:
        """Removes what a killed process was writing directly below `folder` of a local storage.

        Call it only where no other process may be writing there. A remote storage holds no temporary files.
        """
        if self.is_local:
            for path in Path(self.full(folder)).glob(f"{TEMPORARY}*"):
                path.unlink(missing_ok=True)

    def scratch(self) -> Path:
        """A folder for files that are being made: on the same disk as a local storage, so that a commit is a rename."""
        if not self.is_local:
            return Path(tempfile.gettempdir())
        folder = Path(self.url) / SCRATCH
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@lru_cache(4096)
def _inside(path: str) -> str:
    """A relative path without what does nothing in it; empty for the folder itself. ValueError where it leads out."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f"{path!r} leaves its storage")
    return "" if str(pure) == "." else str(pure)


def _temporary(target: Path) -> Path:
    return target.parent / f"{TEMPORARY}{os.getpid()}-{threading.get_ident()}-{target.name}"


def usual_mode(paths: Iterable[Path]) -> None:
    """Gives files that a library wrote with mode 0600 the mode of new files: 0666 less the umask."""
    for path in paths:
        probe = _temporary(path)
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL, 0o666))  # reading the umask itself is not safe with threads
        try:
            path.chmod(probe.stat().st_mode & 0o777)
        finally:
            probe.unlink()


def sync_file(path: Path) -> None:
    """Waits until a file's bytes are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Waits until a folder's entries (names made, renamed or removed in it) are on the disk; not what is below them."""
    sync_file(folder)


def arrow_file(data: bytes) -> Any:
    """A file of bytes for Arrow to read that Python does not own.

    Arrow's threads let go of a Python object a moment after reading; a process that ends in that moment aborts.
    """
    import pyarrow as pa

    copy = pa.BufferOutputStream()
    copy.write(data)
    return pa.BufferReader(copy.getvalue())
