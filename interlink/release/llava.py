"""llava, llava-document, llava-video: conversations in LLaVA's JSON with a folder of media, for instruction tuning.

`llava`: one conversation per clip with its middle picture, for trainers that take one picture (LLaVA 1.5, CuMo).
`llava-document`: one per document with all pictures (LLaVA-NeXT, Qwen-VL). `llava-video`: one per clip with its video
file. Pictures of clips without text are left out. Costs one file per picture or video.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from interlink.release.about import FIELDS
from interlink.release.conversation import (
    IMAGE,
    Conversation,
    Lines,
    about_clips,
    about_document,
    about_videos,
    write_pictures,
)
from interlink.release.formats import Format
from interlink.release.settings import ReleaseSettings
from interlink.release.source import Sample
from interlink.release.target import Target
from interlink.settings import Settings

QWEN_VL = "qwen_vl.json"


class _Conversations(Format):
    """`<name>/<split>.json` and `<name>/<media>/<document>/<file>`; paths are relative to `<name>/<media>`."""

    media: ClassVar[str] = "images"

    def __init__(self, target: Target, settings: ReleaseSettings) -> None:
        super().__init__(target, settings)
        self._lines = Lines(target, lambda split: f"{self.name}/{split}.json", array=True)

    def close(self) -> None:
        if splits := self._lines.close():
            sets = {
                f"{self.settings.name}_{split}": {"annotation_path": f"{split}.json", "data_path": self.media}
                for split in splits
            }
            self.target.write(f"{self.name}/{QWEN_VL}", (json.dumps(sets, indent=1) + "\n").encode())

    def _add(self, split: str, about: Conversation, media: dict[str, Any], mark: str) -> None:
        turns: list[dict[str, str]] = []
        for turn in about.turns:
            turns.append({"from": "human", "value": turn.asked(mark)})
            turns.append({"from": "gpt", "value": turn.answered()})
        clips = [turn.place() for turn in about.turns]
        self._lines.add(split, {"id": about.key, **media, "conversations": turns, "times": about.times, "clips": clips})
        self.count(split)

    def _add_with_pictures(self, sample: Sample, found: Iterable[Conversation]) -> None:
        for about in found:
            paths = write_pictures(self.target, f"{self.name}/{self.media}", sample, about.pictures)
            media = {"image": paths[0] if len(paths) == 1 else paths} if paths else {}
            self._add(sample.split, about, media, IMAGE)


class Llava(_Conversations):
    """One conversation per clip; with the old setting `conversation: document`, one per document."""

    name: ClassVar[str] = "llava"
    media_files: ClassVar[Mapping[str, str]] = {"llava/images/*/*": "image/jpeg"}
    about: ClassVar[str] = "conversations about a clip with one picture, in LLaVA's JSON, with a folder of images"
    loader: ClassVar[str] = '`load_dataset("json", data_files="llava/train.json")`, without the pictures'
    loses: ClassVar[frozenset[str]] = frozenset(FIELDS) - {"clip_times", "frame_times"}

    def add(self, sample: Sample) -> None:
        form = about_document if self.settings.conversation == "document" else about_clips
        self._add_with_pictures(sample, form(sample, self.settings))


class LlavaDocument(_Conversations):
    """One conversation per document."""

    name: ClassVar[str] = "llava-document"
    media_files: ClassVar[Mapping[str, str]] = {"llava-document/images/*/*": "image/jpeg"}
    about: ClassVar[str] = "conversations about a document with all its pictures, in LLaVA's JSON, with their folder"
    loader: ClassVar[str] = "not by `datasets`: `image` is a name or a list, which its loader refuses; use `messages`"
    loses: ClassVar[frozenset[str]] = frozenset(FIELDS) - {"images", "clip_times", "frame_times"}

    def add(self, sample: Sample) -> None:
        self._add_with_pictures(sample, about_document(sample, self.settings))


class LlavaVideoOptions(Settings):
    """`--set llava-video.key=value`."""

    placeholder: Literal["video", "image"] = Field(
        "video", description="stands for the video in the question: <video> (Qwen-VL) or <image> (LLaVA-NeXT)"
    )


class LlavaVideo(_Conversations):
    """One conversation per clip with a video file."""

    name: ClassVar[str] = "llava-video"
    options_class: ClassVar[type[Settings]] = LlavaVideoOptions
    media_files: ClassVar[Mapping[str, str]] = {"llava-video/videos/*/*": "video/mp4"}
    media: ClassVar[str] = "videos"
    about: ClassVar[str] = "conversations about a clip's video file, in LLaVA's JSON, with a folder of videos"
    loader: ClassVar[str] = '`load_dataset("json", data_files="llava-video/train.json")`, without the videos'
    loses: ClassVar[frozenset[str]] = frozenset(FIELDS) - {"clip_times", "clip_files"}
    empty: ClassVar[str] = "The build has no clip files: set keyframes.clip_files and shard.clip_files"

    def add(self, sample: Sample) -> None:
        for about, name, data in about_videos(sample, self.settings):
            path = f"{sample.key}/{name}"
            self.target.write(f"{self.name}/{self.media}/{path}", data, one_of_many=True)
            self._add(sample.split, about, {"video": path}, f"<{self.options.placeholder}>")
