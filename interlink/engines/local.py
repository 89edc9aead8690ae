"""Local models of the transformers library: their folders, revisions, and batches that fit into memory.

When memory runs out, the batch size is halved for good. If a batch fails, its members are tried one by one.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

from interlink.errors import StageError, UserError

log = logging.getLogger(__name__)

T = TypeVar("T")
P = TypeVar("P")
R = TypeVar("R")

_WHOLE_FILE = 16 * 2**20  # bytes; of larger files, only both ends are hashed for a folder's revision
_END = 2**20


class Batches(Generic[T, P, R]):
    """Batches a stream. size: the current batch size, smaller once memory has run out; things: their name in logs.

    prepare: the CPU work on a batch. It runs in another thread while the model works on the previous batch, and `ahead`
    more batches are read. work: the model's work. lost: makes the answer for a member that fails even alone.
    """

    def __init__(
        self,
        size: int,
        things: str,
        prepare: Callable[[Sequence[T]], P],
        work: Callable[[Sequence[T], P], list[R]],
        lost: Callable[[T, StageError], R],
        ahead: int = 0,
    ) -> None:
        self.size = size
        self.things = things
        self._prepare = prepare
        self._work = work
        self._lost = lost
        self._ahead = ahead

    def run(self, stream: Iterable[T | None]) -> Iterator[R]:
        """Yields the answers.

        None in the stream means that there are no more members yet, so the batch is processed as it is. It may only
        occur while results are awaited, or if more members follow.
        """
        source = iter(stream)
        waiting: deque[T] = deque()
        flying: deque[tuple[list[T], Future[P]]] = deque()  # read, in preparation
        more = True
        with ThreadPoolExecutor(1, "prepare") as hands:
            while more or waiting or flying:
                while len(flying) <= self._ahead and (more or waiting):
                    more = more and self._read(source, waiting, bool(flying))
                    if not waiting:
                        break
                    batch = [waiting.popleft() for _ in range(min(self.size, len(waiting)))]
                    flying.append((batch, hands.submit(self._prepare, batch)))
                if not flying:
                    continue
                batch, prepared = flying.popleft()
                fault: StageError
                try:
                    yield from self._work(batch, prepared.result())
                    continue
                except Exception as error:
                    # The exception's frames hold the batch's tensors: only the StageError leaves this block.
                    fault = _meaning(error)
                del prepared
                _free()
                if len(batch) == 1:
                    yield self._lost(batch[0], fault)
                elif fault.error_class == "memory":
                    self.size = max(1, len(batch) // 2)
                    log.warning(
                        "out of memory with a batch of %d %s; continuing with %d", len(batch), self.things, self.size
                    )
                    for others, _ in reversed(flying):  # prepared for the old size
                        waiting.extendleft(reversed(others))
                    flying.clear()
                    waiting.extendleft(reversed(batch))
                else:
                    for member in batch:  # find the member that failed
                        yield self._alone(member)

    def _read(self, source: Iterator[T | None], waiting: deque[T], busy: bool) -> bool:
        """Fills `waiting` up to a batch; False at the end of the stream. busy: whether a batch is in work."""
        while len(waiting) < self.size:
            try:
                one = next(source)
            except StopIteration:
                return False
            if one is not None:
                waiting.append(one)
            elif waiting or busy:
                break
        return True

    def _alone(self, member: T) -> R:
        try:
            return self._work([member], self._prepare([member]))[0]
        except Exception as error:
            fault = _meaning(error)
        _free()
        return self._lost(member, fault)


def _free() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def local_folder(model: str, where: str) -> Path | None:
    """The folder of a model name, None for a hub id. where: the block of the recipe that names it.

    Raises UserError where no model is named, or its folder does not exist.
    """
    if not model:
        raise UserError(f"{where} has no model", f"set {where}.model to a hub id or a local folder", 2)
    path = Path(model).expanduser()
    if path.is_dir():
        return path.absolute()
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1 or path.exists():
        raise UserError(
            f"the model folder {model} does not exist", f"set {where}.model to a hub id or a folder that exists"
        )
    return None


def folder_revision(folder: Path) -> str:
    """`folder-` and 12 hex digits of a hash of its files: names, sizes, contents (of large files both ends)."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(_ends(path))
    return f"folder-{digest.hexdigest()[:12]}"


def file_revision(path: Path) -> str:
    """`file-` and 12 hex digits of a hash of a weights file: its size and contents, as in `folder_revision`."""
    digest = hashlib.sha256(f"{path.stat().st_size}\0".encode())
    digest.update(_ends(path))
    return f"file-{digest.hexdigest()[:12]}"


def _ends(path: Path) -> bytes:
    """The contents of a file, or both ends of a large one."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE_FILE:
            return file.read()
        begin = file.read(_END)
        file.seek(-_END, 2)
        return begin + file.read()


def _meaning(error: Exception) -> StageError:
    import torch

    if isinstance(error, StageError):
        return StageError(error.error_class, str(error))
    words = str(error).lower()
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in words or "can't allocate memory" in words)
    ):
        return StageError(
            "memory", "the model ran out of memory on a single input; use a smaller model or smaller inputs"
        )
    return StageError("bug", f"{type(error).__name__}: {error}"[:1000])
