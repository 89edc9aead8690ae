"""`cosmos_train pack-llava`: writes LLaVA's json and its pictures as tar shards with an index for the stream.

A one-time conversion, so that training can read by position from any storage. Pictures stay as they are. Costs reading
each of them.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cosmos_train.errors import UserError
from cosmos_train.stream.talk.corpus import turns_of
from cosmos_train.stream.talk.records import as_llava, read_records
from interlink.shards import ShardWriter
from interlink.storage import Storage
from interlink.values import known_text

_SHARD_BYTES = 500_000_000
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_SUFFIXES = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".webp": "webp"}


@dataclass
class Packed:
    """left_out: reason -> count; example: the first record of each reason."""

    records: int = 0
    pictures: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)

    def leave_out(self, reason: str, record: str) -> None:
        self.left_out[reason] += 1
        self.example.setdefault(reason, record)

    def reasons(self) -> list[str]:
        """One line per reason."""
        return [
            f"left out {count}: {reason} (first: {self.example[reason]})"
            for reason, count in sorted(self.left_out.items())
        ]


def pack_llava(listed: Path, pictures: Path, out: Path, shard_bytes: int = _SHARD_BYTES) -> Packed:
    """Converts every usable record of a list, in its order. Raises UserError if it is no list, none of its records is
    usable (nothing is written then), or `out` is not empty."""
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty", "give a new folder", 2)
    records = read_records(listed)
    found, root = Packed(), Path(os.path.realpath(pictures))
    with ShardWriter(Storage(str(out)), "", lambda number: f"{number:05d}.tar", shard_bytes) as writer:
        for number, record in enumerate(records):
            try:
                members = list(_members(as_llava(record), root))
            except ValueError as error:
                found.leave_out(str(error), str(record.get("id", number)) if isinstance(record, dict) else str(number))
                continue
            pictured = len(members) > 1
            writer.add(f"{number:09d}", members, images=int(pictured), clips=1, text_tokens=0)
            found.records += 1
            found.pictures += pictured
    if not found.records:
        why = "; ".join(found.reasons()) or "it is empty"
        raise UserError(f"none of the {len(records)} records of {listed} can be packed: {why}", "check the list", 1)
    return found


def _members(record: dict[str, Any], root: Path) -> Iterator[tuple[str, bytes]]:
    name = known_text(record.get("image"))
    turns_of(record.get("conversations"), bool(name))
    yield "json", json.dumps(record, ensure_ascii=False, sort_keys=True).encode()
    if not name:
        return
    if name.startswith(("http://", "https://")):
        raise ValueError("the picture is a URL: download it first")
    path = Path(os.path.realpath(root / name))
    if not path.is_relative_to(root):
        raise ValueError("the picture's path leads out of the folder")
    suffix = _SUFFIXES.get(path.suffix.lower())
    if suffix is None:
        raise ValueError(f"the picture is neither JPEG, PNG nor WebP but {path.suffix}")
    if not path.is_file():
        raise ValueError("the picture is not there")
    data = path.read_bytes()
    if not data.startswith(_MAGIC) and data[8:12] != b"WEBP":
        raise ValueError(
            "the file of the picture holds no JPEG, PNG or WebP" if data else "the picture's file is empty"
        )
    yield suffix, data
