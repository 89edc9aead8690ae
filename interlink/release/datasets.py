"""datasets: a folder that Hugging Face's `datasets.load_dataset` opens, with decoded images.

One row per document in the layout of OBELICS: `images` and `texts` have the same length, and exactly one of them holds
a value at each position; `metadata` and `general_metadata` are JSON; `files` has the clips' video and sound files. The
Parquet schema marks the image column, so
writing does not need the library.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pyarrow as pa

from interlink.release.about import FACTS, Column, Description
from interlink.release.formats import Format
from interlink.release.obelics import about
from interlink.release.parts import ParquetParts
from interlink.release.settings import ReleaseSettings
from interlink.release.source import SPLITS, Sample
from interlink.release.target import Target

_VALUES = {
    "id": "string",
    "video_id": "string",
    "url": "string",
    "title": "string",
    "licence": "string",
    "dataset": "string",
    "metadata": "string",
    "general_metadata": "string",
    "document": "string",
}
_LISTS = {"texts": "string", "roles": "string", "starts": "float64", "ends": "float64", "clips": "int32"}
_ARROW = {"string": pa.string(), "float64": pa.float64(), "int32": pa.int32()}


Feature = tuple[pa.DataType, Any]  # a column's type, and its description for the library
IMAGES: Feature = (pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())])), [{"_type": "Image"}])
FILES: Feature = (
    pa.list_(pa.struct([("name", pa.string()), ("bytes", pa.binary())])),
    [{name: {"dtype": kind, "_type": "Value"} for name, kind in (("name", "string"), ("bytes", "binary"))}],
)


def with_features(columns: Mapping[str, Feature]) -> pa.Schema:
    """A Parquet schema that tells `datasets` the features. A list with one entry means "list of" in every version."""
    info = json.dumps({"info": {"features": {name: feature for name, (_, feature) in columns.items()}}})
    return pa.schema([(name, kind) for name, (kind, _) in columns.items()], metadata={"huggingface": info})


SCHEMA = with_features(
    {
        **{name: (_ARROW[kind], {"dtype": kind, "_type": "Value"}) for name, kind in _VALUES.items()},
        "images": IMAGES,
        **{name: (pa.list_(_ARROW[kind]), [{"dtype": kind, "_type": "Value"}]) for name, kind in _LISTS.items()},
        "files": FILES,
    }
)


class Datasets(Format):
    """`datasets/<split>-00000.parquet`; split `val` opens as `validation`."""

    name: ClassVar[str] = "datasets"
    about: ClassVar[str] = "a folder for Hugging Face `datasets.load_dataset`, images inside"
    columns: ClassVar[Mapping[str, Column]] = {
        name: FACTS[name] for name in ("id", "video_id", "url", "title", "licence", "dataset", "document")
    }

    def __init__(self, target: Target, settings: ReleaseSettings) -> None:
        super().__init__(target, settings)
        limit = settings.file_megabytes * 2**20
        self._parts = {split: ParquetParts(target, self.name, hub_split(split), SCHEMA, limit) for split in SPLITS}

    def add(self, sample: Sample) -> None:
        size = sum(one.size for one in (*sample.pictures.values(), *sample.files.values())) + 2 * len(sample.text)
        self._parts[sample.split].add([row(sample)], size)
        self.count(sample.split)

    def close(self) -> None:
        for split, parts in self._parts.items():
            parts.close()
            if parts.paths:
                self.globs[split] = f"{self.name}/{hub_split(split)}-*.parquet"

    def description(self) -> Description:
        return replace(super().description(), default=True)


def hub_split(split: str) -> str:
    """Hugging Face's name of a split."""
    return "validation" if split == "val" else split


def row(sample: Sample) -> dict[str, Any]:
    """The columns of one document; `document` is its canonical JSON."""
    source, elements = sample.document.source, sample.elements()
    return {
        "id": sample.key,
        **{name: getattr(source, name) for name in ("video_id", "url", "title", "licence", "dataset")},
        **about(sample),
        "document": sample.text,
        "images": [
            None if e.picture is None else {"bytes": e.picture.data, "path": f"{sample.key}.{e.picture.name}"}
            for e in elements
        ],
        "texts": [e.text for e in elements],
        "roles": [e.role for e in elements],
        "starts": [e.start for e in elements],
        "ends": [e.end for e in elements],
        "clips": [e.clip for e in elements],
        "files": [{"name": f"{sample.key}.{file.name}", "bytes": file.data} for file in sample.files.values()],
    }
