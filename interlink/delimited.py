"""Splits CSV and TSV into rows. Quoted cells may run over lines; an unpaired quotation mark spoils only its own line.

A line without quotation marks is one `split`: about 1 µs. No limit on the size of a cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

DELIMITERS = (",", "\t", ";", "|")
_MOST_LINES = 1000  # lines of one quoted cell
_MARK = '"'


class Unclosed(ValueError):
    """A quoted cell that the next lines may close."""


@dataclass(frozen=True)
class TableRow:
    """line: 1-based number of its first line. doubt: why its cells may be cut wrongly, or ""."""

    line: int
    cells: list[str]
    doubt: str = ""


def cells_of(line: str, delimiter: str = "\t") -> list[str]:
    """The cells of a line, quoted (with doubled quotes) or not. Raises ValueError where a quoted cell does not end."""
    if _MARK not in line:
        return line.split(delimiter)
    cells: list[str] = []
    start = 0
    while True:
        if line.startswith(_MARK, start):
            end = _closing(line, start + 1)
            if end == -1:
                raise Unclosed("a quoted cell does not end")
            if line[end + 1 : end + 2] not in ("", delimiter):
                raise ValueError("a quoted cell does not end at its delimiter")
            cells.append(line[start + 1 : end].replace('""', _MARK))
            end += 1
        else:
            end = line.find(delimiter, start)
            end = len(line) if end == -1 else end
            cells.append(line[start:end])
        if end >= len(line):
            return cells
        start = end + 1


def rows_of(lines: Iterable[str], delimiter: str, width: int, quoted: bool = True) -> Iterator[TableRow]:
    """The rows of a table of `width` columns; a line's end belongs to it. quoted: false takes every mark as text.

    A quoted cell that runs over lines and an unpaired mark are distinguished by the number of cells.
    """
    waiting: list[tuple[int, str]] = []
    numbered = enumerate(lines, 1)
    while True:
        number, line = waiting.pop(0) if waiting else next(numbered, (0, ""))
        if not number:
            return
        if not line.strip():
            continue
        text = line.rstrip("\r\n")
        if not quoted:
            yield TableRow(number, text.split(delimiter))
            continue
        try:
            yield TableRow(number, cells_of(text, delimiter))
        except Unclosed:
            row, used = _over_lines(number, line, waiting, numbered, delimiter, width)
            del waiting[:used]
            yield row
        except ValueError:
            yield TableRow(number, literal_cells(text, delimiter))


def _over_lines(
    number: int,
    line: str,
    waiting: list[tuple[int, str]],
    numbered: Iterator[tuple[int, str]],
    delimiter: str,
    width: int,
) -> tuple[TableRow, int]:
    """The row that begins with an open quoted cell, and how many of the lines after it (kept in `waiting`) it holds."""
    literal = literal_cells(line.rstrip("\r\n"), delimiter)
    whole, used = line, 0
    while used < _MOST_LINES:
        if used == len(waiting):
            following = next(numbered, None)
            if following is None:
                break
            waiting.append(following)
        whole += waiting[used][1]
        used += 1
        if _MARK not in waiting[used - 1][1]:
            continue
        try:
            cells = cells_of(whole.rstrip("\r\n"), delimiter)
        except Unclosed:
            continue
        except ValueError:
            break
        if len(cells) != width:
            break
        alone = [literal, *(literal_cells(one.rstrip("\r\n"), delimiter) for _, one in waiting[:used])]
        if any(len(one) != width for one in alone):
            return TableRow(number, cells), used
        # Both readings fit. Tabs inside of cells are rare, commas are not.
        doubt = f"its quotation mark may close on line {waiting[used - 1][0]}, or not at all"
        return (TableRow(number, literal, doubt), 0) if delimiter == "\t" else (TableRow(number, cells, doubt), used)
    return TableRow(number, literal), 0


def literal_cells(text: str, delimiter: str) -> list[str]:
    """The cells of a line in which a quotation mark does not pair: cells that do are unquoted, others stay."""
    cells: list[str] = []
    start = 0
    while start <= len(text):
        if text.startswith(_MARK, start):
            end = _closing(text, start + 1)
            if end != -1 and text[end + 1 : end + 2] in ("", delimiter):
                cells.append(text[start + 1 : end].replace('""', _MARK))
                start = end + 2
                continue
        end = text.find(delimiter, start)
        end = len(text) if end == -1 else end
        cells.append(text[start:end])
        start = end + 1
    return cells


def _closing(text: str, start: int) -> int:
    """Where the quoted cell that begins at `start` closes, past doubled marks; -1: nowhere."""
    end = text.find(_MARK, start)
    while end != -1 and text[end + 1 : end + 2] == _MARK:
        end = text.find(_MARK, end + 2)
    return end


def delimiter_of(line: str, usual: str, names: Iterable[str] = ()) -> str:
    """The delimiter of a table by its first line: the one that cuts out a column of `names`, else `usual` or the next.

    usual: by the file's name, `,` or a tab.
    """
    order = (usual, *(one for one in DELIMITERS if one != usual))
    wanted = set(names)
    for one in order:
        if wanted & {cell.strip(" \"'").casefold() for cell in line.split(one)}:
            return one
    return next((one for one in order if one in line), usual)
