"""messages, messages-video: chat messages with media, as TRL, mlx-vlm, ms-swift and LLaMA-Factory read them.

`messages`: one conversation per document; Parquet with the pictures inside and structured content (TRL, mlx-vlm), and
JSON lines with a placeholder for each picture and paths of files (ms-swift, LLaMA-Factory). `messages-video`: one per
clip with its video file, as JSON lines. Paths are relative to the folder of the JSON lines. Costs two copies of the
pictures and one file per picture or video.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import pyarrow as pa

from interlink.release.about import FIELDS
from interlink.release.conversation import (
    IMAGE,
    VIDEO,
    Conversation,
    Lines,
    about_document,
    about_videos,
    write_pictures,
)
from interlink.release.datasets import IMAGES, hub_split, with_features
from interlink.release.formats import Format
from interlink.release.parts import ParquetParts
from interlink.release.settings import ReleaseSettings
from interlink.release.source import SPLITS, Sample
from interlink.release.target import Target

DATASET_INFO = "dataset_info.json"  # LLaMA-Factory's list of data sets in a folder
_TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}

_TEXT = {"dtype": "string", "_type": "Value"}
_PART = pa.struct([("type", pa.string()), ("text", pa.string())])  # image or text
_CLIP = {"clip": "int32", "start": "float64", "end": "float64", "images": "int32"}
SCHEMA = with_features(
    {
        "id": (pa.string(), _TEXT),
        "messages": (
            pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(_PART))])),
            [{"role": _TEXT, "content": [{"type": _TEXT, "text": _TEXT}]}],
        ),
        "images": IMAGES,
        "times": (pa.list_(pa.float64()), [{"dtype": "float64", "_type": "Value"}]),
        "clips": (
            pa.list_(pa.struct([(name, pa.type_for_alias(kind)) for name, kind in _CLIP.items()])),
            [{name: {"dtype": kind, "_type": "Value"} for name, kind in _CLIP.items()}],
        ),
    }
)


class _Chats(Format):
    """`<name>/<split>.jsonl`, `<name>/<media>/<document>/<file>`, and `dataset_info.json`."""

    media: ClassVar[str]

    def __init__(self, target: Target, settings: ReleaseSettings) -> None:
        super().__init__(target, settings)
        self._lines = Lines(target, lambda split: f"{self.name}/{split}.jsonl", array=False)

    def close(self) -> None:
        if splits := self._lines.close():
            columns = {"messages": "messages", self.media: self.media}
            sets = {
                f"{self.settings.name}_{split}": {
                    "file_name": f"{split}.jsonl",
                    "formatting": "sharegpt",
                    "columns": columns,
                    "tags": _TAGS,
                }
                for split in splits
            }
            self.target.write(f"{self.name}/{DATASET_INFO}", (json.dumps(sets, indent=1) + "\n").encode())

    def _add(self, split: str, about: Conversation, paths: list[str], mark: str) -> None:
        turns = []
        for turn in about.turns:
            turns.append({"role": "user", "content": turn.asked(mark)})
            turns.append({"role": "assistant", "content": turn.answered()})
        media = {self.media: [f"{self.media}/{path}" for path in paths]}
        clips = [turn.place() for turn in about.turns]
        self._lines.add(split, {"id": about.key, "messages": turns, **media, "times": about.times, "clips": clips})
        self.count(split)


class Messages(_Chats):
    """Also `messages/<split>-00000.parquet`; split `val` opens as `validation`."""

    name: ClassVar[str] = "messages"
    media_files: ClassVar[Mapping[str, str]] = {"messages/images/*/*": "image/jpeg"}
    about: ClassVar[str] = "chat messages about a document with its images, as Parquet and JSON lines"
    media: ClassVar[str] = "images"
    loses: ClassVar[frozenset[str]] = frozenset(FIELDS) - {"images", "clip_times", "frame_times"}

    def __init__(self, target: Target, settings: ReleaseSettings) -> None:
        super().__init__(target, settings)
        limit = settings.file_megabytes * 2**20
        self._parts = {split: ParquetParts(target, self.name, hub_split(split), SCHEMA, limit) for split in SPLITS}

    def add(self, sample: Sample) -> None:
        for about in about_document(sample, self.settings):
            paths = write_pictures(self.target, f"{self.name}/{self.media}", sample, about.pictures)
            self._add(sample.split, about, paths, IMAGE)
            size = sum(picture.size for picture, _ in about.pictures) + 2 * len(sample.text)
            self._parts[sample.split].add([_row(sample, about)], size)

    def close(self) -> None:
        super().close()
        for split, parts in self._parts.items():
            parts.close()
            if parts.paths:
                self.globs[split] = f"{self.name}/{hub_split(split)}-*.parquet"


class VideoMessages(_Chats):
    """One conversation per clip with a video file."""

    name: ClassVar[str] = "messages-video"
    media_files: ClassVar[Mapping[str, str]] = {"messages-video/videos/*/*": "video/mp4"}
    about: ClassVar[str] = "chat messages about a clip's video file, as JSON lines with a folder of videos"
    loader: ClassVar[str] = '`load_dataset("json", data_files="messages-video/train.jsonl")`, without the videos'
    media: ClassVar[str] = "videos"
    loses: ClassVar[frozenset[str]] = frozenset(FIELDS) - {"clip_times", "clip_files"}
    empty: ClassVar[str] = "The build has no clip files: set keyframes.clip_files and shard.clip_files"

    def add(self, sample: Sample) -> None:
        for about, name, data in about_videos(sample, self.settings):
            path = f"{sample.key}/{name}"
            self.target.write(f"{self.name}/{self.media}/{path}", data, one_of_many=True)
            self._add(sample.split, about, [path], VIDEO)


def _row(sample: Sample, about: Conversation) -> dict[str, Any]:
    """One row of the Parquet file: pictures come before the question that shows them."""
    messages = []
    for turn in about.turns:
        shown: list[dict[str, Any]] = [{"type": "image", "text": None}] * turn.media
        messages.append({"role": "user", "content": [*shown, {"type": "text", "text": turn.question}]})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": turn.answered()}]})
    return {
        "id": about.key,
        "messages": messages,
        "images": [{"bytes": p.data, "path": f"{sample.key}.{p.name}"} for p, _ in about.pictures],
        "times": about.times,
        "clips": [turn.place() for turn in about.turns],
    }
