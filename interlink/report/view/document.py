"""What the tables hold of one video, for its pages: clips, frames, speech, captions, text on screen, its documents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.compute as pc

from interlink.report.view.frames import clip_span
from interlink.report.view.schema import SCORES
from interlink.report.view.site import Looked

_WANTED: Mapping[str, Sequence[str]] = {
    "keyframes": ("duration", "start", "clips.list.element.frames.list.element.time",
                  "clips.list.element.start", "clips.list.element.end"),
    "transcribe": tuple(f"sentences.list.element.{name}" for name in ("text", "start", "end")),
    "caption": tuple(f"clips.list.element.{name}" for name in ("clip", "caption", "flag")),
    "narrate": tuple(f"clips.list.element.{name}" for name in ("clip", "narration", "flag")),
    "ocr": tuple(f"lines.list.element.{name}" for name in ("text", "start", "end")),
    "interleave": ("documents", "left_out"),
}  # fmt: skip


@dataclass(frozen=True)
class Span:
    """Something between two times, seconds."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Clip:
    """A clip of the video. reason: why it is in no document; document: the key of its document, or empty.

    scores: of the catalogue, known ones only. frames: (number, time, the documents' names of it).
    """

    number: int
    start: float
    end: float
    caption: str
    document: str
    reason: str
    scores: Mapping[str, float]
    frames: Sequence[tuple[int, float, str]]


@dataclass(frozen=True)
class Video:
    """A video: its clips in order of time, and what is on its time line."""

    item: str
    title: str
    media: str
    duration: float
    start: float  # of the first picture; a player's clock begins there
    clips: Sequence[Clip]
    speech: Sequence[Span] = ()
    screen: Sequence[Span] = ()
    documents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def video_of(looked: Looked, item: str) -> Video:
    """Reads one video: a row of each table. Costs some 20 ms. KeyError where there is no such item."""
    found = looked.catalogue.rows("SELECT * FROM items WHERE id = ?", (item,))
    if not found:
        raise KeyError(item)
    partition = looked.catalogue.partitions[found[0]["partition"]].name
    rows = _rows(looked, partition, item)
    made = {one["key"]: one for one in rows.get("interleave", {}).get("documents") or ()}
    documents = {key: json.loads(one["document"]) for key, one in made.items()}
    used = {
        (image["clip"], image["frame"]): f"{key}.{image['name']}"
        for key, one in made.items()
        for image in one["images"]
    }
    keyframes = rows.get("keyframes", {})
    clips = _clips(looked, item, rows, used, list(made))
    return Video(
        item=item,
        title=found[0]["title"],
        media=found[0]["media"],
        duration=max([keyframes.get("duration") or 0.0, *(clip.end for clip in clips)]),
        start=keyframes.get("start") or 0.0,
        clips=clips,
        speech=_spans(rows.get("transcribe", {}).get("sentences")),
        screen=_spans(rows.get("ocr", {}).get("lines")),
        documents=documents,
    )


def _rows(looked: Looked, partition: str, item: str) -> dict[str, dict[str, Any]]:
    """The columns that are shown, by table, of one item."""
    found = {}
    summaries = looked.tables.summaries(partition)
    for stage, columns in _WANTED.items():
        if stage not in summaries:
            continue
        table = looked.tables.read(stage, partition, summaries[stage], ["id", *columns])
        rows = table.filter(pc.equal(table["id"], item)).to_pylist()
        if rows:
            found[stage] = rows[0]
    return found


def _clips(
    looked: Looked, item: str, rows: Mapping[str, Any], used: Mapping[tuple[int, int], str], keys: Sequence[str]
) -> list[Clip]:
    columns = looked.catalogue.clips
    begin, _ = clip_span(looked.catalogue, item)
    captions = {one["clip"]: one["caption"] or "" for one in rows.get("caption", {}).get("clips") or ()}
    captions |= {
        one["clip"]: one["narration"] for one in rows.get("narrate", {}).get("clips") or () if one["narration"]
    }
    reasons = looked.catalogue.meta("reasons")
    end = begin + len(rows.get("keyframes", {}).get("clips") or ())
    made = columns["document"][begin:end]
    first = int(made[made >= 0].min()) if (made >= 0).any() else 0
    clips = []
    for number, clip in enumerate(rows.get("keyframes", {}).get("clips") or ()):
        place = begin + number
        document = int(columns["document"][place])
        scores = {
            name: float(columns[name][place])
            for name in SCORES
            if name != "seconds" and not np.isnan(columns[name][place])
        }
        frames = [(n, frame["time"], used.get((number, n), "")) for n, frame in enumerate(clip["frames"])]
        reason = reasons[columns["reason"][place]] if columns["reached"][place] else "stopped before"
        clips.append(
            Clip(
                number, clip["start"], clip["end"], captions.get(number, ""),
                keys[document - first] if document >= 0 else "", "" if document >= 0 else reason,
                {"seconds": clip["end"] - clip["start"], **scores}, frames,
            )
        )  # fmt: skip
    return clips


def _spans(entries: Sequence[Mapping[str, Any]] | None) -> list[Span]:
    return [Span(one["start"], max(one["start"], one["end"]), one["text"]) for one in entries or ()]


def scored(clips: Sequence[Clip]) -> list[str]:
    """The scores that any of the clips has, in the order in which they are shown."""
    return [name for name in SCORES if any(name in clip.scores for clip in clips)]
