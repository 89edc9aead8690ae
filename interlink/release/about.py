"""Facts about a release, from which the card, the Croissant file and RELEASE.json are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from interlink.release.settings import ReleaseSettings
from interlink.release.statistics import Statistics


@dataclass(frozen=True)
class Column:
    """A column of a Parquet file, for Croissant. kind: `sc:Text`, …; `{thing}` in about: a video, or a page.

    column: its name in the file, if it is another.
    """

    kind: str
    about: str
    column: str = ""


# Columns that several formats share.
FACTS = {
    "id": Column("sc:Text", "the document's key"),
    "video_id": Column("sc:Text", "the {thing} it was made from; the split goes by it"),
    "url": Column("sc:Text", "where the {thing} is"),
    "path": Column("sc:Text", "of a local {thing}, relative to the source folder"),
    "title": Column("sc:Text", "of the {thing}"),
    "category": Column("sc:Text", "of the {thing}"),
    "licence": Column("sc:Text", "of the {thing}, as its source tells it"),
    "dataset": Column("sc:Text", "the list the {thing} was taken from"),
    "text_tokens": Column("sc:Integer", "words and punctuation marks of all texts"),
    "document": Column("sc:Text", "the whole document as JSON: frames and texts with times in seconds"),
}

# Fields of a build's documents -> their meaning. A format names those that it does not carry (`Format.loses`).
FIELDS = {
    "images": "the pictures",
    "frame_times": "the exact time of each picture",
    "clip_times": "the exact start and end of each clip",
    "order": "the order of pictures and texts",
    "texts": "every text of a clip, with its role (caption, narration, speech, on-screen text) and times",
    "silent_clips": "clips without text",
    "scores": "scores of clips",
    "regions": "regions of pictures with their captions",
    "clip_files": "video and sound files of clips",
    "source": "the title, URL, category, licence and dataset of the source",
    "provenance": "the models, prompts and fingerprint",
}


@dataclass(frozen=True)
class Description:
    """The output of a format.

    about: one line for the card. records: their number, by split (or file). globs: split -> its files, if Hugging
    Face's `datasets` can open them. columns: of its Parquet files, for Croissant; the first `keys` of them are the key.
    default: whether `datasets` opens this format if none is named. loses: the `FIELDS` that it leaves out. empty: the
    reason if it has no records. loader: how `datasets` opens it if it is no configuration of the card. media: glob of
    single files of media -> their MIME type. left_out: what its options leave out -> the count.
    """

    about: str
    records: Mapping[str, int]
    globs: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Column] = field(default_factory=dict)
    default: bool = False
    loses: frozenset[str] = frozenset()
    empty: str = "No document has what it needs"
    loader: str = ""
    keys: int = 1
    media: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass
class About:
    """The facts of one release.

    stages: the funnel, one row per stage as in `Status.json`; lock: the lock of the build.
    """

    settings: ReleaseSettings
    statistics: Statistics
    stages: Mapping[str, Mapping[str, Any]]
    lock: Mapping[str, Any]
    formats: dict[str, Description] = field(default_factory=dict)
    shown: list[tuple[str, str]] = field(default_factory=list)  # (document, relative path of its picture)

    @property
    def records(self) -> dict[str, dict[str, int]]:
        """Format -> number of records by split."""
        return {name: dict(one.records) for name, one in self.formats.items()}

    def notes(self) -> list[str]:
        """What the formats and their options leave out, and formats without records: a sentence each."""
        found = []
        for field_, count in self.statistics.optional.items():
            without = [name for name, one in self.formats.items() if field_ in one.loses]
            if count and without:
                where = [name for name in self.formats if name not in without]
                there = f"they are in {', '.join(where)}" if where else "no format of this release carries them"
                found.append(f"{', '.join(without)}: without the {count:,} {FIELDS[field_]}; {there}")
        found += [
            f"{name}: {count:,} {what} left out"
            for name, one in self.formats.items()
            for what, count in sorted(one.left_out.items())
        ]
        found += [f"{name}: no records. {one.empty}" for name, one in self.formats.items() if not one.records]
        return found
