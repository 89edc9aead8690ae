"""Web pages as others publish them (MMC4, OBELICS, MINT-1T): a record and its members become texts and images in order.

Shared by the builder, which turns them into documents, and the trainer, which reads their shards. Costs the decoding
of base64; a TIFF of many pages is decoded and kept as PNG.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interlink.values import text_of

IMAGES = ("jpg", "jpeg", "png", "webp")

_ENDINGS = tuple(f".{ending}" for ending in IMAGES)
_PICTURES = (b"\xff\xd8", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")  # how their files begin
_NUMBER = re.compile(r"(\d+)(?!.*\d)")  # the last one of a name

Members = Mapping[str, Any]  # suffix (in lower case) -> bytes


@dataclass(frozen=True)
class Slot:
    """The place of an image on a page. data: its bytes, or None where they are not here; url: where they may be had.

    problem: what is wrong with the bytes that are here.
    """

    data: bytes | None = None
    url: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Mmc4:
    """An MMC4 page. matched: the sentence that each image was published with, or None; similarity: (images × sentences)
    as published, or None."""

    sentences: tuple[str, ...]
    images: tuple[Slot, ...]
    matched: tuple[int | None, ...]
    similarity: Sequence[Sequence[float]] | None


def is_mmc4(about: Mapping[str, Any]) -> bool:
    return "text_list" in about and "image_info" in about


def is_page(about: Mapping[str, Any]) -> bool:
    """Whether it has OBELICS' and MINT-1T's list of texts."""
    return isinstance(about.get("texts"), list)


def read_mmc4(about: Mapping[str, Any], members: Members, key: str = "") -> Mmc4:
    """key: of the sample, which names in the record may begin with. Raises ValueError (KeyError, TypeError) where the
    record is none, or all of its images are damaged."""
    infos = about["image_info"]
    sentences = tuple(line(text_of(text)) for text in about["text_list"])
    matched = tuple(_matched(info, len(sentences)) for info in infos)
    slots = tuple(slot_of(info, members, key) for info in infos)
    if slots and all(slot.problem for slot in slots):
        raise ValueError(slots[0].problem)
    return Mmc4(sentences, slots, matched, about.get("similarity_matrix"))


def placed(page: Mmc4) -> list[str | Slot]:
    """Texts and images of an MMC4 page in order, each image before the sentence that it was published with. Images
    without one are left out."""
    found: list[str | Slot] = []
    for number, text in enumerate(page.sentences):
        found += [image for image, at in zip(page.images, page.matched, strict=True) if at == number]
        found.append(text)
    return found


def read_page(about: Mapping[str, Any], members: Members, key: str = "") -> list[str | Slot]:
    """Texts and images of an OBELICS or MINT-1T page, in order. Raises ValueError where its lists do not agree.

    Images lie in the record as base64, among the members, or as pages of one TIFF; else they have a URL, or nothing.
    Members are found by their names in the record; where it states no names of files, by their numbers, if there is
    exactly one for each place. What does not fit is left out: a picture is never guessed. key: as of `read_mmc4`.
    """
    texts = [None if isinstance(text, float) and math.isnan(text) else text for text in about["texts"]]
    infos = about.get("image_info") or about.get("images") or [None] * len(texts)
    if len(infos) != len(texts):
        raise ValueError(f"{len(texts)} texts but {len(infos)} image slots")
    in_order = _in_order(texts, infos, members)
    found: list[str | Slot] = []
    for number, (text, info) in enumerate(zip(texts, infos, strict=True)):
        if text is not None:
            found.append(line(text_of(text)))
            continue
        slot = slot_of(info, members, key)
        found.append(slot if slot.data else Slot(in_order.get(number), slot.url, slot.problem))
    return found


def _in_order(texts: Sequence[Any], infos: Sequence[Any], members: Members) -> dict[int, bytes]:
    """Place -> image, for images that are placed by their order: pages of a TIFF, or members with numbers."""
    empty = [number for number, text in enumerate(texts) if text is None]
    stated = [number for number in empty if infos[number] is not None]
    given = _tiff_pages(members)
    if not given and not any(_name_of(info).lower().endswith(_ENDINGS) for info in infos):
        given = _numbered({name: data for name, data in members.items() if name.rpartition(".")[2] in IMAGES})
    for places in (stated, empty):
        if given and len(given) == len(places):
            return dict(zip(places, given, strict=True))
    return {}


def _numbered(images: Members) -> list[bytes]:
    """Images in the order of the number in their names (2 before 10); none where the numbers leave a doubt."""
    if len(images) == 1:
        return [bytes(data) for data in images.values()]
    numbers: dict[int, bytes] = {}
    shapes = set()
    for suffix, data in images.items():
        stem = suffix.rpartition(".")[0]
        parts = _NUMBER.split(stem)
        if len(parts) != 3:  # before, number, behind
            return []
        shapes.add((parts[0], parts[2]))
        numbers[int(parts[1])] = bytes(data)
    without_gaps = len(numbers) == len(images) and max(numbers, default=0) - min(numbers, default=0) == len(images) - 1
    return [numbers[number] for number in sorted(numbers)] if without_gaps and len(shapes) == 1 else []


def slot_of(info: Any, members: Members, key: str = "") -> Slot:
    """One image: bytes (Parquet by `datasets`) or base64 in the record, the member of exactly its name, or its URL."""
    url = problem = ""
    if isinstance(info, Mapping):
        if isinstance(info.get("bytes"), bytes):
            return Slot(info["bytes"])
        encoded = info.get("image_base64")
        if encoded:
            try:
                data = _from_base64(encoded)
            except (binascii.Error, AttributeError, ValueError):
                problem = "image_base64 is not base64"
            else:
                if data.startswith(_PICTURES) or data[4:8] == b"ftyp":  # AVIF, HEIC
                    return Slot(data)
                problem = "image_base64 holds no picture"
        url = next((text_of(info[name]) for name in ("raw_url", "url", "src") if info.get(name)), "")
    elif isinstance(info, str) and _is_url(info):
        return Slot(url=info)
    name = _name_of(info).lower()
    for wanted in (name, name.removeprefix(f"{key.lower()}."), name.removeprefix(f"{_base(key).lower()}.")):
        if name and wanted in members:
            return Slot(bytes(members[wanted]), url)
    return Slot(url=url, problem=problem)


def _name_of(info: Any) -> str:
    """The name of a file that a record states for an image, or empty."""
    name = info.get("image_name") if isinstance(info, Mapping) else info
    return name if isinstance(name, str) and not _is_url(name) else ""


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _base(key: str) -> str:
    return key.rpartition("/")[2]


def _from_base64(encoded: str | bytes) -> bytes:
    """Base64, with or without line breaks and the head of a data URL. Missing padding means a cut picture."""
    text = encoded.decode("ascii") if isinstance(encoded, bytes) else encoded
    text = "".join(text.removeprefix(text[: text.find(",") + 1] if text.startswith("data:") else "").split())
    return base64.b64decode(text, validate=True)


def line(text: str) -> str:
    """Runs of white space become one space."""
    return " ".join(text.split())


def _matched(info: Mapping[str, Any], sentences: int) -> int | None:
    at = info.get("matched_text_index")
    return int(at) if at is not None and 0 <= int(at) < sentences else None


def _tiff_pages(members: Members) -> list[bytes]:
    """The images of a multi-page TIFF (MINT-1T's PDF part), as PNG."""
    data = members.get("tiff", members.get("tif"))
    if data is None:
        return []
    from PIL import Image, ImageSequence, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as tiff:
            found = []
            for page in ImageSequence.Iterator(tiff):
                buffer = io.BytesIO()
                page.convert("RGB").save(buffer, "PNG", compress_level=0)
                found.append(buffer.getvalue())
            return found
    except UnidentifiedImageError as error:  # it names an address in memory
        raise ValueError("its tiff is none") from error
    except OSError as error:
        raise ValueError(f"its tiff cannot be read: {error}") from error
