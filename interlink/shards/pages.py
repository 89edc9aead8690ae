"""Web pages as others publish them (MMC4, OBELICS, MINT-1T): a record and its members become texts and images in order.

Shared by the builder, which turns them into documents, and the trainer, which reads their shards. Costs the decoding
of base64; a TIFF of many pages is decoded and kept as PNG.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

IMAGES = ("jpg", "jpeg", "png", "webp")

Members = Mapping[str, Any]  # suffix (in lower case) -> bytes


@dataclass(frozen=True)
class Slot:
    """The place of an image on a page. data: its bytes, or None where they are not here; url: where they may be had."""

    data: bytes | None = None
    url: str = ""


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


def read_mmc4(about: Mapping[str, Any], members: Members) -> Mmc4:
    """Raises ValueError (KeyError, TypeError) where the record is none."""
    infos = about["image_info"]
    sentences = tuple(line(str(text)) for text in about["text_list"])
    matched = tuple(_matched(info, len(sentences)) for info in infos)
    return Mmc4(sentences, tuple(slot_of(info, members) for info in infos), matched, about.get("similarity_matrix"))


def placed(page: Mmc4) -> list[str | Slot]:
    """Texts and images of an MMC4 page in order, each image before the sentence that it was published with. Images
    without one are left out."""
    found: list[str | Slot] = []
    for number, text in enumerate(page.sentences):
        found += [image for image, at in zip(page.images, page.matched, strict=True) if at == number]
        found.append(text)
    return found


def read_page(about: Mapping[str, Any], members: Members) -> list[str | Slot]:
    """Texts and images of an OBELICS or MINT-1T page, in order. Raises ValueError where its lists do not agree.

    Images lie in the record as base64, among the members (by name, or in order where there is one for each place), or
    as pages of one TIFF; else they have a URL, or nothing.
    """
    texts = about["texts"]
    infos = about.get("image_info") or about.get("images") or [None] * len(texts)
    if len(infos) != len(texts):
        raise ValueError(f"{len(texts)} texts but {len(infos)} image slots")
    pages = _tiff_pages(members)
    loose = [bytes(data) for suffix, data in sorted(members.items()) if suffix.rpartition(".")[2] in IMAGES]
    empty = [number for number, text in enumerate(texts) if text is None]
    given = pages or loose
    in_order = dict(zip(empty, given, strict=False)) if len(given) >= len(empty) else {}
    found: list[str | Slot] = []
    for number, (text, info) in enumerate(zip(texts, infos, strict=True)):
        if text is not None:
            found.append(line(str(text)))
            continue
        slot = slot_of(info, members)
        found.append(slot if slot.data else Slot(in_order.get(number), slot.url))
    return found


def slot_of(info: Any, members: Members) -> Slot:
    """One image: bytes (Parquet by `datasets`) or base64 in the record, the member of its name, or its URL."""
    url = ""
    if isinstance(info, Mapping):
        if isinstance(info.get("bytes"), bytes):
            return Slot(info["bytes"])
        encoded = info.get("image_base64")
        if encoded:
            try:
                return Slot(base64.b64decode(encoded, validate=True))
            except (binascii.Error, TypeError) as error:
                raise ValueError(f"image_base64 is not base64: {error}") from error
        url = next((str(info[name]) for name in ("raw_url", "url", "src") if info.get(name)), "")
        info = info.get("image_name")
    if isinstance(info, str):
        if info.startswith(("http://", "https://")):
            return Slot(url=info)
        for suffix, data in members.items():
            if suffix == info.lower() or suffix == info.lower().partition(".")[2]:
                return Slot(bytes(data), url)
    return Slot(url=url)


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
