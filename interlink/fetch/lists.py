"""Reads source lists: text (one entry per line), CSV/TSV, JSONL, JSON, Parquet. Memory: a line or batch (JSON: all).

A line that cannot be read is a `BadLine`, not an exception: the rest of the list is still used.
"""

from __future__ import annotations

import csv
import json
import math
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
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
}


@dataclass(frozen=True)
class Record:
    """One entry. line: 1-based (the row, for Parquet). cells: column -> value; a text line has only the column ""."""

    line: int
    cells: dict[str, Any]


@dataclass(frozen=True)
class BadLine:
    """A line that cannot be parsed."""

    line: int
    text: str
    message: str


def read_list(path: Path, header: tuple[str, ...] = ()) -> tuple[tuple[str, ...], Iterator[Record | BadLine]]:
    """The columns of a list (none if they differ by line) and its entries. Raises UserError for an unreadable file.

    header: the columns of a CSV or TSV without a header line.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UserError(
            f"{path} has an unknown list format",
            f"use one of these extensions: {', '.join(sorted(end for end in FORMATS if end))}",
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
    if kind == "json":
        return _json(path)
    return _csv(path, "\t" if kind == "tsv" else ",", header)


def metadata(cells: dict[str, Any]) -> str:
    """Canonical JSON of the columns without a known role, without empty cells and bytes."""
    kept = {
        str(name): value
        for name, value in cells.items()
        if value not in (None, "")
        and not isinstance(value, bytes)
        and not (isinstance(value, float) and not math.isfinite(value))
    }
    return json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


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


def _json(path: Path) -> tuple[tuple[str, ...], Iterator[Record | BadLine]]:
    """A list of objects, or one object of lists with the same length (SBU)."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, f"not JSON: {error}") from error
    if isinstance(content, dict):
        columns = {name: column for name, column in content.items() if isinstance(column, list)}
        if not columns or len({len(column) for column in columns.values()}) != 1:
            raise _unreadable(path, "its lists differ in length")
        rows: list[Any] = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    elif isinstance(content, list):
        rows = content
    else:
        raise _unreadable(path, "it is neither a list of objects nor an object of lists")

    def records() -> Iterator[Record | BadLine]:
        for number, cells in enumerate(rows, 1):
            if isinstance(cells, dict):
                yield Record(number, cells)
            else:
                yield BadLine(number, str(cells)[:200], "not an object")

    return (), records()


def _csv(path: Path, delimiter: str, given: tuple[str, ...]) -> tuple[tuple[str, ...], Iterator[Record | BadLine]]:
    def lines() -> Iterator[tuple[int, list[str]]]:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            # A list without a header is not quoted: quotation marks are part of its texts.
            plain = bool(given) and delimiter == "\t"
            reader = csv.reader(file, delimiter=delimiter, quoting=csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL)
            try:
                for cells in reader:
                    if any(cell.strip() for cell in cells):
                        yield reader.line_num, [cell.strip() for cell in cells]
            except csv.Error as error:
                raise _unreadable(path, f"line {reader.line_num}: {error}") from error

    stream = lines()
    header = list(given) or next(stream, (0, []))[1]
    if len(set(header)) != len(header):
        raise _unreadable(path, "two columns have the same name")

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
