"""Counts what a source holds before its first row is built: entries, items, repeats, lines that cannot be read.

Costs 60 bytes per entry while a source is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from interlink.redaction import redact_text
from interlink.stage import Row


@dataclass
class SourceCounts:
    """What a source was read as. entries (lines of the list, files or pages) = items + joined + repeats + unreadable.

    joined: further rows of a picture, which give their texts to its item; repeats: further entries of an item;
    unreadable: failed rows; comments: lines left out; uncertain: items read with a doubt. examples: of each, the first.
    """

    entries: int = 0
    items: int = 0
    joined: int = 0
    repeats: int = 0
    unreadable: int = 0
    comments: int = 0
    uncertain: int = 0
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, what: str, example: str) -> None:
        setattr(self, what, getattr(self, what) + 1)
        self.examples.setdefault(what, redact_text(example)[:200])

    def count(self, rows: Iterator[Row]) -> Iterator[Row]:
        """The rows, counted as they pass."""
        seen: set[str] = set()
        for row in rows:
            self.entries += 1
            if row.status == "failed":
                self.add("unreadable", row.message)
            elif row.id in seen:
                self.add("repeats", row.fields["path"] or row.fields["uri"])
            else:
                self.items += 1
                if row.partial:
                    self.add("uncertain", row.message)
            seen.add(row.id)
            yield row
        self.entries += self.joined

    def json(self) -> dict[str, Any]:
        return asdict(self)


_SHOWN = {
    "joined": "joined with the item of their picture",
    "repeats": "repeats",
    "unreadable": "unreadable",
    "uncertain": "of the items uncertain",
    "comments": "comment lines left out",
}


def described(counts: Mapping[str, Any]) -> str:
    """One line for people: `source: 30 entries -> 6 items, 24 joined with …`."""
    parts = []
    for name, shown in _SHOWN.items():
        if counts.get(name):
            parts.append(f"{counts[name]} {shown} (for example {counts['examples'][name]})")
    entries, items = ("entry" if counts["entries"] == 1 else "entries"), ("item" if counts["items"] == 1 else "items")
    return ", ".join([f"source: {counts['entries']} {entries} -> {counts['items']} {items}", *parts])
