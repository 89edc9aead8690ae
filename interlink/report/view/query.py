"""Finds documents: words, ranges of scores, an order, pages by key. Costs some milliseconds per 100,000 documents."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from interlink.report.view.opened import Catalogue
from interlink.report.view.schema import DOCS

COLUMNS = tuple(name for name in DOCS if name != "number")  # that documents can be filtered and sorted by
PAGE = 24
_TERM = re.compile(r'"([^"]+)"|(\S+)')


@dataclass(frozen=True)
class Asked:
    """What to look for. q: words, all of which a document holds; "quoted" ones next to each other; a final * stands
    for any ending. sort: a column, or empty for the order of the shards. ranges: column -> (least, most). after,
    before: the number of a document; the page begins after it or ends before it."""

    q: str = ""
    sort: str = ""
    descending: bool = True
    ranges: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    after: int | None = None
    before: int | None = None


@dataclass(frozen=True)
class Card:
    """A document in a list. place: in the arrays; cover: (clip, frame)."""

    number: int
    place: int
    key: str
    item: str
    title: str
    lead: str
    cover: list[tuple[int, int]]
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Page:
    """cards: of one page; total: documents that were found; first: how many come before the page."""

    cards: list[Card]
    total: int
    first: int

    @property
    def more(self) -> bool:
        return self.first + len(self.cards) < self.total


class Finder:
    """Finds documents in one catalogue; keeps the orders that were asked for (0.8 MB each per 100,000 documents)."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._orders: dict[tuple[str, bool], tuple[np.ndarray, np.ndarray]] = {}
        self._lock = threading.Lock()
        numbers = catalogue.docs["number"]
        self._by_number = np.argsort(numbers, kind="stable")
        self._numbers = np.asarray(numbers)[self._by_number]

    def page(self, asked: Asked, size: int = PAGE) -> Page:
        """One page of the documents."""
        order, rank = self._order(asked.sort, asked.descending)
        mask = self.mask(asked)
        found = order if mask is None else order[mask[order]]
        begin = 0
        if asked.after is not None and (place := self.place(asked.after)) is not None:
            begin = int(np.searchsorted(rank[found], rank[place], "right"))
        elif asked.before is not None and (place := self.place(asked.before)) is not None:
            begin = max(0, int(np.searchsorted(rank[found], rank[place], "left")) - size)
        return Page(self.cards(found[begin : begin + size]), len(found), begin)

    def neighbours(self, asked: Asked, number: int) -> tuple[int | None, int | None]:
        """The numbers of the documents before and after one, in the same order and under the same filters."""
        order, rank = self._order(asked.sort, asked.descending)
        mask, place = self.mask(asked), self.place(number)
        found = order if mask is None else order[mask[order]]
        if place is None or not len(found):
            return None, None
        numbers = self.catalogue.docs["number"]
        left = int(np.searchsorted(rank[found], rank[place], "left"))
        right = int(np.searchsorted(rank[found], rank[place], "right"))
        return (
            int(numbers[found[left - 1]]) if left > 0 else None,
            int(numbers[found[right]]) if right < len(found) else None,
        )

    def mask(self, asked: Asked) -> np.ndarray | None:
        """Which documents fit; None where all do."""
        mask: np.ndarray | None = None
        for column, (least, most) in asked.ranges.items():
            values = self.catalogue.docs[column]
            for fits in ([values >= least] if least is not None else []) + (
                [values <= most] if most is not None else []
            ):
                mask = fits if mask is None else mask & fits
        if asked.q.strip():
            found = np.zeros(len(self._numbers), bool)
            numbers = self._matching(asked.q)
            places = np.searchsorted(self._numbers, numbers)
            inside = places < len(self._numbers)
            inside[inside] = self._numbers[places[inside]] == numbers[inside]
            found[self._by_number[places[inside]]] = True
            mask = found if mask is None else mask & found
        return mask

    def place(self, number: int) -> int | None:
        """The place in the arrays of the document with a number."""
        at = int(np.searchsorted(self._numbers, number))
        there = at < len(self._numbers) and self._numbers[at] == number
        return int(self._by_number[at]) if there else None

    def cards(self, places: np.ndarray) -> list[Card]:
        """The cards of documents at these places."""
        catalogue = self.catalogue
        numbers = [int(number) for number in catalogue.docs["number"][places]]
        marks = ",".join("?" * len(numbers))
        rows = {
            row["number"]: row for row in catalogue.rows(f"SELECT * FROM docs WHERE number IN ({marks})", (*numbers,))
        }
        return [self._card(rows[number], int(place)) for number, place in zip(numbers, places, strict=True)]

    def _card(self, row: sqlite3.Row, place: int) -> Card:
        scores = {name: float(self.catalogue.docs[name][place]) for name in COLUMNS}
        known = {name: value for name, value in scores.items() if value == value}
        cover: list[Any] = json.loads(row["cover"])
        return Card(
            row["number"], place, row["key"], row["item"], row["title"], row["lead"],
            [(clip, frame) for clip, frame in cover], known,
        )  # fmt: skip

    def by_key(self, key: str) -> Card | None:
        """The document with this key."""
        found = self.catalogue.rows("SELECT * FROM docs WHERE key = ?", (key,))
        place = self.place(found[0]["number"]) if found else None
        return self._card(found[0], place) if place is not None else None

    def _order(self, sort: str, descending: bool) -> tuple[np.ndarray, np.ndarray]:
        """(places in order, the rank of each place); null comes last."""
        with self._lock:
            if (sort, descending) not in self._orders:
                if sort:
                    values = np.asarray(self.catalogue.docs[sort])
                    order = np.argsort(-values if descending else values, kind="stable")
                else:
                    order = np.arange(len(self._numbers))
                rank = np.empty_like(order)
                rank[order] = np.arange(len(order))
                self._orders[sort, descending] = order, rank
            return self._orders[sort, descending]

    def _matching(self, q: str) -> np.ndarray:
        """The numbers of documents that hold all words of `q`."""
        terms = []
        for phrase, word in _TERM.findall(q):
            stem = (phrase or word).rstrip("*").replace('"', '""').replace("\0", "")
            terms.append(f'"{stem}"{" *" if word.endswith("*") else ""}')
        try:
            rows = self.catalogue.rows("SELECT rowid FROM words WHERE words MATCH ?", (" ".join(terms),))
        except sqlite3.OperationalError:
            return np.zeros(0, np.int64)  # nothing that is a word
        return np.array([row[0] for row in rows], np.int64)
