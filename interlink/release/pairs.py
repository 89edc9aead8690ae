"""pairs: image-caption tars as img2dataset writes them and COSMOS reads them: `<key>.jpg`, `.txt`, `.json`.

A pair is a picture with its clip's text; clips without text have none. Its key is the document's with the picture's
name. `pairs.smallest_side` and `pairs.largest_aspect` leave pictures out; the card counts them. The JSON has
img2dataset's fields, `original_caption` (the speech; PixelProse uses this name for captions before rewriting), and the
origin of the pair. Costs a copy of the bytes and a read of each picture's header.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field

from interlink.release.about import FIELDS, Column
from interlink.release.formats import Format
from interlink.release.recorded import RecordedTars, sample_key
from interlink.release.settings import ReleaseSettings
from interlink.release.source import Picture, Sample, clip_text, spaced
from interlink.release.target import Target
from interlink.settings import Settings

PAIRS_PER_TAR = 10_000  # as in img2dataset
_TEXT = ("key", "caption", "original_caption", "url", "status", "error_message", "exif", "sha256", "document", "image")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _TEXT),
        *((name, pa.int32()) for name in ("width", "height", "original_width", "original_height", "clip")),
        *((name, pa.float64()) for name in ("time", "start", "end")),
    ]
)


class PairsOptions(Settings):
    """`--set pairs.key=value`."""

    smallest_side: int = Field(0, ge=0, description="leave out pictures whose shorter side has fewer pixels (0 = none)")
    largest_aspect: float | None = Field(
        None, ge=1, description="leave out pictures whose longer side is more than this times the shorter"
    )

    def problem(self, width: int, height: int) -> str:
        """Why a picture of this size is left out; empty if it is not."""
        if min(width, height) < self.smallest_side:
            return f"pictures with a side under {self.smallest_side} pixels"
        if self.largest_aspect and max(width, height) > self.largest_aspect * min(width, height):
            return f"pictures longer than {self.largest_aspect:g} to 1"
        return ""


class Pairs(Format):
    """`pairs/<split>/00000.tar` with `00000.parquet` (the JSONs) and `00000_stats.json`; files with counts per tar."""

    name: ClassVar[str] = "pairs"
    about: ClassVar[str] = "image-caption pairs in tars as img2dataset writes and COSMOS reads them"
    loses: ClassVar[frozenset[str]] = frozenset(FIELDS) - {"images", "frame_times", "clip_times"}
    options_class: ClassVar[type[Settings]] = PairsOptions
    loader: ClassVar[str] = '`load_dataset("webdataset", data_files="pairs/train/*.tar")`'

    columns: ClassVar[Mapping[str, Column]] = {
        "key": Column("sc:Text", "the sample's key in its tar"),
        "document": Column("sc:Text", "the key of its document"),
        "caption": Column("sc:Text", "the text of the clip"),
        "url": Column("sc:Text", "where the {thing} is"),
        "sha256": Column("sc:Text", "of the picture"),
        "time": Column("sc:Float", "of the picture, seconds in the {thing}"),
        "start": Column("sc:Float", "of the clip, seconds in the {thing}"),
        "end": Column("sc:Float", "of the clip, seconds in the {thing}"),
    }

    def __init__(self, target: Target, settings: ReleaseSettings) -> None:
        super().__init__(target, settings)
        self._tars = RecordedTars(target, self.name, SCHEMA, settings.file_megabytes * 2**20, PAIRS_PER_TAR)

    def add(self, sample: Sample) -> None:
        clips = zip(sample.document.clips, sample.pictures_of_clips(), strict=True)
        for number, (clip, pictures) in enumerate(clips):
            caption = clip_text(clip, self.settings.texts)
            if not caption:
                continue
            for picture, time in spaced(pictures, self.settings.images_per_clip):
                place = {"clip": number, "time": time, "start": clip.start, "end": clip.end}
                self._pair(sample, picture, caption, clip.speech or caption, place)

    def close(self) -> None:
        self.globs |= self._tars.close()

    def _pair(self, sample: Sample, picture: Picture, caption: str, original: str, place: dict[str, Any]) -> None:
        width, height = _size(picture)
        if why := self.options.problem(width, height):
            self.leave_out(why)
            return
        key = sample_key(sample.key, picture.name.partition(".")[0])
        record = {
            "key": key,
            "caption": caption,
            "original_caption": original,
            "url": sample.document.source.url,
            "status": "success",
            "error_message": None,
            "width": width,
            "height": height,
            "original_width": width,
            "original_height": height,
            "exif": "{}",
            "sha256": picture.sha256,
            "document": sample.key,
            "image": picture.name,
            **place,
        }
        self._tars.add(sample.split, key, [(picture.suffix, picture.data), ("txt", caption.encode())], record)
        self.count(sample.split)


def _size(picture: Picture) -> tuple[int, int]:
    from PIL import Image

    with Image.open(io.BytesIO(picture.data)) as image:
        return image.size
