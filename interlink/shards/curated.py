"""NeMo Curator's interleaved Parquet: the rows of one sample (`sample_id`, `position`, `modality`) as a page record.

Shared by the builder and the trainer. Costs one read of `sample_id` to find the samples.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from interlink.shards.released import DOCUMENT

_COLUMNS = {"sample_id", "position", "modality"}
_READ = ("sample_id", "position", "modality", "content_type", "text_content", "binary_content")


def is_curated(columns: Iterable[str]) -> bool:
    """Whether a Parquet file has these rows, by its columns."""
    return set(columns) >= _COLUMNS


def samples(file: Any) -> list[tuple[str, int, int]]:
    """(id, first row, number of rows) of each sample in an open `pyarrow.parquet.ParquetFile`."""
    ids = file.read(columns=["sample_id"])["sample_id"].to_pylist()
    found, first = [], 0
    for key, run in groupby(ids):
        count = sum(1 for _ in run)
        found.append((str(key), first, count))
        first += count
    return found


def columns(file: Any) -> list[str]:
    """The columns of an open file that a record needs."""
    return [name for name in _READ if name in file.schema_arrow.names]


def record(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A record with OBELICS' lists `texts` and `images`, in the order of positions; and the document if it is ours.

    Rows of other modalities have no place in it. A picture without bytes keeps its place.
    """
    shown = sorted((row for row in rows if row["modality"] in ("text", "image")), key=lambda row: row["position"])
    about: dict[str, Any] = {
        "texts": [str(row.get("text_content") or "") if row["modality"] == "text" else None for row in shown],
        "images": [
            {"bytes": row.get("binary_content"), "path": None} if row["modality"] == "image" else None for row in shown
        ],
    }
    metadata = next((row.get("text_content") for row in rows if row["modality"] == "metadata"), None)
    if metadata:
        try:
            whole = isinstance(json.loads(metadata), dict)
        except ValueError:
            whole = False
        if whole:
            about |= {DOCUMENT: metadata, "general_metadata": metadata}
    return about
