"""Finds the entries of a large JSON object or table in one pass over its bytes, without parsing them.

Costs half as much as parsing: 140 MB per second on one core (80 MB in HowTo100M's format: 0.6 s). Keeps only (key,
offset, size). Entries are parsed on demand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from mmap import mmap

_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SCALAR = re.compile(rb"[^\s,\]}]+")
# Inside a value only brackets count: runs of strings and lists of numbers are skipped in one step.
_INSIDE = re.compile(
    rb'"[^"\\]*(?:\\.[^"\\]*)*"(?:\s*,\s*"[^"\\]*(?:\\.[^"\\]*)*")*|\[[^\[\]{}"]*\]|[\[\]{}]', re.DOTALL
)
_OPEN, _CLOSE, _QUOTE = b"{[", b"}]", 0x22
NESTED = "database"  # YouCook2 and similar files: the videos are one level down

Data = mmap | bytes
Entry = tuple[str, int, int]  # key, offset, size


def json_entries(data: Data) -> Iterator[Entry]:
    """The members of the outermost object, or of its member `database`. The bytes of an entry are `"key": value`.

    Raises ValueError where the file is not an object or is truncated.
    """
    if data[:3] == b"\xef\xbb\xbf":
        yield from _members(data, 3)
        return
    yield from _members(data, 0)


def _members(data: Data, start: int) -> Generator[Entry, None, int]:
    position = _skip(data, start)
    if data[position : position + 1] != b"{":
        raise ValueError(f"at byte {position} there is no object")
    position = _skip(data, position + 1)
    if data[position : position + 1] == b"}":
        return position + 1
    while True:
        key = _STRING.match(data, position)
        if key is None:
            raise ValueError(f"at byte {position} there is no key")
        colon = _skip(data, key.end())
        if data[colon : colon + 1] != b":":
            raise ValueError(f"at byte {colon} there is no colon")
        value = _skip(data, colon + 1)
        name = str(json.loads(key.group()))
        if name == NESTED and data[value : value + 1] == b"{":
            end = yield from _members(data, value)
        else:
            end = _end(data, value)
            yield name, position, end - position
        position = _skip(data, end)
        mark = data[position : position + 1]
        if mark == b"}":
            return position + 1
        if mark != b",":
            raise ValueError(f"at byte {position} an entry is followed by {mark!r}" if mark else "it is truncated")
        position = _skip(data, position + 1)


def _skip(data: Data, position: int) -> int:
    found = _SPACE.match(data, position)
    return found.end() if found else position


def _end(data: Data, start: int) -> int:
    """The offset where the value that begins at `start` ends."""
    first = data[start : start + 1]
    if first not in (b"{", b"["):
        scalar = (_STRING if first == b'"' else _SCALAR).match(data, start)
        if scalar is None:
            raise ValueError(f"at byte {start} there is no value")
        return scalar.end()
    depth = 0
    for token in _INSIDE.finditer(data, start):
        begin, end = token.span()
        if data[begin] != _QUOTE and end - begin == 1:
            depth += 1 if data[begin] in _OPEN else -1
        if not depth:
            return end
    raise ValueError(f"the value at byte {start} does not end")


def lines(data: Data) -> Iterator[tuple[int, bytes]]:
    """(offset, line without its line break) of every line that is not empty."""
    position, length = 0, len(data)
    while position < length:
        end = data.find(b"\n", position)
        end = length if end == -1 else end
        line = data[position:end].rstrip(b"\r")
        if line.strip():
            yield position, line
        position = end + 1
