"""Real media files, damaged: the same damage for the same seed. Knows which bytes were the first to be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

KINDS = ("flip", "flips", "header", "truncate", "zeros", "splice", "graft", "repeat", "cut")


@dataclass(frozen=True)
class Damaged:
    """name: says what was done. The bytes [intact, until) of the file `source` are not what or where they were."""

    name: str
    source: str
    kind: str
    data: bytes
    intact: int
    until: int


def damage(folder: Path, sources: Sequence[str], number: int) -> Damaged:
    """The `number`-th damaged file. Every source meets every kind in turn."""
    draw = Random(f"damage {number}")
    source = sources[number % len(sources)]
    kind = KINDS[number // len(sources) % len(KINDS)]
    data = bytearray((folder / source).read_bytes())
    other = (folder / draw.choice(sources)).read_bytes()
    size = len(data)
    place = draw.randrange(size)
    if kind == "flip":
        data[place] ^= 1 << draw.randrange(8)
    elif kind == "flips":
        for _ in range(draw.choice((8, 64, 512))):
            data[draw.randrange(size)] ^= 1 << draw.randrange(8)
    elif kind == "header":
        for _ in range(draw.choice((1, 4, 16))):
            data[draw.randrange(min(size, 2048))] ^= 1 << draw.randrange(8)
    elif kind == "truncate":
        del data[place:]
    elif kind == "zeros":
        length = draw.choice((16, 512, 16384))
        data[place : place + length] = bytes(min(length, size - place))
    elif kind == "splice":  # the head of another file in place of its own
        head = draw.choice((8, 64, 1024, 8192))
        data[:head] = other[:head]
    elif kind == "graft":  # part of another file in the middle
        start = draw.randrange(len(other))
        data[place : place + 4096] = other[start : start + 4096]
    elif kind == "repeat":
        data[place:place] = data[place : place + draw.choice((188, 4096, 65536))]
    elif kind == "cut":
        del data[place : place + draw.choice((1, 188, 4096, 65536))]
    return _damaged(f"{number:04d} {kind} {source}", source, kind, bytes(data), folder)


def truncated(folder: Path, source: str, share: float) -> Damaged:
    data = (folder / source).read_bytes()
    return _damaged(f"{source} to {share:.0%}", source, "truncate", data[: int(len(data) * share)], folder)


def overwritten(folder: Path, source: str, start: int, patch: bytes) -> Damaged:
    data = bytearray((folder / source).read_bytes())
    data[start : start + len(patch)] = patch
    return _damaged(f"{source} with {len(patch)} other bytes at {start}", source, "overwrite", bytes(data), folder)


def extended(folder: Path, source: str, more: bytes) -> Damaged:
    data = (folder / source).read_bytes() + more
    return _damaged(f"{source} and {len(more)} bytes more", source, "extend", data, folder)


def boxes(data: bytes) -> dict[bytes, tuple[int, int]]:
    """Start and end of the boxes at the top of an mp4 or mov file, by type."""
    found, place = {}, 0
    while place + 8 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        if size == 1:
            size = int.from_bytes(data[place + 8 : place + 16], "big")
        size = size or len(data) - place
        found.setdefault(data[place + 4 : place + 8], (place, place + size))
        place += max(size, 8)
    return found


def _damaged(name: str, source: str, kind: str, data: bytes, folder: Path) -> Damaged:
    whole = (folder / source).read_bytes()
    changed = [n for n, (a, b) in enumerate(zip(whole, data, strict=False)) if a != b]
    first = changed[0] if changed else min(len(whole), len(data))
    same_places = changed and len(data) == len(whole)
    more = not changed and len(data) >= len(whole)
    last = changed[-1] + 1 if same_places else first if more else len(whole)
    return Damaged(name, source, kind, data, first, last)


def readable_until(path: Path, damaged: Damaged) -> float | None:
    """The time, in seconds, before which every picture's data lies before the first damaged byte; None where no
    picture's does, or where the container cannot be read without bytes that were damaged."""
    if path.suffix in (".mp4", ".mov"):  # without its `moov` box not a byte of it can be read
        start, end = boxes(path.read_bytes())[b"moov"]
        if end > damaged.intact and start < damaged.until:
            return None
    packets = _packets(path)
    lost = [time for time, end in packets if end > damaged.intact]
    until = min(lost, default=max(time for time, _ in packets))
    return until if any(time < until for time, end in packets if end <= damaged.intact) else None


@cache
def _packets(path: Path) -> list[tuple[float, int]]:
    """(presentation time in seconds, place at which the data ends) of the packets of the watched video stream."""
    from interlink.media.probe import describe, open_media

    with open_media(path) as container:
        video = describe(container, path).video
        assert video is not None
        return [
            (float(packet.pts * packet.time_base), (packet.pos or 0) + packet.size)
            for packet in container.demux(container.streams[video.index])
            if packet.size and packet.pts is not None
        ]
