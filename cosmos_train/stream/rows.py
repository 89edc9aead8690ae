"""Files of rows as shards: Parquet (OBELICS, NeMo Curator, our releases) and JSON lines (MMC4, OBELICS, zipped or not).

A row becomes the bytes of a tar sample, so that everything after it is the same for all files. Costs: JSON lines are
read once to find the lines, then a line a sample; each process unpacks a zip into a temporary file. Parquet costs one
row group a sample, unless it is among the last ones read: for long runs, write tars.
"""

from __future__ import annotations

import json
import tempfile
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cosmos_train.errors import UserError
from cosmos_train.stream.index import Columns
from interlink.shards import curated, tar
from interlink.storage import Storage

LINES = (".jsonl", ".ndjson", ".jsonl.zip")
PARQUET = ".parquet"
SUFFIXES = (*LINES, PARQUET)
_GROUPS = 4  # row groups of one file kept in memory
_PICTURES = ((b"\x89PNG", "png"), (b"RIFF", "webp"))  # how they begin; all others are taken for JPEG


class Rows:
    """One file of rows. Use `columns` for its samples, `sample` for the bytes of one."""

    def __init__(self, storage: Storage, name: str) -> None:
        """Raises UserError if the file cannot be read."""
        self._storage, self._name = storage, name
        import pyarrow as pa

        try:
            self._read: _Lines | _Table = (_Table if name.endswith(PARQUET) else _Lines)(storage, name)
        except FileNotFoundError:
            raise UserError(f"there is no shard {storage.full(name)}", "check the path of the shards") from None
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, pa.ArrowException) as error:
            raise UserError(
                f"{storage.full(name)} cannot be read: {error}", "copy it again, or leave it out"
            ) from error
        self.columns = self._read.columns()

    def sample(self, number: int) -> bytes:
        """A row as a tar sample: its record as `json`, and its pictures. Raises OSError, EOFError or ValueError."""
        record, members = _packed(self._read.record(number))
        content = json.dumps(record, ensure_ascii=False, default=str).encode()
        return tar.sample(f"row-{number:09d}", [("json", content), *members])


class _Lines:
    """JSON lines. Opens its file when it is needed: a pickled one has none."""

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage, self._name = storage, name
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()
        places, offset = [], 0
        for line in self._opened():
            if line.strip():
                places.append((offset, len(line)))
            offset += len(line)
        self._places = np.array(places, np.int64).reshape(-1, 2)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"} | {"_file": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def columns(self) -> Columns:
        return _columns([f"{self._name}#{number}" for number in range(len(self._places))], self._places[:, 1])

    def record(self, number: int) -> dict[str, Any]:
        offset, size = (int(value) for value in self._places[number])
        with self._lock:
            file = self._opened()
            file.seek(offset)
            data = file.read(size)
        if len(data) != size:
            raise EOFError(f"{self._name}: {size} bytes wanted at {offset}, {len(data)} there")
        found = json.loads(data)
        if not isinstance(found, dict):
            raise ValueError(f"the record is a {type(found).__name__}, not an object")
        return found

    def _opened(self) -> BinaryIO:
        if self._file is None:
            if self._storage.is_local and not self._name.endswith(".zip"):
                self._file = Path(self._storage.full(self._name)).open("rb")  # noqa: SIM115
            else:
                self._file = self._copied()
        return self._file

    def _copied(self) -> BinaryIO:
        """A temporary copy, unpacked: all lines of all files in a zip."""
        copy: Any = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this object
        with self._storage.local(self._name) as path:
            if self._name.endswith(".zip"):
                with zipfile.ZipFile(path) as archive:
                    for member in sorted(archive.namelist()):
                        if member.endswith((".jsonl", ".ndjson")):
                            copy.write(archive.read(member).rstrip(b"\n") + b"\n")
            else:
                copy.write(path.read_bytes())
        copy.seek(0)
        opened: BinaryIO = copy
        return opened


class _Table:
    """Parquet. A sample is a row, or the adjacent rows with one `sample_id`."""

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage, self._name = storage, name
        self._lock = threading.Lock()
        self._groups: OrderedDict[int, Any] = OrderedDict()
        with self._file() as file:
            counts = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
            self._ends = np.cumsum(np.array(counts, np.int64))
            self._bytes = sum(file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups))
            self._curated = curated.is_curated(file.schema_arrow.names)
            self._samples = curated.samples(file) if self._curated else [("", n, 1) for n in range(sum(counts))]
            self._wanted = curated.columns(file) if self._curated else _without_files(file.schema_arrow.names)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"} | {"_groups": OrderedDict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def columns(self) -> Columns:
        keys = [key or f"{self._name}#{number}" for number, (key, _, _) in enumerate(self._samples)]
        rows = np.array([count for *_, count in self._samples], np.int64)
        return _columns(keys, rows * max(1, self._bytes // max(1, int(rows.sum()))))

    def record(self, number: int) -> dict[str, Any]:
        _, first, count = self._samples[number]
        with self._lock:
            rows = [self._row(row) for row in range(first, first + count)]
        return curated.record(rows) if self._curated else rows[0]

    def _row(self, row: int) -> dict[str, Any]:
        group = int(np.searchsorted(self._ends, row, side="right"))
        if group not in self._groups:
            with self._file() as file:
                self._groups[group] = file.read_row_group(group, columns=self._wanted)
            if len(self._groups) > _GROUPS:
                self._groups.popitem(last=False)
        self._groups.move_to_end(group)
        inside = row - (int(self._ends[group - 1]) if group else 0)
        found: dict[str, Any] = self._groups[group].slice(inside, 1).to_pylist()[0]
        return found

    def _file(self) -> Any:
        import pyarrow.parquet as pq

        if self._storage.is_local:
            return pq.ParquetFile(self._storage.full(self._name))
        return pq.ParquetFile(self._storage.file_system().open(self._storage.full(self._name), "rb"))


def _columns(keys: Sequence[str], sizes: Any) -> Columns:
    """Samples at the offsets 0, 1, …: their numbers. Their number of clips is not known before they are read."""
    import pyarrow as pa

    numbers = np.arange(len(keys), dtype=np.int64)
    return Columns(pa.array(keys, pa.string()), numbers, sizes.astype(np.int64), np.zeros(len(keys), np.int32))


def _without_files(names: Sequence[str]) -> list[str]:
    """All columns but `files`: the clips' video and sound files of a release in `datasets`."""
    return [name for name in names if name != "files"]


def _packed(record: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
    """The record with names in place of the pictures' bytes, and the pictures by name. Other bytes are left out."""
    members: list[tuple[str, bytes]] = []

    def name(info: Any) -> Any:
        data = info.get("bytes") if isinstance(info, Mapping) else info
        if not isinstance(data, bytes):
            return info
        suffix = next((suffix for start, suffix in _PICTURES if data.startswith(start)), "jpg")
        members.append((f"i{len(members):04d}.{suffix}", data))
        return members[-1][0]

    packed: dict[str, Any] = {}
    change: Callable[[Any], Any] = name
    for key, value in record.items():
        if isinstance(value, list):
            packed[key] = [change(one) for one in value]
        elif not isinstance(value, bytes):
            packed[key] = value
    return packed, members
