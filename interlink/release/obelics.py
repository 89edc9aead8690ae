"""obelics: webdataset tars in the layout of OBELICS and MINT-1T.

A sample is `<key>.json`, its images and the clips' video and sound files. The JSON has two lists of the same length,
`texts` and `images` (names of members); at each position exactly one of them holds a value. `roles`, `starts`, `ends`
(seconds) and `clips` have the same length. `image_time` and `image_clip` have a value per image, `text_role`,
`text_start`, `text_end` and `text_clip` one per text, as NeMo Curator's reader takes them (`per_image_fields`,
`per_text_fields`). `metadata` and `general_metadata` are JSON in a string, as in OBELICS. Costs a copy of the bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from interlink.release.formats import Format
from interlink.release.parts import COUNTS, TarParts
from interlink.release.settings import ReleaseSettings
from interlink.release.source import SPLITS, Element, Sample
from interlink.release.target import Target

# Names that no other column has: Curator's reader and writer take a field for one modality.
PER_IMAGE = ("image_time", "image_clip")
PER_TEXT = ("text_role", "text_start", "text_end", "text_clip")


class Obelics(Format):
    """`obelics/<split>-00000.tar`, and files with the number of samples per tar."""

    name: ClassVar[str] = "obelics"
    about: ClassVar[str] = "webdataset tars with `texts` and `images` lists, as OBELICS and MINT-1T have them"
    loader: ClassVar[str] = (
        "not by `datasets`: samples have different members, which its loader refuses; use webdataset"
    )

    def __init__(self, target: Target, settings: ReleaseSettings) -> None:
        super().__init__(target, settings)
        limit = settings.file_megabytes * 2**20

        def parts(split: str) -> TarParts:
            return TarParts(target, lambda number: f"obelics/{split}-{number:05d}.tar", limit)

        self._parts = {split: parts(split) for split in SPLITS}

    def add(self, sample: Sample) -> None:
        content = json.dumps(lists(sample), ensure_ascii=False).encode()
        files = {**sample.pictures, **sample.files}
        members = [("json", content), *((name, file.data) for name, file in files.items())]
        self._parts[sample.split].add(sample.key, members)
        self.count(sample.split)

    def close(self) -> None:
        counts: dict[str, int] = {}
        for parts in self._parts.values():
            parts.close()
            counts |= {path.removeprefix("obelics/"): count for path, count in parts.counts.items()}
        for name in COUNTS:
            self.target.write(f"obelics/{name}", (json.dumps(counts, indent=1) + "\n").encode())


def lists(sample: Sample) -> dict[str, Any]:
    """The JSON of one sample."""
    elements = sample.elements()
    return {
        "sample_id": sample.key,
        "texts": [e.text for e in elements],
        "images": [None if e.picture is None else f"{sample.key}.{e.picture.name}" for e in elements],
        "roles": [e.role for e in elements],
        "starts": [e.start for e in elements],
        "ends": [e.end for e in elements],
        "clips": [e.clip for e in elements],
        **per_modality(elements),
        **about(sample),
        "document": json.loads(sample.text),
    }


def per_modality(elements: Sequence[Element]) -> dict[str, list[Any]]:
    """The fields with one value per image, and those with one per text."""
    rows = [fields_of(element) for element in elements]
    return {name: [row[name] for row in rows if name in row] for name in (*PER_IMAGE, *PER_TEXT)}


def fields_of(element: Element) -> dict[str, Any]:
    """The `PER_IMAGE` or `PER_TEXT` fields of one element."""
    if element.picture is not None:
        return dict(zip(PER_IMAGE, (element.start, element.clip), strict=True))
    return dict(zip(PER_TEXT, (element.role, element.start, element.end, element.clip), strict=True))


def about(sample: Sample) -> dict[str, str]:
    """OBELICS' two JSON columns: metadata of each image (None for a text), and of the document."""
    source = sample.document.source
    images = [
        None
        if e.picture is None
        else {"document_url": source.url, "name": e.picture.name, "time": e.start, "clip": e.clip}
        for e in sample.elements()
    ]
    general = {name: getattr(source, name) for name in ("url", "video_id", "title", "category", "dataset", "licence")}
    return {
        "metadata": json.dumps(images, ensure_ascii=False),
        "general_metadata": json.dumps(general, ensure_ascii=False),
    }
