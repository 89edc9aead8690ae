"""Ids that are safe as file names and webdataset keys, and the order of a generation. Costs one sha256 an id.

A safe id has only letters, digits, `_` and `-`, begins with none of `-`, and has at most `MAX_LENGTH` characters.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

MAX_LENGTH = 80
_SAFE = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_-]{{0,{MAX_LENGTH - 1}}}")
_HASH_LENGTH = 8
_NEAREST = 5


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


def nearest(name: str, ids: Sequence[str]) -> list[str]:
    """The ids most like `name`. Of many only those that share most three-letter pieces with it are compared closely."""

    def pieces(text: str) -> set[str]:
        padded = f"  {text.lower()} "
        return {padded[n : n + 3] for n in range(len(padded) - 2)}

    wanted = pieces(name)
    shared = Counter({item: len(wanted & pieces(item)) for item in ids})
    likely = [item for item, count in sorted(shared.items(), key=lambda pair: (-pair[1], pair[0]))[:200] if count]
    return difflib.get_close_matches(name, likely, n=_NEAREST, cutoff=0.4)
