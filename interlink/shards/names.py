"""Names in a folder of shards: runs of partitions, shards, indexes, and keys that are safe in a tar."""

from __future__ import annotations

import hashlib
import re

from interlink.ids import MAX_LENGTH, safe_id

PARTITIONS_PER_RUN = 16
MANIFEST = "MANIFEST.json"
# Members of samples of pairs and videos, by suffix, and the fields of their json that hold the text, in this order.
VIDEOS = ("mp4", "webm", "mkv", "mov", "avi", "gif")
TEXTS = ("txt", "text", "caption")
TEXT_FIELDS = ("caption", "text", "name", "title")  # img2dataset, WebVid's table
INDEX_SUFFIX = ".index.parquet"

_ENDS_LIKE_A_DOCUMENT = re.compile(r"-\d{3,7}$")


def run_of(partition: str) -> str:
    """The run that a partition `GGG-PPPPP` is sharded with: `GGG-RRRR`, 16 partitions of one generation."""
    generation, _, number = partition.partition("-")
    if not (generation.isdigit() and number.isdigit()):
        raise ValueError(f"partition {partition!r} is not named <generation>-<number>")
    return f"{generation}-{int(number) // PARTITIONS_PER_RUN:04d}"


def shard_name(run: str, number: int) -> str:
    """`<run>-<nnn>.tar`."""
    return f"{run}-{number:03d}.tar"


def index_name(shard: str) -> str:
    """The sidecar of a shard: `a/b.tar` -> `a/b.index.parquet`."""
    return shard.removesuffix(".tar") + INDEX_SUFFIX


def is_of_run(name: str, run: str) -> bool:
    """Whether a file is a shard of `run`, or the index of one."""
    return re.fullmatch(rf"{re.escape(run)}-\d+(\.tar|{re.escape(INDEX_SUFFIX)})", name) is not None


def document_keys(item_id: str, count: int) -> list[str]:
    """The keys of an item's documents: `<id>`, or `<id>-000`, `<id>-001`, … where there are several.

    An id that itself ends like the latter gets 8 digits of its sha256 behind it, so that no two documents of a build
    share a key.
    """
    key = safe_id(item_id)
    if _ENDS_LIKE_A_DOCUMENT.search(key):
        key = f"{key[: MAX_LENGTH - 9]}-{hashlib.sha256(item_id.encode()).hexdigest()[:8]}"
    return [key] if count == 1 else [f"{key}-{number:03d}" for number in range(count)]
