"""Records what a program does to the files below a folder, and lets one of these operations fail.

    with Disk(folder) as disk: ...          # disk.operations: what was done, in order
    with Disk(folder, Fault(7, "kill")): ... # the process dies by SIGKILL at the eighth operation

Python's own file functions are replaced while the block runs; the program itself knows nothing of it. Files that native
code writes are not seen until Python renames or syncs them.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FAULTS = ("kill", "power cut: data lost", "power cut: names lost", "ENOSPC", "EIO")
_GROWS = ("open", "write", "mkdir", "link")  # what a full disk refuses
_REAL = {
    name: getattr(os, name)
    for name in ("open", "replace", "rename", "link", "unlink", "remove", "fsync", "mkdir", "rmdir")
}
_real_open = io.open


@dataclass(frozen=True)
class Operation:
    """kind: open (a file is made or emptied), write, fsync, rename, link, unlink, mkdir or rmdir. Paths are relative.

    target: the new name of a rename or link. is_folder: of an fsync.
    """

    kind: str
    path: str
    target: str = ""
    is_folder: bool = False


@dataclass(frozen=True)
class Fault:
    """What happens at operation number `at`, in place of it (a write is half done first).

    kill: SIGKILL. power cut: SIGKILL, and either all bytes that were not synced are lost, or all changes of names in
    folders that were not synced since. EIO: this operation alone fails. ENOSPC: it fails, and so does all later growth.
    """

    at: int
    how: str


class Disk:
    """Use as a context manager. `operations`: what was done below `folder` so far, the one that failed included."""

    def __init__(self, folder: Path, fault: Fault | None = None) -> None:
        self.folder = f"{folder.absolute()}{os.sep}"
        self.fault = fault
        self.operations: list[Operation] = []
        self._lock = threading.RLock()
        self._unsynced: set[str] = set()  # files with bytes that a power cut would take
        self._undo: list[tuple[str, Callable[[], None]]] = []  # (folder, how to take a change of its names back)
        self._kept = Path(tempfile.mkdtemp(prefix="kept-", dir=folder.parent))
        self._full = False

    # -- what the program calls ---------------------------------------------------------------------------------

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & (os.O_CREAT | os.O_TRUNC) and (name := self._below(path)):
            with self._lock:
                self._step(Operation("open", self._relative(name)))
                self._unsynced.add(name)
                return int(_REAL["open"](path, flags, mode))
        return int(_REAL["open"](path, flags, mode, dir_fd=dir_fd))

    def _io_open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        name = self._below(file)
        if not name or not set(mode) & set("wxa+") or opener is not None:
            return _real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        with self._lock:
            if not isinstance(file, int) and set(mode) & set("wxa"):
                self._step(Operation("open", self._relative(name)))
                self._unsynced.add(name)
            raw = _File(self, file, mode.replace("b", "").replace("t", ""), closefd)
        if buffering == 0:
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        buffer = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
        return buffer if "b" in mode else io.TextIOWrapper(buffer, encoding, errors, newline)

    def _rename(self, source: Any, target: Any, **_: Any) -> None:
        old, new = self._below(source), self._below(target)
        if (not old and not new) or not os.path.lexists(source):
            return _REAL["replace"](source, target)
        with self._lock:
            self._step(Operation("rename", self._relative(old), self._relative(new)))
            kept = self._keep(new)
            _REAL["replace"](source, target)
            self._moved(old, new)
            self._undo.append((str(Path(new).parent), lambda: self._rename_back(old, new, kept)))
        return None

    def _link(self, source: Any, target: Any, **_: Any) -> None:
        old, new = self._below(source), self._below(target)
        with self._lock:
            self._step(Operation("link", self._relative(old), self._relative(new)))
            _REAL["link"](source, target)
            self._undo.append((str(Path(new).parent), lambda: _REAL["unlink"](new)))

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        name = self._below(path, dir_fd)
        if not name or not os.path.lexists(name):
            return _REAL["unlink"](path, dir_fd=dir_fd)
        with self._lock:
            self._step(Operation("unlink", self._relative(name)))
            kept = self._keep(name)
            _REAL["unlink"](path, dir_fd=dir_fd)
            self._unsynced.discard(name)
            self._undo.append((str(Path(name).parent), lambda: _put_back(kept, name)))
        return None

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        name = self._below(path, dir_fd)
        if not name or os.path.lexists(name) or not Path(name).parent.is_dir():
            return _REAL["mkdir"](path, mode, dir_fd=dir_fd)  # which only finds out what to make first
        with self._lock:
            self._step(Operation("mkdir", self._relative(name)))
            return _REAL["mkdir"](path, mode, dir_fd=dir_fd)

    def _rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        name = self._below(path, dir_fd)
        if not name:
            return _REAL["rmdir"](path, dir_fd=dir_fd)
        with self._lock:
            self._step(Operation("rmdir", self._relative(name)))
            _REAL["rmdir"](path, dir_fd=dir_fd)
            self._undo.append((str(Path(name).parent), lambda: _REAL["mkdir"](name)))
        return None

    def _fsync(self, descriptor: Any) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        name = self._below(number)
        if not name:
            return _REAL["fsync"](number)
        is_folder = Path(name).is_dir()
        with self._lock:  # nothing is brought to the real disk: the test is faster, and sees no difference
            self._step(Operation("fsync", self._relative(name), is_folder=is_folder))
            self._unsynced.discard(name)
            if is_folder:
                self._undo = [(folder, undo) for folder, undo in self._undo if folder != name]
        return None

    def written(self, name: str, data: Any, write: Callable[[Any], int]) -> int:
        """Hands bytes for a file to `write`; half of them where this is the operation that fails."""
        with self._lock:
            self._unsynced.add(name)
            half = memoryview(data).cast("B")[: len(memoryview(data).cast("B")) // 2]
            self._step(Operation("write", self._relative(name)), lambda: write(half))
            return write(data)

    # -- faults -------------------------------------------------------------------------------------------------

    def _step(self, operation: Operation, part: Callable[[], object] = lambda: None) -> None:
        number = len(self.operations)
        self.operations.append(operation)
        if self._full and operation.kind in _GROWS:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.fault is None or number != self.fault.at:
            return
        part()
        how = self.fault.how
        if how == "ENOSPC":
            self._full = True
        if how in ("ENOSPC", "EIO"):
            number = errno.ENOSPC if how == "ENOSPC" else errno.EIO
            raise OSError(number, os.strerror(number), self.folder + operation.path)
        if how == "power cut: data lost":
            for name in self._unsynced:
                if Path(name).exists():
                    os.truncate(name, 0)
        if how == "power cut: names lost":
            for _, undo in reversed(self._undo):
                undo()
        os.kill(os.getpid(), signal.SIGKILL)

    def _keep(self, name: str) -> Path | None:
        """A second name, outside the folder, for the file that is about to go."""
        if not name or not Path(name).is_file():
            return None
        kept = self._kept / str(len(self.operations))
        _REAL["link"](name, kept)
        return kept

    def _rename_back(self, old: str, new: str, kept: Path | None) -> None:
        _REAL["replace"](new, old)
        if kept is not None:
            _REAL["replace"](kept, new)

    def _moved(self, old: str, new: str) -> None:
        """Unsynced files keep what they lack under their new names."""
        inside = {name for name in self._unsynced if name == old or name.startswith(f"{old}/")}
        self._unsynced -= inside
        self._unsynced |= {new + name[len(old) :] for name in inside}

    # -- paths, and the block -----------------------------------------------------------------------------------

    def _below(self, file: Any, folder: int | None = None) -> str:
        """The absolute path of a path or open file below the folder; empty for all others.

        folder: descriptor of the folder that a relative path starts in.
        """
        if folder is not None:
            file = f"{os.readlink(f'/proc/self/fd/{folder}')}/{os.fsdecode(file)}"  # noqa: PTH115
        if isinstance(file, int):
            try:
                name = os.readlink(f"/proc/self/fd/{file}")  # noqa: PTH115
            except OSError:
                return ""
        else:
            name = os.path.abspath(os.fsdecode(file))  # noqa: PTH100
        return name if f"{name}{os.sep}".startswith(self.folder) else ""

    def _relative(self, name: str) -> str:
        return name[len(self.folder) :] if name else ""

    def __enter__(self) -> Disk:
        ours = {"open": self._open, "replace": self._rename, "rename": self._rename, "link": self._link,
                "unlink": self._unlink, "remove": self._unlink, "fsync": self._fsync, "mkdir": self._mkdir,
                "rmdir": self._rmdir}  # fmt: skip
        _replace(ours, self._io_open)
        return self

    def __exit__(self, *_: object) -> None:
        _replace(_REAL, _real_open)
        shutil.rmtree(self._kept, ignore_errors=True)


def _replace(functions: dict[str, Any], io_open: Any) -> None:
    for name, function in functions.items():
        setattr(os, name, function)
    io.open = builtins.open = io_open


class _File(io.FileIO):
    """An unbuffered file that reports each write to the disk's record."""

    def __init__(self, disk: Disk, file: Any, mode: str, closefd: bool) -> None:
        super().__init__(file, mode, closefd)
        self._disk = disk

    def write(self, data: Any) -> int:
        name = self._disk._below(self.fileno())
        write = super().write
        return self._disk.written(name, data, lambda some: int(write(some) or 0))


def _put_back(kept: Path | None, name: str) -> None:
    if kept is not None:
        _REAL["replace"](kept, name)


def unsafe(operations: list[Operation]) -> list[str]:
    """Operations by which a reader, or a power cut, could come to see half a file under a final name.

    Claims are not durable by design: they may be lost, so they are never synced.
    """
    wrong = []
    dirty = set()
    for number, operation in enumerate(operations):
        path, target = Path(operation.path), Path(operation.target)
        if operation.kind in ("open", "write"):
            dirty.add(operation.path)
            if not path.name.startswith(".tmp-"):
                wrong.append(f"{path} is opened under its final name")
        elif operation.kind == "fsync":
            dirty.discard(operation.path)
        elif operation.kind in ("rename", "link") and not target.name.startswith("claim-"):
            if operation.path in dirty:
                wrong.append(f"{target} is renamed before it is synced")
            if path.parent not in (target.parent, Path(".scratch")):
                wrong.append(f"{target} comes from another folder")
            later = [other for other in operations[number + 1 :] if other.kind != "unlink"][:1]
            if not later or not later[0].is_folder or later[0].path != str(target.parent).removeprefix("."):
                wrong.append(f"{target} appears in a folder that is not synced after")
    return wrong


def in_child(work: Callable[[], object]) -> int:
    """Runs `work` in a fork of this process; its exit code (1: it raised), or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
