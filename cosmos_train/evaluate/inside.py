"""Pictures in files that hold many: Parquet of the Hugging Face hub, CIFAR's binaries.

Costs reading a row group's column of Parquet (the last few stay in memory); for CIFAR 3 kB per picture.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_train.evaluate.readers.folder import CIFAR_BYTES, cifar_labels
from cosmos_train.stream.decode import Frame

_SIDE = 32  # of CIFAR's pictures, pixels


def inside(path: Path, row: int, column: str, decode: Callable[[bytes], Frame]) -> Frame:
    """The picture in a row of a file. Raises ValueError if there is none, OSError if it cannot be read."""
    if path.suffix == ".parquet":
        return decode(picture_bytes(path, row, column))
    labels = cifar_labels(path)
    size = labels + CIFAR_BYTES
    with path.open("rb") as file:
        file.seek(row * size + labels)
        pixels = file.read(CIFAR_BYTES)
    if len(pixels) < CIFAR_BYTES:
        raise ValueError(f"it ends before picture {row}")
    return np.ascontiguousarray(np.frombuffer(pixels, np.uint8).reshape(3, _SIDE, _SIDE).transpose(1, 2, 0))


def picture_bytes(path: Path, row: int, column: str) -> bytes:
    """The bytes of a picture in Parquet: `{bytes, path}` or plain bytes. Raises ValueError if it is empty."""
    import pyarrow as pa

    first, place = 0, 0
    try:
        sizes = _groups(path, path.stat().st_mtime_ns)
        while place < len(sizes) and row >= first + sizes[place]:
            first += sizes[place]
            place += 1
        if place == len(sizes):
            raise ValueError(f"it has no row {row}")
        value = _column(path, path.stat().st_mtime_ns, place, column)[row - first].as_py()
    except (pa.ArrowException, KeyError) as error:
        raise ValueError(f"{column}: {error}") from error
    found = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(found, bytes):
        raise ValueError(f"row {row} holds no picture in {column}")
    return found


@lru_cache(64)
def _groups(path: Path, changed: int) -> tuple[int, ...]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return tuple(file.metadata.row_group(number).num_rows for number in range(file.num_row_groups))


@lru_cache(4)
def _column(path: Path, changed: int, group: int, column: str) -> Any:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return file.read_row_group(group, [column])[column].combine_chunks()
