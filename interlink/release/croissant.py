"""croissant.json: a machine-readable description of the release (MLCommons Croissant 1.0, JSON-LD).

Lists every file with its checksum, except LLaVA's single pictures, and the documents as a record set if a Parquet
format holds them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from interlink.release.about import About, Column
from interlink.release.settings import ReleaseSettings
from interlink.release.statistics import Statistics, by_frequency
from interlink.release.target import File

FILE_NAME = "croissant.json"
CONFORMS_TO = "http://mlcommons.org/croissant/1.0"

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    **{
        name: f"cr:{name}"
        for name in (
            *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet"),
            *("format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet"),
            *("references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField"),
            "transform",
        )
    },
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
}
_ENCODINGS = {
    ".parquet": "application/x-parquet",
    ".tar": "application/x-tar",
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
    ".md": "text/markdown",
    ".png": "image/png",
}


def croissant(about: About, files: Sequence[File]) -> bytes:
    """The JSON-LD; the same release gives the same bytes."""
    settings, statistics = about.settings, about.statistics
    content: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": settings.name,
        "description": settings.description or general(statistics),
        "conformsTo": CONFORMS_TO,
        "license": _licence(settings, statistics),
        "version": settings.version,
        "keywords": keywords(statistics),
    }
    if settings.url:
        content["url"] = settings.url
    if settings.published:
        content["datePublished"] = settings.published
    if settings.creator:
        content["creator"] = {"@type": "sc:Organization", "name": settings.creator}
    if settings.citation:
        content["citeAs"] = settings.citation
    content["distribution"] = [_file(file) for file in files]
    if record := _records(about, files):
        content["recordSet"] = record
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def general(statistics: Statistics) -> str:
    """A generated description, for releases without one."""
    documents = count_of(statistics.total, "interleaved document")
    order = "frames and text alternate in the order of time" if statistics.thing == "video" else "pictures and text"
    return f"{documents} from {count_of(len(statistics.videos), statistics.thing)}: {order}."


def keywords(statistics: Statistics) -> list[str]:
    """Search keywords."""
    return ["interleaved", "image-text", *(["video"] if statistics.thing == "video" else [])]


def count_of(number: int, thing: str) -> str:
    """`1 video`, `2,000 videos`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def licence_link(licence: str) -> str:
    """The URL of a licence: a URL itself, SPDX's page for an SPDX id (a word with a number, or MIT), else ''."""
    if "://" in licence:
        return licence
    name = licence.upper() if re.match(r"(cc|mit$)", licence, re.IGNORECASE) else licence
    return f"https://spdx.org/licenses/{name}.html" if re.fullmatch(r"[\w.+-]*\d[\w.+-]*|MIT", name, re.ASCII) else ""


def _licence(settings: ReleaseSettings, statistics: Statistics) -> Any:
    """A URL, or a work that lists the licences of the sources."""
    if settings.licence:
        return licence_link(settings.licence) or {"@type": "sc:CreativeWork", "name": settings.licence}
    stated = ", ".join(f"{name} ({count:,} documents)" for name, count in by_frequency(statistics.licences).items())
    return {"@type": "sc:CreativeWork", "name": "as the source of each document states it", "description": stated}


def _file(file: File) -> dict[str, Any]:
    suffix = PurePosixPath(file.path).suffix
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": file.path,
        "contentSize": f"{file.size} B",
        "encodingFormat": _ENCODINGS.get(suffix, "application/octet-stream"),
        "sha256": file.sha256,
    }


def _records(about: About, files: Sequence[File]) -> list[dict[str, Any]]:
    """A record set for each Parquet file of the first format with columns; the file name contains the split."""
    for name, one in about.formats.items():
        parts = [f.path for f in files if f.path.startswith(f"{name}/") and f.path.endswith(".parquet")]
        if one.columns and parts:
            return [_record(path, one.columns, about.statistics.thing) for path in parts]
    return []


def _record(path: str, columns: Mapping[str, Column], thing: str) -> dict[str, Any]:
    """The first column is the key."""
    name = PurePosixPath(path).stem
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"The documents of {path}.",
        "key": {"@id": f"{name}/{next(iter(columns))}"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{name_}",
                "name": name_,
                "description": column.about.format(thing=thing),
                "dataType": column.kind,
                "source": {"fileObject": {"@id": path}, "extract": {"column": name_}},
            }
            for name_, column in columns.items()
        ],
    }
