"""Ids that are safe as file names and webdataset keys, and the order of a generation. Costs one sha256 an id.

A safe id has only letters, digits, `_` and `-`, begins with none of `-`, and has at most `MAX_LENGTH` characters.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

MAX_LENGTH = 80
_SAFE = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_-]{{0,{MAX_LENGTH - 1}}}")
_HASH_LENGTH = 8


def safe_id(raw: str, name: str = "") -> str:
    """A safe id for `raw`, the same each time.

    Without `name`, a `raw` that is safe already stays itself, and anything else becomes its readable part with 8 hex
    digits of sha256(raw) behind it. With `name` (the stem of a file, say), the result is always `<name>-<8 hex>`, so
    that two files of one name in two folders differ.
    """
    if not name and _SAFE.fullmatch(raw):
        return raw
    readable = unicodedata.normalize("NFKD", name or raw).encode("ascii", "ignore").decode()
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", readable).strip("_-") or "item"
    digest = hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    return f"{readable[: MAX_LENGTH - _HASH_LENGTH - 1]}-{digest}"


def keyed_hash(seed: int, item_id: str) -> str:
    """The place of an id in its generation: 64 hex digits that sort like a shuffle, the same on every machine."""
    return keyed_digest(seed, item_id).hex()


def keyed_digest(seed: int, item_id: str) -> bytes:
    """The same as 32 bytes, which sort alike."""
    return hashlib.sha256(f"{seed}:{item_id}".encode()).digest()
