"""croissant.json: a machine-readable description of the release (MLCommons Croissant 1.0, JSON-LD).

Lists every file with its checksum, except single pictures and videos, which are file sets. Each format with Parquet
files has a record set: documents, elements (`nemo`, with the images) or pairs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from interlink.markdown import licence_link
from interlink.release.about import About, Description
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
    content["distribution"] = [*map(_file, files), *_file_sets(about, files)]
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


def _tables(about: About, files: Sequence[File]) -> dict[str, list[str]]:
    """Format with columns -> globs of its Parquet files, if it has any."""
    found: dict[str, list[str]] = {}
    for name, one in about.formats.items():
        parts = [file.path for file in files if file.path.startswith(f"{name}/") and file.path.endswith(".parquet")]
        if one.columns and parts:
            found[name] = sorted({f"{PurePosixPath(path).parent}/*.parquet" for path in parts})
    return found


def _file_sets(about: About, files: Sequence[File]) -> list[dict[str, Any]]:
    """The Parquet files of each record set, and the media that formats write as single files."""
    sets = [
        (_tables_id(name), globs, "application/x-parquet", f"The Parquet files of {name}.")
        for name, globs in _tables(about, files).items()
    ]
    for name, one in about.formats.items():
        if one.records:
            sets += [(f"{name}-media", [glob], kind, f"The media of {name}.") for glob, kind in one.media.items()]
    return [
        {
            "@type": "cr:FileSet",
            "@id": name,
            "name": name,
            "description": about_,
            "encodingFormat": kind,
            "includes": globs[0] if len(globs) == 1 else globs,
        }
        for name, globs, kind, about_ in sets
    ]


def _tables_id(name: str) -> str:
    return f"{name}-files"


def _records(about: About, files: Sequence[File]) -> list[dict[str, Any]]:
    """A record set for each format with columns."""
    return [_record(name, about.formats[name], about.statistics.thing) for name in _tables(about, files)]


def _record(name: str, one: Description, thing: str) -> dict[str, Any]:
    """Its first columns are the key."""
    key = [{"@id": f"{name}/{column}"} for column in list(one.columns)[: one.keys]]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"{one.about[0].upper()}{one.about[1:]}.",
        "key": key[0] if len(key) == 1 else key,
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column}",
                "name": column,
                "description": facts.about.format(thing=thing),
                "dataType": facts.kind,
                "source": {"fileSet": {"@id": _tables_id(name)}, "extract": {"column": facts.column or column}},
            }
            for column, facts in one.columns.items()
        ],
    }
