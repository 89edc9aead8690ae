"""videos: clip-caption tars as video2dataset writes them: `<key>.mp4`, `.txt`, `.json`, and the sound if there is any.

A sample is the video file of a clip (`keyframes.clip_files`, `shard.clip_files`) with the clip's text; clips without
text have none. The JSON has video2dataset's fields and the origin of the sample. `video_start` and `video_end` are the
seconds that the file contains; a copied file begins at the keyframe before the clip. Costs a copy of the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pyarrow as pa

from interlink.release.about import FIELDS, Column
from interlink.release.formats import Format
from interlink.release.recorded import RecordedTars, sample_key
from interlink.release.settings import ReleaseSettings
from interlink.release.source import Sample, Video, clip_text
from interlink.release.target import Target

VIDEOS_PER_TAR = 1_000  # as in video2dataset
_TEXT = ("key", "videoid", "url", "caption", "original_caption", "title", "status", "error_message", "document", "how")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _TEXT),
        ("clip", pa.int32()),
        *((name, pa.float64()) for name in ("start", "end", "video_start", "video_end", "duration")),
    ]
)


class Videos(Format):
    """`videos/<split>/00000.tar` with `00000.parquet` (the JSONs) and `00000_stats.json`; files with counts per tar."""

    name: ClassVar[str] = "videos"
    about: ClassVar[str] = "clip-caption pairs in tars as video2dataset writes them, in the shape of WebVid"
    loses: ClassVar[frozenset[str]] = frozenset(FIELDS) - {"clip_times", "clip_files"}
    loader: ClassVar[str] = '`load_dataset("webdataset", data_files="videos/train/*.tar")`'
    empty: ClassVar[str] = "The build has no clip files: set keyframes.clip_files and shard.clip_files"

    columns: ClassVar[Mapping[str, Column]] = {
        "key": Column("sc:Text", "the sample's key in its tar"),
        "document": Column("sc:Text", "the key of its document"),
        "caption": Column("sc:Text", "the text of the clip"),
        "url": Column("sc:Text", "where the {thing} is"),
        "start": Column("sc:Float", "of the clip, seconds in the {thing}"),
        "end": Column("sc:Float", "of the clip, seconds in the {thing}"),
    }

    def __init__(self, target: Target, settings: ReleaseSettings) -> None:
        super().__init__(target, settings)
        self._tars = RecordedTars(target, self.name, SCHEMA, settings.file_megabytes * 2**20, VIDEOS_PER_TAR)

    def add(self, sample: Sample) -> None:
        for video in sample.videos():
            if caption := clip_text(video.clip, self.settings.texts):
                key = sample_key(sample.key, f"c{video.number:03d}")
                sounds = [(sound.suffix, sound.data) for sound in video.sounds]
                members = [("mp4", video.data), *sounds, ("txt", caption.encode())]
                self._tars.add(sample.split, key, members, _record(key, sample, video, caption))
                self.count(sample.split)

    def close(self) -> None:
        self.globs |= self._tars.close()


def _record(key: str, sample: Sample, video: Video, caption: str) -> dict[str, Any]:
    source = sample.document.source
    return {
        "key": key,
        "videoid": source.video_id,
        "url": source.url,
        "caption": caption,
        "original_caption": video.clip.speech or caption,
        "title": source.title,
        "status": "success",
        "error_message": None,
        "document": sample.key,
        "how": video.file.how,
        "clip": video.number,
        "start": video.clip.start,
        "end": video.clip.end,
        "video_start": video.file.start,
        "video_end": video.file.end,
        "duration": video.file.end - video.file.start,
    }
