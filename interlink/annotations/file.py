"""Looks up the entries of a video in an annotation file.

The first process that opens a file indexes it and stores the index (24 bytes per video) in ROOT/cache/annotations,
under the file's sha256; all others read that index. A file of gigabytes thus costs each process one checksum (1.8 GB/s)
and no parsing.
"""

from __future__ import annotations

import hashlib
import io
import json
import mmap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from interlink.annotations.entries import VIDEO_COLUMNS, Span, row_of, spans_of, video_column
from interlink.annotations.scan import json_entries, lines
from interlink.delimited import cells_of
from interlink.errors import StageError, UserError
from interlink.storage import Storage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAPPED = 64 * 2**20  # bytes of a file that stay mapped while it is indexed


_PREFIX = "v_"  # of ActivityNet's video ids, in some of its files and in the names of its videos


class AnnotationFile:
    """Annotations by video. name: the file's name; revision: 16 digits of its sha256."""

    def __init__(self, path: str, setting: str, root: Storage) -> None:
        """Raises UserError with the file's name where it is missing, or is neither a table nor a JSON object.

        setting: the key of the recipe that names it. root: root of the build, for the index.
        """
        self._path = Path(path).expanduser()
        self._setting = setting
        self.name = self._path.name
        self._is_table = self._path.suffix.lower() == ".tsv"
        if not self._is_table and self._path.suffix.lower() != ".json":
            raise self._wrong("its name ends neither in .tsv nor in .json")
        if self._path.exists() and not self._path.is_file():
            raise self._wrong("it is not a regular file")
        try:
            self._file = self._path.open("rb")
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}", f"check {setting}", 2) from error
        self._columns = self._header() if self._is_table else ()
        digest = hashlib.sha256()
        while block := self._file.read(1 << 20):
            digest.update(block)
        self.revision = digest.hexdigest()[:16]
        self._places = self._indexed(root, digest.hexdigest())

    def close(self) -> None:
        self._file.close()

    def find(self, video_id: str, item_id: str, path: str) -> list[Span] | None:
        """The spans of a video in order of time; None where the file does not have it.

        Looks for the site's id, the item's id and the name of the video's file, then for each with or without the
        prefix `v_` of ActivityNet's ids. Several rows of one video are joined.
        Raises StageError `unreadable` with file and video where the entry is damaged, or another video of that name
        cannot be distinguished from it.
        """
        full = str(PurePosixPath(path).with_suffix("")) if path else ""
        keys = [key for key in (video_id, item_id, PurePosixPath(full).name, PurePosixPath(path).name) if key]
        for key in dict.fromkeys((*keys, *map(_other_form, keys))):
            entries = list(self._entries(key))
            names = {name for name, _ in entries}
            if len(names) > 1:
                entries = [entry for entry in entries if entry[0] in (full, _other_form(full))]
                if not entries:
                    examples = ", ".join(sorted(names)[:3])
                    raise StageError("unreadable", f"{self.name} has several videos named {key} ({examples})")
            if entries:
                # If a JSON object repeats a key, the last one counts, as in other JSON readers.
                used = entries if self._is_table else entries[-1:]
                spans = [span for name, value in used for span in self._spans(name, value)]
                return sorted(spans, key=lambda span: (span.start, span.end))
        return None

    def _spans(self, name: str, value: Any) -> list[Span]:
        try:
            return spans_of(value)
        except ValueError as error:
            raise StageError("unreadable", f"{self.name}, video {name}: {error}") from error

    def _entries(self, key: str) -> Iterator[tuple[str, Any]]:
        """(name, value) of every entry with a name that ends in `key`."""
        import numpy as np

        place = _place(key)
        begin, end = (int(np.searchsorted(self._places[:, 0], place, side)) for side in ("left", "right"))
        for offset, size in self._places[begin:end, 1:].tolist():
            self._file.seek(offset)
            raw = self._file.read(size)
            try:
                if self._is_table:
                    name, value = row_of(raw.decode("utf-8"), self._columns)
                else:
                    ((name, value),) = json.loads(b"{" + raw + b"}").items()
            except (ValueError, RecursionError) as error:
                raise StageError("unreadable", f"{self.name}, video {key} (byte {offset}): {error}") from error
            if PurePosixPath(name).name == key:  # else another key with the same hash
                yield name, value

    def _header(self) -> tuple[str, ...]:
        first = self._file.readline().decode("utf-8-sig", "replace")
        self._file.seek(0)
        columns = tuple(cell.strip() for cell in first.split("\t"))
        if "clips" not in columns or not set(columns) & set(VIDEO_COLUMNS):
            raise self._wrong(
                f"its first line does not name the columns path and clips, but {', '.join(columns)[:200]}"
            )
        return columns

    def _indexed(self, root: Storage, digest: str) -> NDArray[np.int64]:
        """Rows (hash of the key, offset, size), sorted by hash and offset."""
        import numpy as np

        kept = f"cache/annotations/{digest[:32]}.npy"
        try:
            found: NDArray[np.int64] = np.load(io.BytesIO(root.read(kept)), allow_pickle=False)
            if found.dtype == np.int64 and found.ndim == 2:
                return found
        except (FileNotFoundError, ValueError, EOFError):
            pass  # missing or damaged: build it
        try:
            # Mapped, so that regular expressions run over it. Pages already read are released: they count as memory.
            with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                places, seen = [], 0
                for key, offset, size in self._scan(data):
                    places.append((_place(key), offset, size))
                    if offset - seen > _MAPPED:
                        data.madvise(mmap.MADV_DONTNEED)
                        seen = offset
        except ValueError as error:
            raise self._wrong("it is empty" if not self._path.stat().st_size else str(error)) from error
        made = np.array(sorted(places), np.int64).reshape(-1, 3)
        buffer = io.BytesIO()
        np.save(buffer, made, allow_pickle=False)
        root.write(kept, buffer.getvalue(), durable=False)
        return made

    def _scan(self, data: mmap.mmap) -> Iterator[tuple[str, int, int]]:
        """(last part of the name, offset, size) of each entry."""
        if not self._is_table:
            for key, offset, size in json_entries(data):
                yield PurePosixPath(key).name, offset, size
            return
        rows = lines(data)
        next(rows)
        for offset, line in rows:
            try:
                row = dict(zip(self._columns, cells_of(line.decode("utf-8", "replace")), strict=False))
                name = video_column(row, self._columns)
            except (ValueError, KeyError) as error:
                raise ValueError(f"the line at byte {offset} cannot be read: {error}") from error
            yield PurePosixPath(name).name, offset, len(line)

    def _wrong(self, why: str) -> UserError:
        return UserError(
            f"{self._path} holds no annotations: {why}",
            f"{self._setting} must be a TSV with `path` and `clips`, or a JSON object with one entry per video",
            2,
        )


def _place(key: str) -> int:
    return int.from_bytes(
        hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big", signed=True
    )


def _other_form(key: str) -> str:
    """A video's id without the prefix `v_`, or with it."""
    folder, slash, name = key.rpartition("/")
    return folder + slash + (name.removeprefix(_PREFIX) if name.startswith(_PREFIX) else _PREFIX + name)
