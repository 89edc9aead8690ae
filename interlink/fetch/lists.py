"""Source lists as records: text (one entry a line), CSV/TSV, JSONL, Parquet. Holds one line or batch.

A line that cannot be read is a `BadLine`, not an exception: the rest of the list is still good.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlink.errors import UserError

FORMATS = {
    ".txt": "text",
    ".lst": "text",
    ".list": "text",
    ".urls": "text",
    ".ids": "text",
    "": "text",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


@dataclass(frozen=True)
class Record:
    """One entry. line: 1-based (the row, for Parquet). cells: column -> value; a text line has the one column ""."""

    line: int
    cells: dict[str, Any]


@dataclass(frozen=True)
class BadLine:
    """A line that is there and cannot be understood."""

    line: int
    text: str
    message: str


def read_list(path: Path) -> tuple[tuple[str, ...], Iterator[Record | BadLine]]:
    """The columns of a list (none where they differ by line) and its entries. UserError if the file cannot be read."""
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UserError(
            f"cannot tell what kind of list {path} is",
            f"give it one of these endings: {', '.join(sorted(end for end in FORMATS if end))}",
        )
    if kind == "parquet":
        return _parquet(path)
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    if b"\0" in head:
        raise _unreadable(path, "it is not text")
    if kind == "text":
        return ("",), _text(path)
    if kind == "jsonl":
        return (), _jsonl(path)
    return _csv(path, "\t" if kind == "tsv" else ",")


def _unreadable(path: Path, why: str) -> UserError:
    return UserError(f"cannot read the source list {path}: {why}", "check source.path, or write the list again")


def _text(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            entry = line.strip()
            if entry and not entry.startswith("#"):
                yield Record(number, {"": entry})


def _jsonl(path: Path) -> Iterator[Record | BadLine]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                cells = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield BadLine(number, line.strip(), f"not JSON: {error}")
                continue
            if isinstance(cells, str):
                yield Record(number, {"": cells})
            elif isinstance(cells, dict):
                yield Record(number, cells)
            else:
                yield BadLine(number, line.strip(), "neither an object nor a string")


def _csv(path: Path, delimiter: str) -> tuple[tuple[str, ...], Iterator[Record | BadLine]]:
    def lines() -> Iterator[tuple[int, list[str]]]:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            try:
                for cells in reader:
                    if any(cell.strip() for cell in cells):
                        yield reader.line_num, [cell.strip() for cell in cells]
            except csv.Error as error:
                raise _unreadable(path, f"line {reader.line_num}: {error}") from error

    stream = lines()
    _, header = next(stream, (0, []))
    if len(set(header)) != len(header):
        raise _unreadable(path, "two columns have one name")

    def records() -> Iterator[Record | BadLine]:
        for number, cells in stream:
            if len(cells) == len(header):
                yield Record(number, dict(zip(header, cells, strict=True)))
            else:
                found = f"{len(cells)} cells where the header has {len(header)}"
                yield BadLine(number, delimiter.join(cells), found)

    return tuple(header), records()


def _parquet(path: Path) -> tuple[tuple[str, ...], Iterator[Record | BadLine]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, str(error)) from error

    def records() -> Iterator[Record]:
        number = 0
        with table:
            for batch in table.iter_batches(batch_size=4096):
                for cells in batch.to_pylist():
                    number += 1
                    yield Record(number, cells)

    return tuple(table.schema_arrow.names), records()
