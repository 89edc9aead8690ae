"""Tars as other tools write and damage them: members in any order, links, sparse files, compression, cuts."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

COLOURS = (
    (220, 30, 30), (30, 200, 60), (40, 60, 220), (230, 220, 40), (150, 40, 200), (30, 200, 200), (240, 140, 30),
    (10, 10, 10), (120, 120, 120), (130, 80, 40), (250, 150, 190), (250, 250, 250),
)  # fmt: skip


def picture(number: int, form: str = "JPEG") -> bytes:
    """A picture of one of 12 colours."""
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), COLOURS[number % len(COLOURS)]).save(buffer, form, quality=95)
    return buffer.getvalue()


def tar_of(path: Path, members: Sequence[tuple[str, bytes]]) -> Path:
    """A tar of (name, data), by Python's tarfile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as file:
        for name, data in members:
            add(file, name, data)
    return path


def add(file: tarfile.TarFile, name: str, data: bytes, kind: bytes = tarfile.REGTYPE, target: str = "") -> None:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data), kind, target
    file.addfile(info, io.BytesIO(data))


def pairs(count: int, folder: str = "", key: str = "{:06d}") -> list[tuple[str, bytes]]:
    """Image-text pairs, the members of each sample next to each other."""
    found = []
    for number in range(count):
        name = folder + key.format(number)
        found += [(f"{name}.jpg", picture(number)), (f"{name}.txt", f"text {number}".encode())]
    return found


def sparse_gnu(name: str, data: bytes, size: int) -> bytes:
    """A GNU sparse file: `data` at its beginning, holes up to `size`, and a second block of map (512 bytes)."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    head[156:157] = b"S"
    head[386:410] = b"%011o\0%011o\0" % (0, len(data))
    head[482] = 1  # the map goes on
    head[483:495] = b"%011o\0" % size
    head[148:156] = b"%06o\0 " % (sum(head[:148]) + sum(head[156:]) + 8 * 32)
    return bytes(head) + bytes(512) + data + bytes(-len(data) % 512)
