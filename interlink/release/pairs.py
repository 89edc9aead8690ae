"""pairs: image-caption tars as img2dataset writes them and COSMOS reads them: `<key>.jpg`, `.txt`, `.json`.

A pair is a picture with its clip's text; clips without text have none. The JSON has img2dataset's fields,
`original_caption` (the speech; PixelProse uses this name for captions before rewriting), and the origin of the pair.
Costs a copy of the bytes and a read of each picture's header.
"""

from __future__ import annotations

import io
import json
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from interlink.release.formats import Format
from interlink.release.parts import COUNTS, TarParts
from interlink.release.settings import ReleaseSettings
from interlink.release.source import SPLITS, Picture, Sample, clip_text, spaced
from interlink.release.target import Target
from interlink.shards import tar

PAIRS_PER_TAR = 10_000  # as in img2dataset; four digits of the key
_TEXT = ("key", "caption", "original_caption", "url", "status", "error_message", "exif", "sha256", "document", "image")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _TEXT),
        *((name, pa.int32()) for name in ("width", "height", "original_width", "original_height", "clip")),
        *((name, pa.float64()) for name in ("time", "start", "end")),
    ]
)


class Pairs(Format):
    """`pairs/<split>/00000.tar` with `00000.parquet` (the JSONs) and `00000_stats.json`; files with counts per tar."""

    name: ClassVar[str] = "pairs"
    about: ClassVar[str] = "image-caption pairs in tars as img2dataset writes and COSMOS reads them"

    def __init__(self, target: Target, settings: ReleaseSettings) -> None:
        super().__init__(target, settings)
        limit = settings.file_megabytes * 2**20

        def parts(split: str) -> TarParts:
            return TarParts(target, lambda number: f"pairs/{split}/{number:05d}.tar", limit, PAIRS_PER_TAR)

        self._parts = {split: parts(split) for split in SPLITS}
        self._records: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}  # JSONs of the open tar

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
        for split, parts in self._parts.items():
            if parts.counts:
                parts.close()
                self._finish_tar(split, parts.number)
                counts = {path.rpartition("/")[2]: count for path, count in parts.counts.items()}
                for name in COUNTS:
                    self.target.write(f"pairs/{split}/{name}", (json.dumps(counts, indent=1) + "\n").encode())
                self.globs[split] = f"pairs/{split}/*.tar"

    def _pair(self, sample: Sample, picture: Picture, caption: str, original: str, place: dict[str, Any]) -> None:
        split, parts = sample.split, self._parts[sample.split]
        before = len(parts.counts)
        parts.make_room(picture.size + 4 * len(caption) + 2 * len(original) + 16 * tar.BLOCK)
        if before and len(parts.counts) > before:
            self._finish_tar(split, before - 1)
        key = f"{parts.number:05d}{parts.count:04d}"
        width, height = _size(picture)
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
        content = json.dumps(record, ensure_ascii=False, indent=4).encode()
        parts.add(key, [(picture.suffix, picture.data), ("txt", caption.encode()), ("json", content)])
        self._records[split].append(record)
        self.count(split)

    def _finish_tar(self, split: str, number: int) -> None:
        """Writes the Parquet and statistics files of a finished tar."""
        rows, self._records[split] = self._records[split], []
        path = f"pairs/{split}/{number:05d}.parquet"
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        pq.write_table(table, self.target.begin(path), compression="zstd")
        self.target.finish(path)
        stats = {
            "count": len(rows),
            "successes": len(rows),
            "failed_to_download": 0,
            "failed_to_resize": 0,
            **dict.fromkeys(
                ("duration", "start_time", "end_time"), 0.0
            ),  # nothing was downloaded, and no clock is read
            "status_dict": {"success": len(rows)},
        }
        self.target.write(f"pairs/{split}/{number:05d}_stats.json", (json.dumps(stats, indent=4) + "\n").encode())


def _size(picture: Picture) -> tuple[int, int]:
    from PIL import Image

    with Image.open(io.BytesIO(picture.data)) as image:
        return image.size
