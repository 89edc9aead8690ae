"""`cosmos_train pack-llava`: writes LLaVA's json and its pictures as tar shards with an index for the stream.

A one-time conversion, so that training can read by position from any storage. Pictures stay as they are. Costs reading
each of them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cosmos_train.errors import UserError
from cosmos_train.stream.talk.corpus import turns_of
from interlink.shards import ShardWriter
from interlink.storage import Storage

_SHARD_BYTES = 500_000_000
_SUFFIXES = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".webp": "webp"}


@dataclass
class Packed:
    """left_out: reason -> count; example: the first record of each reason."""

    records: int = 0
    pictures: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)


def pack_llava(listed: Path, pictures: Path, out: Path, shard_bytes: int = _SHARD_BYTES) -> Packed:
    """Converts every usable record of a list, in its order. UserError if it is not a list, or `out` is not empty."""
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty", "give a new folder", 2)
    try:
        records = json.loads(listed.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{listed} cannot be read: {error}", "give LLaVA's json: a list of records", 2) from error
    if not isinstance(records, list):
        raise UserError(f"{listed} holds a {type(records).__name__}, not a list of records", "give LLaVA's json", 2)
    found, root = Packed(), pictures.resolve()
    with ShardWriter(Storage(str(out)), "", lambda number: f"{number:05d}.tar", shard_bytes) as writer:
        for number, record in enumerate(records):
            try:
                members = list(_members(record, root))
            except ValueError as error:
                reason = str(error)
                found.left_out[reason] += 1
                found.example.setdefault(
                    reason, str(record.get("id", number)) if isinstance(record, dict) else str(number)
                )
                continue
            pictured = len(members) > 1
            writer.add(f"{number:09d}", members, images=int(pictured), clips=1, text_tokens=0)
            found.records += 1
            found.pictures += pictured
    return found


def _members(record: Any, root: Path) -> Iterator[tuple[str, bytes]]:
    if not isinstance(record, dict):
        raise ValueError("the record is no object")
    name = record.get("image")
    turns_of(record.get("conversations"), bool(name))
    yield "json", json.dumps(record, ensure_ascii=False, sort_keys=True).encode()
    if not name:
        return
    path = (root / str(name)).resolve()
    if not path.is_relative_to(root):
        raise ValueError("the picture's path leads out of the folder")
    suffix = _SUFFIXES.get(path.suffix.lower())
    if suffix is None:
        raise ValueError(f"the picture is neither JPEG, PNG nor WebP but {path.suffix}")
    if not path.is_file():
        raise ValueError("the picture is not there")
    yield suffix, path.read_bytes()
