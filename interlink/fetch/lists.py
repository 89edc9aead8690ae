"""Reads source lists: text (one entry per line), CSV/TSV, JSONL, JSON, Parquet. Memory: a line or batch (JSON: all).

A line that cannot be read is a `BadLine`, not an exception: the rest of the list is still used. An encoding that had to
be guessed is a doubt about the lines that depend on it.
"""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from interlink.delimited import delimiter_of, literal_cells, rows_of
from interlink.encodings import decode
from interlink.errors import UserError
from interlink.values import plain

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
_BLOCK = 65536  # bytes by which the encoding is found
_CONTINUATION = bytes(range(0x80, 0xC0))  # bytes inside of UTF-8 characters
_FILE_NAME = re.compile(r"[^\s./]\.[a-z][a-z0-9]{1,4}$", re.IGNORECASE)
_STATED = re.compile(r"sep=(.)", re.IGNORECASE)  # a spreadsheet's own first line
_COMPRESSED = {
    b"\x1f\x8b": "compressed with gzip",
    b"PK\x03\x04": "a zip file or a spreadsheet",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"PAR1": "Parquet (name it .parquet)",
}


@dataclass(frozen=True)
class Record:
    """One entry. line: 1-based (the row, for Parquet). cells: column -> value; a text line has only the column "".

    doubt: why its cells may be wrong, or ""; guessed: because its encoding had to be guessed.
    """

    line: int
    cells: dict[str, Any]
    doubt: str = ""
    guessed: bool = False


@dataclass(frozen=True)
class BadLine:
    """A line that cannot be parsed."""

    line: int
    text: str
    message: str


@dataclass(frozen=True)
class Comment:
    """A line of a text list that begins with `#`."""

    line: int
    text: str


Entry = Record | BadLine | Comment


def read_list(
    path: Path, header: tuple[str, ...] = (), names: Collection[str] = ()
) -> tuple[tuple[str, ...], Iterator[Entry]]:
    """The columns of a list (none if they differ by line) and its entries. Raises UserError for an unreadable file.

    header: the columns of a CSV or TSV without a header line. names: usual columns, by which the delimiter is found.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UserError(
            f"{path} has an unknown list format",
            f"use one of these extensions: {', '.join(sorted(end for end in FORMATS if end))}",
        )
    if not path.is_file():
        raise _unreadable(path, "it is not a regular file")
    if kind == "parquet":
        return _parquet(path)
    try:
        text = _text_file(path)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    if kind == "text":
        return ("",), _text(text)
    if kind == "json" or (kind == "jsonl" and text.head.lstrip("\ufeff \t\r\n").startswith("[")):
        return _json(text)
    if kind == "jsonl":
        return (), _jsonl(text)
    return _csv(text, "\t" if kind == "tsv" else ",", header, names)


@dataclass(frozen=True)
class _TextFile:
    """A text file and how it is encoded. doubt: why the encoding may be wrong, or ""."""

    path: Path
    encoding: str
    doubt: str
    head: str

    def lines(self, newline: str | None = None) -> Iterator[str]:
        """Its lines without the byte order mark. Undecodable bytes become lone surrogates, or U+FFFD in UTF-16."""
        errors = "replace" if self.encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
        with self.path.open(encoding=self.encoding, errors=errors, newline=newline) as file:
            for number, line in enumerate(file):
                yield line if number else line.removeprefix("\ufeff")

    def doubt_of(self, text: str) -> str:
        """Why a line may be wrong: only letters beyond ASCII depend on the encoding."""
        if text.isascii():
            return ""
        return self.doubt or ("its characters are damaged" if "\ufffd" in text else "")


def _text_file(path: Path) -> _TextFile:
    """Finds the encoding by the beginning of the file and by its first block that is not plain ASCII."""
    with path.open("rb") as file:
        head = block = file.read(_BLOCK)
        while block and block.isascii():
            block = file.read(_BLOCK)
    for magic, what in _COMPRESSED.items():
        if head.startswith(magic):
            raise _unreadable(path, f"it is {what}, not text")
    first = decode(head[:4096])
    if "\0" in first.text:
        raise _unreadable(path, "it is not text")
    if first.encoding.startswith(("utf-16", "utf-32")):
        return _TextFile(path, first.encoding, "", first.text)
    if _is_utf8(block if block is head else block.lstrip(_CONTINUATION)):
        return _TextFile(path, "utf-8", "", first.text)
    found = decode(block)
    doubt = "" if found.encoding == "utf-8" else found.doubt  # damaged lines of UTF-8 fail by themselves
    return _TextFile(path, found.encoding, doubt, first.text)


def _is_utf8(block: bytes) -> bool:
    """Whether a block is UTF-8, but for a character that its end cuts."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(block)
    except UnicodeDecodeError:
        return False
    return True


def metadata(cells: dict[str, Any]) -> str:
    """Canonical JSON of the columns without a known role, without empty cells and bytes."""
    kept = {str(name): value for name, value in plain(cells).items() if value not in (None, "")}
    return json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _unreadable(path: Path, why: str) -> UserError:
    return UserError(f"cannot read the source list {path}: {why}", "check source.path, or write the list again")


def _text(text: _TextFile) -> Iterator[Entry]:
    for number, line in enumerate(text.lines(), 1):
        entry = line.strip()
        if entry.startswith("#") and not _is_hash_name(entry, text.path.parent):
            yield Comment(number, entry)
        elif entry:
            yield _record(number, entry, text.doubt_of(entry), entry)


def _is_hash_name(entry: str, folder: Path) -> bool:
    """Whether a line that begins with `#` is the name of a file (`#3 way knots.mp4`) and no comment.

    `#clips/a.mp4` is one where `clips/a.mp4` is not there.
    """
    if os.path.lexists(folder / entry):
        return True
    looks_so = entry[1:2] not in (" ", "\t", "#", "!") and "://" not in entry and _FILE_NAME.search(entry)
    return bool(looks_so) and not os.path.lexists(folder / entry[1:])


def _jsonl(text: _TextFile) -> Iterator[Entry]:
    for number, line in enumerate(text.lines(), 1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield BadLine(number, line.strip(), f"not JSON: {error}")
            continue
        yield _record(number, cells, text.doubt_of(line), line.strip())


def _record(number: int, cells: Any, doubt: str, text: str) -> Entry:
    if isinstance(cells, str):
        cells = {"": cells}
    if isinstance(cells, dict):
        return Record(number, cells, doubt, guessed=bool(doubt))
    return BadLine(number, text[:200], "neither an object nor a string")


def _json(text: _TextFile) -> tuple[tuple[str, ...], Iterator[Entry]]:
    """A list of objects, or one object of lists with the same length (SBU); JSON lines under this name, too."""
    whole = "".join(text.lines(newline=""))
    try:
        content = json.loads(whole)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            return (), _jsonl(text)
        raise _unreadable(text.path, f"not JSON: {error}") from error
    if isinstance(content, dict):
        columns = {name: column for name, column in content.items() if isinstance(column, list)}
        if not columns or len({len(column) for column in columns.values()}) != 1:
            raise _unreadable(text.path, "its lists differ in length")
        rows: list[Any] = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    elif isinstance(content, list):
        rows = content
    else:
        raise _unreadable(text.path, "it is neither a list of objects nor an object of lists")

    def records() -> Iterator[Entry]:
        for number, cells in enumerate(rows, 1):
            doubt = text.doubt and text.doubt_of(json.dumps(cells, ensure_ascii=False))
            yield _record(number, cells, doubt, str(cells))

    return (), records()


def _csv(
    text: _TextFile, usual: str, given: tuple[str, ...], names: Collection[str]
) -> tuple[tuple[str, ...], Iterator[Entry]]:
    stream = text.lines(newline="")
    skipped = 0
    first = ""
    for first in stream:
        stated = _STATED.fullmatch(first.strip())
        if first.strip() and not stated:
            break
        skipped += 1
        usual = stated[1] if stated else usual
    delimiter = delimiter_of(first, usual, names)
    lines: Iterator[str] = chain(repeat("", skipped), [first], stream)
    # A list without a header is not quoted: quotation marks are part of its texts.
    quoted = not given or delimiter != "\t"
    header = list(given) or [cell.strip() for cell in literal_cells(first.rstrip("\r\n"), delimiter)]
    while header and not header[-1]:
        header.pop()  # delimiters behind the last column
    named = [cell for cell in header if cell]
    if len(set(named)) != len(named):
        raise _unreadable(text.path, "two columns have the same name")
    header = [cell or ("" if not number else f"column {number + 1}") for number, cell in enumerate(header)]

    def records() -> Iterator[Entry]:
        for row in rows_of(lines, delimiter, len(header), quoted):
            if not given and row.line == skipped + 1:
                continue
            cells = [cell.strip() for cell in row.cells]
            while len(cells) > len(header) and not cells[-1]:
                cells.pop()
            if not any(cells):
                continue
            if len(cells) == len(header):
                guessed = text.doubt_of("".join(cells))
                yield Record(
                    row.line, dict(zip(header, cells, strict=True)), guessed or row.doubt, guessed=bool(guessed)
                )
            else:
                found = f"{len(cells)} cells where the header has {len(header)}"
                yield BadLine(row.line, delimiter.join(cells), found)

    return tuple(header), records()


def _parquet(path: Path) -> tuple[tuple[str, ...], Iterator[Entry]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, str(error)) from error

    def records() -> Iterator[Record]:
        number = 0
        try:
            with table:
                for batch in table.iter_batches(batch_size=4096):
                    for cells in batch.to_pylist():
                        number += 1
                        yield Record(number, cells)
        except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
            raise _unreadable(path, f"row {number + 1}: {error}") from error

    return tuple(table.schema_arrow.names), records()
