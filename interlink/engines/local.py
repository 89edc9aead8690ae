"""Models of the transformers library that run here: where they lie, which revision they are, batches that fit.

When memory runs out the batch is halved for good; what breaks a batch is found by trying its members alone.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from interlink.errors import StageError, UserError

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

_WHOLE_FILE = 16 * 2**20  # bytes; of larger files only both ends go into a folder's revision
_END = 2**20


class Batches(Generic[T, R]):
    """Groups a stream. size: as it is now, smaller once memory has run out; things: what is grouped, for the log."""

    def __init__(self, size: int, things: str) -> None:
        self.size = size
        self.things = things

    def run(
        self, stream: Iterable[T | None], work: Callable[[Sequence[T]], list[R]], lost: Callable[[T, StageError], R]
    ) -> Iterator[R]:
        """The results of `work` on batches, or of `lost` where even alone one did not go.

        None in the stream: there is no more yet, the batch goes as it is. It may only come while results are awaited,
        or where more follows.
        """
        source = iter(stream)
        waiting: deque[T] = deque()
        more = True
        while more or waiting:
            while more and len(waiting) < self.size:
                try:
                    one = next(source)
                except StopIteration:
                    more = False
                    break
                if one is not None:
                    waiting.append(one)
                elif waiting:
                    break
            if not waiting:
                continue
            batch = [waiting.popleft() for _ in range(min(self.size, len(waiting)))]
            fault: StageError
            try:
                yield from work(batch)
                continue
            except Exception as error:
                # The exception's frames hold the batch's tensors: only its meaning leaves this block.
                fault = _meaning(error)
            _free()
            if len(batch) == 1:
                yield lost(batch[0], fault)
            elif fault.error_class == "memory":
                self.size = max(1, len(batch) // 2)
                log.warning("out of memory with %d %s at once; going on with %d", len(batch), self.things, self.size)
                waiting.extendleft(reversed(batch))
            else:
                for member in batch:  # find the one that it was
                    yield from self.run([member], work, lost)


def _free() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def local_folder(model: str, where: str) -> Path | None:
    """The folder that a model name means, None for a hub id. where: the block of the recipe that names it.

    Raises UserError where no model is named, or one that is not there.
    """
    if not model:
        raise UserError("the transformers engine has no model", f"set {where}.model to a hub id or a local folder", 2)
    path = Path(model).expanduser()
    if path.is_dir():
        return path.absolute()
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1 or path.exists():
        raise UserError(f"there is no model folder {model}", f"set {where}.model to a hub id or a folder that exists")
    return None


def folder_revision(folder: Path) -> str:
    """`folder-` and 12 hex digits over its files: names, sizes, contents (of large ones the first and last MiB)."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(_ends(path))
    return f"folder-{digest.hexdigest()[:12]}"


def file_revision(path: Path) -> str:
    """`file-` and 12 hex digits over a file of weights: its size, and what `folder_revision` takes of it."""
    digest = hashlib.sha256(f"{path.stat().st_size}\0".encode())
    digest.update(_ends(path))
    return f"file-{digest.hexdigest()[:12]}"


def _ends(path: Path) -> bytes:
    """All of a file, or of a large one its ends."""
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
            "memory", "the model ran out of memory on this one alone; take a smaller model, or give it less"
        )
    return StageError("bug", f"{type(error).__name__}: {error}"[:1000])
