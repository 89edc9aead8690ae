"""Documents of a build as a person reads them: frames and texts in turn, for as many as fit.

Reads the rows of at most `PARTITIONS` partitions and one range per frame; costs some 10 ms per document.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from interlink.report.html import Html, picture, section, tag
from interlink.report.view.frames import frame_place, read_frame, thumbnail
from interlink.report.view.opened import Catalogue, Partition
from interlink.report.view.tables import Tables
from interlink.storage import Storage

MOST = 120
PARTITIONS = 40
FRAMES, LETTERS = 9, 1500  # of a document
_HEIGHT, _QUALITY = 96, 62

_COLUMNS = [
    "id",
    *(f"documents.list.element.{name}" for name in ("key", "document")),
    *(f"documents.list.element.images.list.element.{name}" for name in ("name", "clip", "frame")),
]


@dataclass
class Card:
    """A document. parts: of ("text", role, text) or ("frames", bytes of each); more: what is left out, in words."""

    key: str
    item: str
    title: str
    scores: Mapping[str, float]
    parts: list[tuple[str, Any]] = field(default_factory=list)
    more: str = ""
    missing: int = 0  # frames whose bytes are gone


def documents(catalogue: Catalogue, tables: Tables, storage: Storage, room: int) -> Html:
    """The section, in about `room` bytes. It says how many documents there are and are shown."""
    total = len(catalogue.docs["number"])
    written: list[Html] = []
    left = room
    for card in _cards(catalogue, tables, storage):
        one = _article(card)
        left -= len(one.encode())
        if left < 0:
            break
        written.append(one)
    if not written:
        return section("documents", "Documents", hint="This build has no documents.") if not total else section(
            "documents", "Documents", hint=f"None of {total:,} documents fits into the file."
        )  # fmt: skip
    said = f"{len(written):,} of {total:,} documents, evenly spread." if len(written) < total else "All documents."
    search = tag(
        "p",
        tag("label", "Find in them ", Html('<input type="search" id="find" autocomplete="off">')),
        tag("span", "", id="found", class_="quiet", role="status"),
        class_="inline",
    )
    return section("documents", "Documents", search, tag("div", *written, class_="cards"), hint=said)


def _cards(catalogue: Catalogue, tables: Tables, storage: Storage) -> Iterator[Card]:
    """Evenly spread ones, in their order."""
    holding = [partition for partition in catalogue.partitions if partition.count["docs"]]
    some = [holding[place] for place in _spread(len(holding), PARTITIONS)]
    places = [one.first["docs"] + n for one in some for n in range(one.count["docs"])]
    wanted = {places[n] for n in _spread(len(places), MOST)}
    for one in some:
        own = [place for n in range(one.count["docs"]) if (place := one.first["docs"] + n) in wanted]
        yield from _of_partition(catalogue, tables, storage, one, own)


def _spread(count: int, most: int) -> list[int]:
    return list(range(count)) if count <= most else np.linspace(0, count - 1, most).round().astype(int).tolist()


def _of_partition(
    catalogue: Catalogue, tables: Tables, storage: Storage, partition: Partition, places: list[int]
) -> Iterator[Card]:
    numbers = [int(catalogue.docs["number"][place]) for place in places]
    marks = ",".join("?" * len(numbers))
    rows = {
        row["number"]: row
        for row in catalogue.rows(
            f"SELECT number, key, item, title FROM docs WHERE number IN ({marks})", tuple(numbers)
        )
    }
    keys = {row["key"] for row in rows.values()}
    made = _documents(tables, partition, keys)
    for place, number in zip(places, numbers, strict=True):
        row = rows[number]
        scores = {name: float(column[place]) for name, column in catalogue.docs.items() if name != "number"}
        card = Card(row["key"], row["item"], row["title"], scores)
        if row["key"] in made:
            _fill(card, made[row["key"]], catalogue, storage)
        yield card


def _documents(tables: Tables, partition: Partition, keys: set[str]) -> dict[str, Mapping[str, Any]]:
    """Rows of these documents in interleave's table."""
    summary = tables.summaries(partition.name).get("interleave")
    if summary is None:
        return {}
    data = storage_of(tables).read(f"{tables.folder('interleave', partition.name)}/{summary.rows}")
    found: dict[str, Mapping[str, Any]] = {}
    for batch in pq.ParquetFile(io.BytesIO(data)).iter_batches(256, columns=_COLUMNS, use_threads=False):
        for row in batch.to_pylist():
            found |= {one["key"]: one for one in row["documents"] or () if one["key"] in keys}
    return found


def storage_of(tables: Tables) -> Storage:
    found: Storage = tables.workspace.storage
    return found


def _fill(card: Card, made: Mapping[str, Any], catalogue: Catalogue, storage: Storage) -> None:
    places = {image["name"]: (image["clip"], image["frame"]) for image in made["images"]}
    frames = letters = left_frames = left_texts = 0
    for segment in json.loads(made["document"])["segments"]:
        if segment["type"] == "text":
            if letters >= LETTERS:
                left_texts += 1
                continue
            text = segment["text"][: LETTERS - letters]
            letters += len(segment["text"])
            card.parts.append(("text", (segment.get("role") or "", text + ("…" if letters > LETTERS else ""))))
            continue
        pictures = []
        for name in segment["images"]:
            if frames >= FRAMES or name not in places:
                left_frames += 1
                continue
            frames += 1
            try:
                place = frame_place(catalogue, card.item, *places[name])
                pictures.append(thumbnail(read_frame(catalogue, storage, place), _HEIGHT, _QUALITY))
            except (OSError, KeyError, ValueError):
                card.missing += 1
        if pictures:
            card.parts.append(("frames", pictures))
    said = [f"{count} more {what}" for count, what in ((left_frames, "frames"), (left_texts, "texts")) if count]
    if card.missing:
        said.append(f"{card.missing} frames cannot be read")
    card.more = ", ".join(said)


def _article(card: Card) -> Html:
    body = []
    shown = 0
    for kind, part in card.parts:
        if kind == "text":
            role, text = part
            body.append(tag("p", tag("span", role, class_="role"), " ", tag("bdi", text), class_=f"said {role}"))
            continue
        body.append(
            tag(
                "div",
                *(picture(jpeg, f"Frame {shown + n} of {card.key}") for n, jpeg in enumerate(part, 1)),
                class_="strip",
            )
        )
        shown += len(part)
    clips, frames, tokens, seconds = (card.scores[name] for name in ("clips", "frames", "tokens", "seconds"))
    about = (f"{clips:.0f} clips", f"{frames:.0f} frames", f"{tokens:.0f} tokens", f"{seconds:.0f} s")
    return tag(
        "article",
        tag("h3", tag("bdi", card.title or card.item)),
        tag("p", tag("span", tag("bdi", card.key)), *(tag("span", one) for one in about), class_="facts"),
        tag("div", *body, class_="read", tabindex="0", role="group", aria_label=f"Text of {card.key}"),
        tag("p", card.more, class_="quiet") if card.more else "",
        class_="card",
    )
