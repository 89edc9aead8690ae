"""Tars of pairs as img2dataset and video2dataset write them: each with its records as Parquet, and statistics."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from interlink.release.parts import COUNTS, TarParts
from interlink.release.source import SPLITS, Split
from interlink.release.target import Target
from interlink.shards import tar

_LONGEST_KEY = tar.LONGEST_NAME - len(".json")


class RecordedTars:
    """`<folder>/<split>/00000.tar` with `00000.parquet` (the records) and `00000_stats.json`; counts per tar.

    schema: of the records. limit: bytes of a tar; most: samples of a tar. Memory: the records of one tar.
    """

    def __init__(self, target: Target, folder: str, schema: pa.Schema, limit: int, most: int) -> None:
        self._target, self._folder, self._schema = target, folder, schema

        def parts(split: str) -> TarParts:
            return TarParts(target, lambda number: f"{folder}/{split}/{number:05d}.tar", limit, most)

        self._parts: dict[Split, TarParts] = {split: parts(split) for split in SPLITS}
        self._records: dict[Split, list[dict[str, Any]]] = {split: [] for split in SPLITS}  # of the open tar

    def add(self, split: Split, key: str, members: Sequence[tuple[str, bytes]], record: dict[str, Any]) -> None:
        """Adds one sample: its members, and its record as `json`."""
        parts = self._parts[split]
        before = len(parts.counts)
        content = json.dumps(record, ensure_ascii=False, indent=4).encode()
        everything = [*members, ("json", content)]
        parts.make_room(sum(-(-len(data) // tar.BLOCK) * tar.BLOCK + tar.BLOCK for _, data in everything))
        if before and len(parts.counts) > before:
            self._finish_tar(split, before - 1)
        parts.add(key, everything)
        self._records[split].append(record)

    def close(self) -> dict[str, str]:
        """Finishes open tars. Returns split -> glob of its tars."""
        globs: dict[str, str] = {}
        for split, parts in self._parts.items():
            if parts.counts:
                parts.close()
                self._finish_tar(split, parts.number)
                counts = {path.rpartition("/")[2]: count for path, count in parts.counts.items()}
                for name in COUNTS:
                    text = json.dumps(counts, indent=1) + "\n"
                    self._target.write(f"{self._folder}/{split}/{name}", text.encode())
                globs[split] = f"{self._folder}/{split}/*.tar"
        return globs

    def _finish_tar(self, split: Split, number: int) -> None:
        """Writes the Parquet and statistics files of a finished tar."""
        rows, self._records[split] = self._records[split], []
        path = f"{self._folder}/{split}/{number:05d}.parquet"
        table = pa.Table.from_pylist(rows, schema=self._schema)
        pq.write_table(table, self._target.begin(path), compression="zstd")
        self._target.finish(path)
        stats = {
            "count": len(rows),
            "successes": len(rows),
            "failed_to_download": 0,
            "failed_to_resize": 0,
            # nothing was downloaded, and no clock is read
            **dict.fromkeys(("duration", "start_time", "end_time"), 0.0),
            "status_dict": {"success": len(rows)},
        }
        text = json.dumps(stats, indent=4) + "\n"
        self._target.write(f"{self._folder}/{split}/{number:05d}_stats.json", text.encode())


def sample_key(document: str, part: str) -> str:
    """The key of one part of a document: unique over splits and releases, without dots, as long as a tar allows.

    Some readers (Megatron-Energon) refuse a data set in which two tars have the same key.
    """
    key = f"{document}-{part}"
    if len(key) <= _LONGEST_KEY:
        return key
    return f"{document[: _LONGEST_KEY - 17 - len(part)]}-{hashlib.sha256(key.encode()).hexdigest()[:15]}-{part}"
