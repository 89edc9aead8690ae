"""parquet: one row per document with exact times, text and metadata in typed columns; images by name, sum and place.

Small (no pixels), for filters, statistics and joins. The bytes of an image need one range read of a shard of the build;
the formats `datasets`, `obelics` and `nemo` include them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyarrow as pa

from interlink.release.about import FACTS, Column
from interlink.release.formats import Format
from interlink.release.parts import ParquetParts
from interlink.release.settings import ReleaseSettings
from interlink.release.source import SPLITS, Member, Sample
from interlink.release.target import Target

_SOURCE = ("video_id", "url", "path", "title", "category", "licence", "dataset")
_TEXTS = ("caption", "narration", "speech", "ocr")

ELEMENT = pa.struct(
    [
        ("type", pa.string()),  # image | text
        ("text", pa.string()),
        ("role", pa.string()),
        ("start", pa.float64()),  # seconds; an image has start = end = its time
        ("end", pa.float64()),
        ("clip", pa.int32()),
        ("image", pa.int32()),  # index into `images`
    ]
)
CLIP = pa.struct(
    [
        ("start", pa.float64()),
        ("end", pa.float64()),
        *((name, pa.string()) for name in _TEXTS),
        ("scores", pa.list_(pa.struct([("name", pa.string()), ("value", pa.float64())]))),
    ]
)
FILE = pa.struct(
    [
        ("name", pa.string()),
        ("sha256", pa.string()),
        ("shard", pa.string()),
        ("offset", pa.int64()),  # of the data, bytes
        ("size", pa.int64()),
    ]
)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        *((name, pa.string()) for name in _SOURCE),
        ("elements", pa.list_(ELEMENT)),
        ("clips", pa.list_(CLIP)),
        ("images", pa.list_(FILE)),
        ("files", pa.list_(FILE)),  # video and sound of clips
        ("text_tokens", pa.int32()),
        ("document", pa.string()),  # the canonical JSON, with everything
    ]
)


class Rows(Format):
    """`parquet/<split>-00000.parquet`."""

    name: ClassVar[str] = "parquet"
    about: ClassVar[str] = "a row a document: texts, exact times, facts; images by sum and place in the build's shards"
    columns: ClassVar[Mapping[str, Column]] = FACTS

    def __init__(self, target: Target, settings: ReleaseSettings) -> None:
        super().__init__(target, settings)
        limit = settings.file_megabytes * 2**20
        self._parts = {split: ParquetParts(target, self.name, split, SCHEMA, limit) for split in SPLITS}

    def add(self, sample: Sample) -> None:
        self._parts[sample.split].add([row(sample)], 2 * len(sample.text))
        self.count(sample.split)

    def close(self) -> None:
        for split, parts in self._parts.items():
            parts.close()
            if parts.paths:
                self.globs[split] = f"{self.name}/{split}-*.parquet"


def row(sample: Sample) -> dict[str, Any]:
    """The columns of one document."""
    document = sample.document
    numbers = {name: number for number, name in enumerate(sample.pictures)}
    return {
        "id": sample.key,
        **{name: getattr(document.source, name) for name in _SOURCE},
        "elements": [
            {
                "type": "text" if element.picture is None else "image",
                "text": element.text,
                "role": element.role,
                "start": element.start,
                "end": element.end,
                "clip": element.clip,
                "image": None if element.picture is None else numbers[element.picture.name],
            }
            for element in sample.elements()
        ],
        "clips": [
            {
                "start": clip.start,
                "end": clip.end,
                **{name: getattr(clip, name) for name in _TEXTS},
                "scores": [{"name": name, "value": value} for name, value in sorted((clip.scores or {}).items())],
            }
            for clip in document.clips
        ],
        "images": [_place(sample, picture) for picture in sample.pictures.values()],
        "files": [_place(sample, file) for file in sample.files.values()],
        "text_tokens": document.text_tokens(),
        "document": sample.text,
    }


def _place(sample: Sample, file: Member) -> dict[str, Any]:
    """The name, checksum and place of a file in the build's shards."""
    return {
        "name": file.name,
        "sha256": file.sha256,
        "shard": sample.shard,
        "offset": file.offset,
        "size": file.size,
    }
