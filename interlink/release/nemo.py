"""nemo: the interleaved rows of NeMo Curator, one row per element, which its readers and filters open directly.

The reserved columns, then `role`, `start`, `end` (seconds) and `clip` of every element, and the same as fields of one
modality (`image_…`, `text_…`), which Curator's writer of tars asks for. Position -1 is the document's metadata: its
canonical JSON. `source_ref` is the place of an element in the build's shards (JSON: path, member, byte_offset,
byte_size, frame_index); the bytes are inline, so readers do not need it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pyarrow as pa

from interlink.release.about import Column
from interlink.release.formats import Format
from interlink.release.obelics import fields_of
from interlink.release.parts import ParquetParts
from interlink.release.settings import ReleaseSettings
from interlink.release.source import SPLITS, Sample
from interlink.release.target import Target

SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),
        pa.field("modality", pa.string(), nullable=False),  # metadata | text | image
        pa.field("content_type", pa.string()),
        pa.field("text_content", pa.string()),
        pa.field("binary_content", pa.large_binary()),
        pa.field("source_ref", pa.string()),
        pa.field("materialize_error", pa.string()),
        pa.field("role", pa.string()),
        pa.field("start", pa.float64()),
        pa.field("end", pa.float64()),
        pa.field("clip", pa.int32()),
        pa.field("image_time", pa.float64()),
        pa.field("image_clip", pa.int32()),
        pa.field("text_role", pa.string()),
        pa.field("text_start", pa.float64()),
        pa.field("text_end", pa.float64()),
        pa.field("text_clip", pa.int32()),
    ]
)


class Nemo(Format):
    """`nemo/<split>-00000.parquet`; all rows of a document are in one file."""

    name: ClassVar[str] = "nemo"
    about: ClassVar[str] = "interleaved rows of NeMo Curator, a row an element"
    loses: ClassVar[frozenset[str]] = frozenset({"clip_files"})
    keys: ClassVar[int] = 2
    columns: ClassVar[Mapping[str, Column]] = {
        "id": Column("sc:Text", "the document's key", "sample_id"),
        "position": Column("sc:Integer", "place of the element in the document; -1 = the document as JSON"),
        "modality": Column("sc:Text", "text, image or metadata"),
        "content_type": Column("sc:Text", "MIME type of the element"),
        "text_content": Column("sc:Text", "the text of a text"),
        "image": Column("sc:ImageObject", "the image of an image", "binary_content"),
        "role": Column("sc:Text", "of a text: caption, narration, speech or ocr"),
        "start": Column("sc:Float", "seconds in the {thing}"),
        "end": Column("sc:Float", "seconds in the {thing}"),
        "clip": Column("sc:Integer", "number of the clip in the document"),
    }

    def __init__(self, target: Target, settings: ReleaseSettings) -> None:
        super().__init__(target, settings)
        limit = settings.file_megabytes * 2**20
        self._parts = {split: ParquetParts(target, self.name, split, SCHEMA, limit) for split in SPLITS}

    def add(self, sample: Sample) -> None:
        size = sum(picture.size for picture in sample.pictures.values()) + 2 * len(sample.text)
        self._parts[sample.split].add(list(rows(sample)), size)
        self.count(sample.split)

    def close(self) -> None:
        for split, parts in self._parts.items():
            parts.close()
            if parts.paths:
                self.globs[split] = f"{self.name}/{split}-*.parquet"


def rows(sample: Sample) -> Iterator[dict[str, Any]]:
    """One document's rows: its metadata, then its elements in order."""
    whole = _reference(sample, f"{sample.key}.json", sample.offset, len(sample.text.encode()))
    yield {
        "sample_id": sample.key,
        "position": -1,
        "modality": "metadata",
        "content_type": "application/json",
        "text_content": sample.text,
        "source_ref": whole,
    }
    for position, element in enumerate(sample.elements()):
        picture = element.picture
        common = {
            "sample_id": sample.key,
            "position": position,
            "role": element.role,
            "start": element.start,
            "end": element.end,
            "clip": element.clip,
            **fields_of(element),
        }
        if picture is None:
            content = {"modality": "text", "content_type": "text/plain", "text_content": element.text}
            yield {**common, **content, "source_ref": whole}
        else:
            content = {"modality": "image", "content_type": picture.content_type}
            place = _reference(sample, f"{sample.key}.{picture.name}", picture.offset, picture.size)
            yield {**common, **content, "binary_content": picture.data, "source_ref": place}


def _reference(sample: Sample, member: str, offset: int, size: int) -> str:
    place = {"path": sample.shard, "member": member, "byte_offset": offset, "byte_size": size, "frame_index": None}
    return json.dumps(place)
