"""Pairs and pages as `download` rows: their pictures' bytes, from files, from the page's record, or by img2dataset.

Works on many items at once, since img2dataset takes seconds to start. A row is yielded when its last picture is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlink.errors import Dropped, StageError
from interlink.fetch import img2dataset, pages, pair_tars, pairs
from interlink.fetch.img2dataset import Fetched, ImageSettings
from interlink.fetch.local import irregular
from interlink.redaction import redact_text, redact_url
from interlink.shards.pages import Slot
from interlink.stage import Blob, Item, Row, failed

KINDS = (pairs.KIND, pages.KIND)
MOST_URLS = 4000  # per run of img2dataset

Folder = Callable[[], AbstractContextManager[Path]]


@dataclass
class _Open:
    """An item whose pictures are collected. slots: place -> its picture, or the reason why there is none."""

    item: Item
    url: str
    texts: list[str | None] = field(default_factory=list)
    slots: dict[int, bytes | Exception] = field(default_factory=dict)
    waiting: int = 0
    places: dict[str, Any] = field(default_factory=dict)  # times and clips of a release of ours


def fetch_all(
    items: Iterator[Item], settings: ImageSettings, folder: Folder, reach: Mapping[str, Any]
) -> Iterator[Row]:
    """One row per item of KINDS. folder: makes an empty folder for a run of img2dataset, and removes it.

    reach: the hosts that it may reach (interlink.fetch.reach).

    Raises UserError if pictures have URLs and img2dataset is missing.
    """
    readers: dict[str, pages.Reader] = {}
    urls: list[tuple[str, _Open, int]] = []
    for item in items:
        try:
            opened = _begin(item, readers, settings)
        except (StageError, Dropped) as error:
            yield failed(item.id, error)
            continue
        found, wanted = opened
        urls += [(url, found, slot) for slot, url in wanted]
        if not wanted:
            yield _row(found)
        if len(urls) >= MOST_URLS:
            yield from _ask(urls, settings, folder, reach)
            urls = []
    if urls:
        yield from _ask(urls, settings, folder, reach)


def _begin(
    item: Item, readers: dict[str, pages.Reader], settings: ImageSettings
) -> tuple[_Open, list[tuple[int, str]]]:
    """The available pictures, and (slot, URL) of those to fetch. Raises StageError or Dropped."""
    source = item.rows["collect"]
    if source["kind"] == pairs.KIND:
        if source["uri"].startswith(("http://", "https://")):
            return _Open(item, source["uri"], waiting=1), [(0, source["uri"])]
        if place := pair_tars.place_of(source["metadata"]):
            return _Open(item, "", slots={0: pair_tars.picture(Path(source["uri"]), place, settings.max_megabytes)}), []
        return _Open(item, "", slots={0: _file(Path(source["uri"]), settings)}), []
    place = json.loads(source["metadata"])
    images = place.pop("images", "")
    reader = readers.setdefault(images, pages.Reader(images))
    if ours := reader.released(source["uri"], place):
        empty = [number for number, text in enumerate(ours.texts) if text is None]
        about = ours.places["source"]
        return _Open(
            item, about.get("url", ""), ours.texts, dict(zip(empty, ours.pictures, strict=True)), places=ours.places
        ), []
    url, slots = reader.read(source["uri"], place)
    found = _Open(item, url, [slot if isinstance(slot, str) else None for slot in slots])
    wanted = []
    for number, slot in enumerate(slots):
        if not isinstance(slot, Slot):
            continue
        if slot.data:
            found.slots[number] = slot.data
        elif slot.url.startswith(("http://", "https://")):
            wanted.append((number, slot.url))
        else:
            found.slots[number] = StageError("no_media", "the record has neither the picture nor its URL")
    found.waiting = len(wanted)
    return found, wanted


def _ask(
    urls: list[tuple[str, _Open, int]], settings: ImageSettings, folder: Folder, reach: Mapping[str, Any]
) -> Iterator[Row]:
    with folder() as place:
        for one in img2dataset.fetch([url for url, _, _ in urls], place, settings, reach):
            url, opened, slot = urls[one.number]
            opened.slots[slot] = _checked(one, url, opened, settings)
            opened.waiting -= 1
            if not opened.waiting:
                yield _row(opened)
                opened.slots.clear()


def _checked(one: Fetched, url: str, opened: _Open, settings: ImageSettings) -> bytes | Exception:
    if isinstance(one.error, StageError):
        return StageError(one.error.error_class, redact_text(str(one.error), url), one.error.retry_after)
    if one.error is not None:
        return one.error
    if settings.hash_column and opened.item.rows["collect"]["kind"] == pairs.KIND:
        wanted = json.loads(opened.item.rows["collect"]["metadata"]).get(settings.hash_column)
        if wanted and wanted != hashlib.sha256(one.data).hexdigest():
            return StageError("gone", f"the URL now has another picture ({settings.hash_column} differs)")
    return one.data


def _row(opened: _Open) -> Row:
    """The row: ok, partial if some pictures are missing, or the error of the first picture if all are."""
    item = opened.item
    lost = {slot: one for slot, one in opened.slots.items() if isinstance(one, Exception)}
    if len(lost) == len(opened.slots):
        return failed(item.id, lost[min(lost)])
    kept = {slot: one for slot, one in opened.slots.items() if isinstance(one, bytes)}
    fields: dict[str, Any] = {
        "media": "",
        "sha256": hashlib.sha256(b"".join(kept[slot] for slot in sorted(kept))).hexdigest(),
        "size": sum(map(len, kept.values())),
        "title": item.rows["collect"]["title"] or opened.places.get("source", {}).get("title", ""),
        "url": redact_url(opened.url),
        "info": json.dumps(_info(opened), ensure_ascii=False),
        "subtitles": [],
        "pictures": [
            {
                "slot": slot,
                "data": Blob(kept[slot], ".img") if slot in kept else None,
                "problem": _problem(lost.get(slot)),
            }
            for slot in sorted(opened.slots)
        ],
    }
    message = f"{len(lost)} of {len(opened.slots)} pictures are missing: {lost[min(lost)]}" if lost else ""
    return Row(item.id, fields, partial=bool(lost), message=message)


def _info(opened: _Open) -> dict[str, Any]:
    """The texts of a page by slot; of a release of ours also times and clips, and the licence."""
    if not opened.places:
        return {"texts": opened.texts} if opened.texts else {}
    licence = opened.places["source"].get("licence", "")
    return {"texts": opened.texts, "places": opened.places, **({"licence": licence} if licence else {})}


def _problem(error: Exception | None) -> str:
    if error is None:
        return ""
    return f"{getattr(error, 'error_class', '') or getattr(error, 'reason', '')}: {error}"


def _file(path: Path, settings: ImageSettings) -> bytes:
    try:
        if why := irregular(path):
            raise StageError("unreadable", f"{path.name} is {why}")
        if path.stat().st_size > settings.max_megabytes * 1e6:
            raise StageError("too_large", f"{path.name} has {path.stat().st_size} bytes")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StageError("gone", f"{path.name} does not exist") from error
    except OSError as error:
        raise StageError("unreadable", f"{path.name}: {error.strerror}") from error
