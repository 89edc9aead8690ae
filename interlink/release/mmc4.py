"""mmc4: pages as MMC4 publishes them, one JSON line each, with pictures as base64, for code in the way of OpenFlamingo.

A sentence is a clip's text; the clip's middle picture belongs to it. `similarity_matrix` is 1 there and 0 elsewhere,
because readers assign each picture to one sentence by it. Clips without text are left out. Costs 4/3 of the pictures.
"""

from __future__ import annotations

import base64
import io
import json
from typing import Any, ClassVar, TextIO

from interlink.release.about import FIELDS
from interlink.release.formats import Format
from interlink.release.settings import ReleaseSettings
from interlink.release.source import Sample, clip_text, spaced
from interlink.release.target import Target


class Mmc4(Format):
    """`mmc4/<split>-00000.jsonl`; a file is closed near `file_megabytes`. Documents without pictures are left out."""

    name: ClassVar[str] = "mmc4"
    about: ClassVar[str] = "pages in MMC4's JSON lines with base64 images: a sentence and one image a clip"
    loses: ClassVar[frozenset[str]] = frozenset(FIELDS) - {"clip_times", "frame_times"}
    loader: ClassVar[str] = '`load_dataset("json", data_files="mmc4/train-*.jsonl")`'

    def __init__(self, target: Target, settings: ReleaseSettings) -> None:
        super().__init__(target, settings)
        self._limit = settings.file_megabytes * 2**20
        self._numbers: dict[str, int] = {}
        self._open: dict[str, tuple[str, TextIO, int]] = {}  # split -> path, file, characters

    def add(self, sample: Sample) -> None:
        if page := _page(sample, self.settings):
            self._write(sample.split, json.dumps(page, ensure_ascii=False) + "\n")
            self.count(sample.split)

    def close(self) -> None:
        for split in list(self._open):
            self._finish(split)

    def _write(self, split: str, line: str) -> None:
        if split in self._open and self._open[split][2] + len(line) > self._limit:
            self._finish(split)
        if split not in self._open:
            number = self._numbers[split] = self._numbers.get(split, -1) + 1
            path = f"{self.name}/{split}-{number:05d}.jsonl"
            self._open[split] = (path, self.target.begin(path).open("w", encoding="utf-8", newline="\n"), 0)
        path, file, size = self._open[split]
        file.write(line)
        self._open[split] = (path, file, size + len(line))

    def _finish(self, split: str) -> None:
        path, file, _ = self._open.pop(split)
        file.close()
        self.target.finish(path)


def _page(sample: Sample, settings: ReleaseSettings) -> dict[str, Any] | None:
    from PIL import Image

    sentences: list[str] = []
    images: list[dict[str, Any]] = []
    clips: list[dict[str, Any]] = []
    for number, (clip, pictures) in enumerate(zip(sample.document.clips, sample.pictures_of_clips(), strict=True)):
        text = clip_text(clip, settings.texts)
        if not text:
            continue
        for picture, time in spaced(pictures, 1):
            with Image.open(io.BytesIO(picture.data)) as opened:
                width, height = opened.size
            images.append(
                {
                    "image_name": f"{sample.key}.{picture.name}",
                    "raw_url": sample.document.source.url,
                    "width": width,
                    "height": height,
                    "matched_text_index": len(sentences),
                    "matched_sim": 1.0,
                    "time": time,
                    "image_base64": base64.b64encode(picture.data).decode(),
                }
            )
        clips.append({"clip": number, "start": clip.start, "end": clip.end})
        sentences.append(text)
    if not images:
        return None
    similarity = [[float(at == image["matched_text_index"]) for at in range(len(sentences))] for image in images]
    return {
        "url": sample.document.source.url,
        "text_list": sentences,
        "image_info": images,
        "similarity_matrix": similarity,
        "document": sample.key,
        "clips": clips,
    }
