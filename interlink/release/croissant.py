"""croissant.json: the release described for machines (MLCommons Croissant 1.0, JSON-LD).

Every file but LLaVA's single pictures with its sum; the documents as a record set where a Parquet format holds them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from interlink.release.settings import ReleaseSettings
from interlink.release.statistics import Statistics, told
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
# Formats whose Parquet files hold a row a document, in order of preference, with the columns that are told.
_RECORDS: dict[str, dict[str, str]] = {
    "parquet": {
        **dict.fromkeys(("id", "video_id", "url", "path", "title", "category", "licence", "dataset"), "sc:Text"),
        "text_tokens": "sc:Integer",
        "document": "sc:Text",
    },
    "datasets": {
        **dict.fromkeys(("id", "video_id", "url", "title", "licence", "dataset"), "sc:Text"),
        "document": "sc:Text",
    },
}
_ABOUT = {
    "id": "the document's key",
    "video_id": "the {thing} it was made from; the split goes by it",
    "url": "where the {thing} is",
    "path": "of a local {thing}, relative to the source folder",
    "title": "of the {thing}",
    "category": "of the {thing}",
    "licence": "of the {thing}, as its source tells it",
    "dataset": "the list the {thing} was taken from",
    "text_tokens": "words and punctuation marks of all texts",
    "document": "the whole document as JSON: frames and texts with times in seconds",
}


def croissant(settings: ReleaseSettings, statistics: Statistics, files: Sequence[File]) -> bytes:
    """The JSON-LD; the same for the same release."""
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
    if record := _records(files, statistics.thing):
        content["recordSet"] = record
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def general(statistics: Statistics) -> str:
    """A sentence on what it is, where nobody wrote one."""
    documents = count_of(statistics.total, "interleaved document")
    order = "frames and text alternate in the order of time" if statistics.thing == "video" else "pictures and text"
    return f"{documents} from {count_of(len(statistics.videos), statistics.thing)}: {order}."


def keywords(statistics: Statistics) -> list[str]:
    """What one would search for."""
    return ["interleaved", "image-text", *(["video"] if statistics.thing == "video" else [])]


def count_of(number: int, thing: str) -> str:
    """`1 video`, `2,000 videos`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def licence_link(licence: str) -> str:
    """Where a licence can be read: a URL as it is, an SPDX id (a word with a number, or MIT) at SPDX, else ''."""
    if "://" in licence:
        return licence
    name = licence.upper() if re.match(r"(cc|mit$)", licence, re.IGNORECASE) else licence
    return f"https://spdx.org/licenses/{name}.html" if re.fullmatch(r"[\w.+-]*\d[\w.+-]*|MIT", name, re.ASCII) else ""


def _licence(settings: ReleaseSettings, statistics: Statistics) -> Any:
    """A URL, or a work that says which licences the sources name."""
    if settings.licence:
        return licence_link(settings.licence) or {"@type": "sc:CreativeWork", "name": settings.licence}
    stated = ", ".join(f"{name} ({count:,} documents)" for name, count in told(statistics.licences).items())
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


def _records(files: Sequence[File], thing: str) -> list[dict[str, Any]]:
    """A record set for each file of the best format: files of one split are told apart by the name."""
    for name, columns in _RECORDS.items():
        parts = [f.path for f in files if f.path.startswith(f"{name}/") and f.path.endswith(".parquet")]
        if parts:
            return [_record(path, columns, thing) for path in parts]
    return []


def _record(path: str, columns: dict[str, str], thing: str) -> dict[str, Any]:
    name = PurePosixPath(path).stem
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"The documents of {path}.",
        "key": {"@id": f"{name}/id"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column}",
                "name": column,
                "description": _ABOUT[column].format(thing=thing),
                "dataType": kind,
                "source": {"fileObject": {"@id": path}, "extract": {"column": column}},
            }
            for column, kind in columns.items()
        ],
    }
