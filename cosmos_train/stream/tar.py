"""Reads samples from tar bytes: about 1 µs per member for a whole tar, 4 µs per member for one sample.

It reads plain ustar headers (regular files, short names), with or without pax records of times and owners. All else
(long names, links, damage) goes to interlink.shards.tar, which supports the rest and reports what is wrong.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from interlink.shards.tar import BLOCK, ShardError, key_and_suffix, members

Bytes = bytes | bytearray | memoryview | mmap.mmap
Members = dict[str, memoryview]  # lower-case suffix -> data, as a view without a copy

_END = bytes(BLOCK)
_MAGIC = b"ustar"
_ZERO = ord("0")
_PAX = ord("x")
_OCTAL = 8 ** np.arange(10, -1, -1, dtype=np.int64)
_WINDOW = 16 << 20  # bytes scanned together
_PLAIN = (b"0", b"\0", b"x")


def parse(data: Bytes, start: int = 0, end: int | None = None) -> tuple[str, Members]:
    """The key and the members of the only sample in data[start:end].

    Raises ShardError if the range is damaged, ends early, or holds another number of samples.
    """
    found = list(samples(data, start, end))
    if len(found) != 1:
        raise ShardError(f"the range holds {len(found)} samples, not one")
    return found[0]


def samples(data: Bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[str, Members]]:
    """(key, members) of every sample in data[start:end], which begins at a header. A sample is a run of one key.

    Raises ShardError if the bytes are damaged or end in the middle of a member.
    """
    view = memoryview(data)
    last = len(view) if end is None else end
    position = first = start  # of the next header, of the current sample
    key: bytes | None = None
    held: Members = {}
    suffixes: dict[bytes, str] = {}
    while position < last:
        head = bytes(view[position : position + BLOCK])
        size = _plain_size(head)
        if size is None:
            if head == _END:
                break
            yield from _careful(view[first:last])
            return
        body = position + BLOCK
        following = body + size + (-size % BLOCK)
        if following > last:
            raise ShardError(f"ends in the middle of member {_text(head[: head.index(0)])!r} at byte {position}")
        if head[156] == _PAX:
            if _matters(bytes(view[body : body + size])):
                yield from _careful(view[first:last])
                return
            position = following
            continue
        name = head[: head.index(0)]
        slash = name.rfind(b"/") + 1
        dot = name.find(b".", slash)
        if dot <= slash or (b"__" in name and key_and_suffix(_text(name)) is None):
            position = following
            continue
        base, suffix = name[:dot], name[dot + 1 :]
        if base != key:
            if key is not None:
                yield _text(key), held
            key, held, first = base, {}, position
        text = suffixes.get(suffix)
        if text is None:
            text = suffixes[suffix] = _text(suffix).lower()
        if text in held:
            raise ShardError(f"sample {_text(base)!r} has two members with suffix {text!r}")
        held[text] = view[body : body + size]
        position = following
    if key is not None:
        yield _text(key), held


def iterate(path: str | Path) -> Iterator[tuple[str, Members]]:
    """Every sample of a local tar, in its order, without an index. Members are views of the mapped file.

    Raises ShardError as `samples` does.
    """
    with Path(path).open("rb") as file:
        if not file.seek(0, io.SEEK_END):
            return
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    position = first = 0  # of the next header, of the current sample
    key: bytes | None = None
    held: Members = {}
    suffixes: dict[bytes, str] = {}
    while position < len(view):
        found = _headers(view, position)
        if found is None:  # not a plain header, or the end of the archive
            yield from samples(view, first)
            return
        for name, body, size in zip(*found, strict=True):
            slash = name.rfind(b"/") + 1
            dot = name.find(b".", slash)
            if dot <= slash or (b"__" in name and key_and_suffix(_text(name)) is None):
                continue
            base = name[:dot]
            if base != key:
                if key is not None:
                    yield key.decode("utf-8", "surrogateescape"), held
                key, held, first = base, {}, body - BLOCK
            suffix = name[dot + 1 :]
            text = suffixes.get(suffix)
            if text is None:
                text = suffixes[suffix] = _text(suffix).lower()
            if text in held:
                raise ShardError(f"sample {_text(base)!r} has two members with suffix {text!r}")
            held[text] = view[body : body + size]
        position = found[1][-1] + found[2][-1] + (-found[2][-1] % BLOCK)
    if key is not None:
        yield _text(key), held


def _headers(view: memoryview, start: int) -> tuple[list[bytes], list[int], list[int]] | None:
    """(names, offsets of the data, sizes) of the files with headers in the window that begins at `start`.

    Vectorised: blocks that look like headers are headers if each begins at the end of the one before it, which is
    checked, as are their checksums. None if that does not hold, or no file begins there: then use `samples`.
    """
    blocks = np.frombuffer(view, np.uint8, min(_WINDOW, len(view) - start) // BLOCK * BLOCK, start).reshape(-1, BLOCK)
    places = np.flatnonzero(blocks[:, 257] == _MAGIC[0])
    for number, letter in enumerate(_MAGIC[1:], 258):
        places = places[blocks[places, number] == letter]
    heads = blocks[places]
    digits, sums, kinds = heads[:, 124:135] - _ZERO, heads[:, 148:154] - _ZERO, heads[:, 156]
    extended = kinds == _PAX
    if (
        not len(places)
        or places[0] != 0
        or (digits > 7).any()
        or (sums > 7).any()
        or heads[:, (99, 345)].any()
        or not (extended | (kinds == _ZERO) | (kinds == 0)).all()
    ):
        return None
    sizes = digits.astype(np.int64) @ _OCTAL
    total = heads.sum(1, dtype=np.int64) - heads[:, 148:156].sum(1, dtype=np.int64) + 8 * ord(" ")
    following = places + 1 + (sizes + BLOCK - 1) // BLOCK
    bodies = start + (places + 1) * BLOCK
    if (
        (following[:-1] != places[1:]).any()
        or (sums.astype(np.int64) @ _OCTAL[-6:] != total).any()
        or start + int(following[-1]) * BLOCK > len(view)
        or any(
            _matters(bytes(view[at : at + size])) for at, size in zip(bodies[extended], sizes[extended], strict=True)
        )
    ):
        return None
    if not len(files := np.flatnonzero(~extended)):
        return None
    names = np.ascontiguousarray(heads[files, :100]).view("S100")[:, 0].tolist()
    return names, bodies[files].tolist(), sizes[files].tolist()


def _plain_size(head: bytes) -> int | None:
    """The size in a plain header; None for other types, damaged headers and anything else.

    The checksum counts its own field as blanks; skipping zeros first makes it four times as fast.
    """
    digits = head[124:135]
    if head[156:157] not in _PLAIN or head[257:262] != b"ustar" or head[345] or head[99] or not digits.isdigit():
        return None
    total = sum((head[:148] + head[156:]).translate(None, b"\0")) + 8 * 32
    return int(digits, 8) if head[148:154] == b"%06o" % total else None


def _matters(records: bytes) -> bool:
    """Whether pax records change what we read: a name, a size, a sparse file. Times and owners do not."""
    return b" path=" in records or b" size=" in records or b" GNU.sparse." in records


def _careful(view: memoryview) -> Iterator[tuple[str, Members]]:
    key = ""
    held: Members = {}
    for one in members(io.BytesIO(view)):
        split = key_and_suffix(one.name)
        if split is None:
            continue
        if split[0] != key:
            if key:
                yield key, held
            key, held = split[0], {}
        if split[1] in held:
            raise ShardError(f"sample {key!r} has two members with suffix {split[1]!r}")
        held[split[1]] = view[one.data : one.data + one.size]
    if key:
        yield key, held


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
