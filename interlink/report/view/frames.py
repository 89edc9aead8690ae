"""Bytes of frames by (item, clip, frame), through the catalogue's index: one range read per frame, no table."""

from __future__ import annotations

import io

from interlink.report.view.opened import Catalogue, Partition
from interlink.report.view.schema import SPAN
from interlink.storage import Storage


def frame_place(catalogue: Catalogue, item: str, clip: int, frame: int) -> int:
    """The place of a frame in the catalogue's arrays. KeyError where there is none."""
    first = clip_place(catalogue, item, clip)
    begin, end = catalogue.first_frames[first], catalogue.first_frames[first + 1]
    if not 0 <= frame < end - begin:
        raise KeyError(f"{item}: clip {clip} has no frame {frame}")
    return int(begin) + frame


def clip_place(catalogue: Catalogue, item: str, clip: int) -> int:
    """The place of a clip in the catalogue's arrays. KeyError where there is none."""
    begin, end = clip_span(catalogue, item)
    if not 0 <= clip < end - begin:
        raise KeyError(f"{item} has no clip {clip}")
    return begin + clip


def clip_span(catalogue: Catalogue, item: str) -> tuple[int, int]:
    """The places [begin, end) of an item's clips. KeyError where there is no such item."""
    found = catalogue.rows("SELECT number FROM items WHERE id = ?", (item,))
    if not found:
        raise KeyError(item)
    place = item_place(catalogue, found[0][0])
    return int(catalogue.first_clips[place]), int(catalogue.first_clips[place + 1])


def item_place(catalogue: Catalogue, number: int) -> int:
    """The place of an item in the order of the build, which the column `item` of clips counts by."""
    return catalogue.partitions[number // SPAN].first["items"] + number % SPAN


def item_number(catalogue: Catalogue, place: int) -> int:
    """The number in the table `items` of the item at a place."""
    partition = next(one for one in reversed(catalogue.partitions) if one.first["items"] <= place)
    return partition.number * SPAN + place - partition.first["items"]


def partition_of_frame(catalogue: Catalogue, place: int) -> Partition:
    """The partition that a frame lies in."""
    low, high = 0, len(catalogue.partitions)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if catalogue.partitions[middle].first["frames"] <= place else (low, middle)
    return catalogue.partitions[low]


def read_frame(catalogue: Catalogue, storage: Storage, place: int) -> bytes:
    """The JPEG of a frame. Raises OSError where its bytes are gone."""
    blobs = partition_of_frame(catalogue, place).blobs
    offset, size = int(catalogue.frames["offset"][place]), int(catalogue.frames["size"][place])
    try:
        return storage.read_range(blobs, offset, size)
    except EOFError as error:
        raise FileNotFoundError(str(error)) from error


def thumbnail(jpeg: bytes, height: int = 120, quality: int = 70) -> bytes:
    """A JPEG of at most this height. Costs about 2 ms: the decoder scales while it reads."""
    from PIL import Image

    picture = Image.open(io.BytesIO(jpeg))
    width = max(1, round(picture.width * height / picture.height))
    picture.draft("RGB", (width, height))
    small = picture.convert("RGB")
    if small.height > height:
        small = small.resize((width, height), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
