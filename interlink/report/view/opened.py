"""A finished catalogue, open for reading. Costs a few milliseconds to open; nothing is read before it is used."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from interlink.report.view import arrays, place
from interlink.report.view.arrays import Columns
from interlink.report.view.schema import FORMAT
from interlink.runtime.lock import Lock
from interlink.runtime.workspace import Workspace

DATABASE = "catalogue.sqlite"


@dataclass(frozen=True)
class Partition:
    """A partition in the catalogue. blobs: path below the root of the tar with its frames; the rest: where its rows
    begin in the arrays, and how many there are."""

    number: int
    name: str
    signature: str
    blobs: str
    first: Mapping[str, int]  # items, clips, frames, docs
    count: Mapping[str, int]


class Catalogue:
    """A finished catalogue; threads may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._connections = threading.local()
        if self.meta("format") != FORMAT:
            raise ValueError(f"{folder} is a catalogue of another version")
        # Mapped at once: another process may replace the catalogue, and these stay.
        self.clips: Columns = arrays.read(folder, "clips")
        self.frames: Columns = arrays.read(folder, "frames")
        self.docs: Columns = arrays.read(folder, "docs")

    @property
    def database(self) -> sqlite3.Connection:
        """A connection of this thread's own, read-only."""
        if not hasattr(self._connections, "open"):
            uri = f"{(self.folder / DATABASE).absolute().as_uri()}?mode=ro&immutable=1"
            self._connections.open = sqlite3.connect(uri, uri=True)
            self._connections.open.row_factory = sqlite3.Row
        found: sqlite3.Connection = self._connections.open
        return found

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        return self.database.execute(query, values).fetchall()

    def meta(self, name: str) -> Any:
        """A value by its name; None where there is none."""
        found = self.rows("SELECT value FROM meta WHERE name = ?", (name,))
        return json.loads(found[0][0]) if found else None

    @cached_property
    def partitions(self) -> list[Partition]:
        """The partitions in their order."""
        found = []
        first = dict.fromkeys(("items", "clips", "frames", "docs"), 0)
        for row in self.rows("SELECT * FROM partitions ORDER BY number"):
            count = {name: int(row[name]) for name in first}
            found.append(Partition(row["number"], row["name"], row["signature"], row["blobs"], dict(first), count))
            first = {name: first[name] + count[name] for name in first}
        return found

    @cached_property
    def first_frames(self) -> np.ndarray:
        """The place of each clip's first frame in the frames' arrays, and the end of the last."""
        return np.concatenate([[0], np.cumsum(self.clips["frames"], dtype=np.int64)])

    @cached_property
    def first_clips(self) -> np.ndarray:
        """The place of each item's first clip in the clips' arrays, by the item's number, and the end of the last."""
        count = sum(partition.count["items"] for partition in self.partitions)
        return np.searchsorted(self.clips["item"], np.arange(count + 1))


def open_current(workspace: Workspace, lock: Lock) -> Catalogue | None:
    """The finished catalogue of this recipe's tables, if there is one; it may lack the rows of the last minutes."""
    found = place.current(place.folder_of(workspace.storage))
    if found is None:
        return None
    try:
        catalogue = Catalogue(found)
    except (OSError, ValueError, sqlite3.DatabaseError):
        return None  # of another version, or damaged: it is made again
    return catalogue if catalogue.meta("tables") == tables_of(lock) else None


def tables_of(lock: Lock) -> dict[str, Any]:
    """What says which tables a catalogue was made from, without looking at them."""
    return {"fingerprints": dict(lock.fingerprints), "shards": lock.shards}


def digest(value: Any) -> str:
    """16 hex digits that stand for plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
