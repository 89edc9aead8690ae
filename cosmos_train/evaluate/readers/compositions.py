"""Sets that test whether a model understands who does what to whom: Winoground, SugarCrepe, SVO-Probes, MMVP-VLM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cosmos_train.evaluate.readers.folder import (
    DataFolder,
    Media,
    read_json,
    read_parquet,
    read_rows,
)  # fmt: skip

_SUGAR = ("add_att", "add_obj", "replace_att", "replace_obj", "replace_rel", "swap_att", "swap_obj")


@dataclass(frozen=True)
class Composition:
    """Pictures and texts; the first picture belongs to the first text, the second (if there is one) to the second.

    group: the kind of difference.
    """

    id: str
    group: str
    media: tuple[Media, ...]
    texts: tuple[str, ...]


def winoground(data: DataFolder, split: str) -> list[Composition]:
    """examples.jsonl (data.json) and images/ex_<id>_img_<n>.png; or the hub's Parquet, which holds the pictures."""
    if data.has("examples.jsonl", "data.json"):
        return [
            _winoground(row, tuple(Media(_named(row, number)) for number in (0, 1)))
            for row in read_rows(data.annotation("examples.jsonl", "data.json"))
        ]
    path = data.annotation("examples.jsonl", "data.json", "*.parquet")
    name = path.relative_to(data.root).as_posix()
    rows = read_parquet(path, ("id", "caption_0", "caption_1", "collapsed_tag", "tag"))
    return [
        _winoground(row, tuple(Media(name, row=place, column=f"image_{number}") for number in (0, 1)))
        for place, row in enumerate(rows)
    ]


def _winoground(row: dict[str, Any], media: tuple[Media, ...]) -> Composition:
    group = str(row.get("collapsed_tag") or row.get("tag") or "")
    return Composition(str(row["id"]), group, media, (row["caption_0"], row["caption_1"]))


def _named(row: dict[str, Any], number: int) -> str:
    name = str(row.get(f"image_{number}") or f"ex_{row['id']}_img_{number}")
    return name if name.endswith((".png", ".jpg")) else f"{name}.png"


def sugarcrepe(data: DataFolder, split: str) -> list[Composition]:
    """add_att.json, …, swap_obj.json (those that exist): filename, caption, negative_caption; COCO's val2017."""
    there = [kind for kind in _SUGAR if data.has(f"{kind}.json")]
    if not there:
        data.annotation("add_att.json")
    return [
        Composition(f"{kind}-{key}", kind, (Media(row["filename"]),), (row["caption"], row["negative_caption"]))
        for kind in there
        for key, row in read_json(data.annotation(f"{kind}.json")).items()
    ]


def svo_probes(data: DataFolder, split: str) -> list[Composition]:
    """svo_probes.csv; pictures under the ids in it, <id>.jpg: which of two shows the sentence?

    Uses rows with pictures that differ in one of subject, verb and object, as its authors score them.
    """
    found = []
    for number, row in enumerate(read_rows(data.annotation("svo_probes.csv", "svo-probes.csv"))):
        differ = [kind for kind in ("subj", "verb", "obj") if row[f"{kind}_neg"].strip().lower() in ("true", "1")]
        if len(differ) == 1:
            media = (Media(f"{row['pos_image_id']}.jpg"), Media(f"{row['neg_image_id']}.jpg"))
            found.append(Composition(str(number), differ[0], media, (row["sentence"],)))
    return found


def mmvp_vlm(data: DataFolder, split: str) -> list[Composition]:
    """Questions.csv (number, type, statement) in pairs of rows; "MLLM_VLM Images/<type>/<number>.jpg"."""
    rows = [tuple(row.values()) for row in read_rows(data.annotation("Questions.csv"))]
    if len(rows) % 2:
        raise ValueError("Questions.csv does not hold pairs of statements")
    found = []
    for (one, kind, first, *_), (other, _, second, *_) in zip(rows[::2], rows[1::2], strict=True):
        media = tuple(Media(f"{kind.strip()}/{number.strip()}.jpg") for number in (one, other))
        texts = tuple(f"a photo of {text.strip()}" for text in (first, second))
        found.append(Composition(f"{one}-{other}", kind.strip(), media, texts))
    return found
