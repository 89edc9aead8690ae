"""What each format writes of a document made by hand, value by value, and where its files end. No build is needed."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlink.release.conversation import FIRST, NEXT
from interlink.release.formats import GROUP, Format
from interlink.release.parts import ROW_GROUP, ParquetParts, TarParts
from interlink.release.recorded import sample_key
from interlink.release.settings import ReleaseSettings
from interlink.release.source import Element, Member, Picture, Sample, clip_text, spaced, split_of
from interlink.release.statistics import THINGS, Statistics, by_frequency
from interlink.release.target import Target
from interlink.shards import tar
from interlink.shards.document import Clip
from releasing import Made_, filmed, simple
from telling import jpeg

URL = "https://tube.example/é"


def sampled(made: Made_, split: str = "train", text: str | None = None) -> Sample:
    """The document as a shard would give it: pictures from byte 1000 on, files from 9000 on, the JSON at 512."""
    document = made.document
    pictures, at = {}, 1000
    for name, data in made.images.items():
        pictures[name] = Picture(name, data, at, len(data))
        at += 10_000
    files = {name: Member(name, data, 9000 + n, len(data)) for n, (name, data) in enumerate(made.files.items())}
    text = document.dump() if text is None else text
    return Sample(document.id, "s-0.tar", split, document, text, 512, pictures, files)  # type: ignore[arg-type]


def told(number: int = 0, clips: int = 2) -> Made_:
    """A document with a title, a URL, a category and scores; its pictures are 32 × 48 instead of 48 × 32."""
    made = simple(number, clips)
    source = made.document.source
    source.title, source.url, source.category = "Füße", URL, "craft"
    made.document.clips[0].scores = {"blur": 0.25, "alike": 0.5}
    for n, name in enumerate(made.images):
        made.images[name] = jpeg(10 * number + n, 32, 48)
    return made


def write(name: str, samples: Sequence[Sample], out: Path, **settings: Any) -> Format:
    """A release of this format alone; returns its closed writer."""
    with Target(str(out)) as target:
        writer: Format = GROUP.load(name)(target, ReleaseSettings(name="told", **settings))
        for sample in samples:
            writer.add(sample)
        writer.close()
        target.commit(b"")
    for line in (out / "SHA256SUMS").read_text().splitlines():  # a file is finished when all of it is written
        digest, _, path = line.partition("  ")
        assert hashlib.sha256((out / path).read_bytes()).hexdigest() == digest
    return writer


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as file:
        return {one.name: file.extractfile(one).read() for one in file}  # type: ignore[union-attr]


ELEMENTS = [  # clip, start, end, role, text or the number of the picture
    (0, 1.25, 1.25, None, 0),
    (0, 3.5, 3.5, None, 1),
    (0, 0.0, 5.0, "caption", "A hand does step 0."),
    (1, 6.25, 6.25, None, 2),
    (1, 8.5, 8.5, None, 3),
    (1, 5.0, 10.0, "caption", "A hand does step 1."),
]
COLUMNS = {
    "texts": [None, None, "A hand does step 0.", None, None, "A hand does step 1."],
    "roles": [None, None, "caption", None, None, "caption"],
    "starts": [1.25, 3.5, 0.0, 6.25, 8.5, 5.0],
    "ends": [1.25, 3.5, 5.0, 6.25, 8.5, 10.0],
    "clips": [0, 0, 0, 1, 1, 1],
}
METADATA = [
    {"document_url": URL, "name": "000.jpg", "time": 1.25, "clip": 0},
    {"document_url": URL, "name": "001.jpg", "time": 3.5, "clip": 0},
    None,
    {"document_url": URL, "name": "002.jpg", "time": 6.25, "clip": 1},
    {"document_url": URL, "name": "003.jpg", "time": 8.5, "clip": 1},
    None,
]
GENERAL = {
    "url": URL,
    "video_id": "video0",
    "title": "Füße",
    "category": "craft",
    "dataset": "told",
    "licence": "CC-BY-4.0",
}


# -- the sample ---------------------------------------------------------------------------------------------------


def test_a_sample_gives_its_elements_and_the_pictures_and_videos_of_its_clips() -> None:
    sample = sampled(filmed(filmed(told(), 0, b"moving", b"heard"), 1, b"second"))
    pictures = list(sample.pictures.values())
    assert sample.elements() == [
        Element(clip, start, end, picture=pictures[what])
        if isinstance(what, int)
        else Element(clip, start, end, what, role)
        for clip, start, end, role, what in ELEMENTS
    ]
    assert sample.pictures_of_clips() == [
        [(pictures[0], 1.25), (pictures[1], 3.5)],
        [(pictures[2], 6.25), (pictures[3], 8.5)],
    ]
    first, second = sample.videos()
    assert (first.number, first.data, [one.data for one in first.sounds]) == (0, b"moving", [b"heard"])
    assert (first.clip, first.file.name) == (sample.document.clips[0], "c0.mp4")
    assert (second.number, second.data, second.sounds) == (1, b"second", ())
    sample.document.clips[0].files[0].how = "exact"  # type: ignore[index]
    assert [video.number for video in sample.videos()] == [0, 1]


def test_a_member_knows_its_kind_and_sum() -> None:
    kinds = [("a.jpg", "jpeg"), ("a.jpeg", "jpeg"), ("a.png", "png"), ("a.b.webp", "webp")]
    for name, kind in kinds:
        picture = Picture(name, b"data", 0, 4)
        assert (picture.suffix, picture.content_type) == (name.rpartition(".")[2], f"image/{kind}")
        assert picture.sha256 == hashlib.sha256(b"data").hexdigest()


def test_the_text_of_a_clip_is_the_first_kind_that_is_not_empty() -> None:
    clip = Clip(start=0, end=1, narration="", caption="c", speech="s")
    assert clip_text(clip, ("narration", "caption", "speech")) == "c"
    assert clip_text(clip, ("speech", "caption")) == "s"
    assert clip_text(clip, ("narration",)) == ""


@pytest.mark.parametrize(
    ("count", "most", "kept"),
    [
        (5, 0, [0, 1, 2, 3, 4]),
        (5, 5, [0, 1, 2, 3, 4]),
        (5, 1, [2]),
        (4, 1, [2]),
        (5, 2, [1, 3]),
        (6, 3, [1, 3, 5]),
        (7, 3, [1, 3, 5]),
        (0, 1, []),
    ],
)
def test_pictures_are_taken_from_the_middles_of_equal_parts(count: int, most: int, kept: list[int]) -> None:
    pictures: Any = [(None, float(n)) for n in range(count)]
    assert [time for _, time in spaced(pictures, most)] == kept


def test_the_split_is_a_share_of_the_videos_and_depends_on_the_seed() -> None:
    def drawn(**settings: Any) -> list[str]:
        return [split_of(f"video{n}", ReleaseSettings(**settings)) for n in range(400)]

    assert drawn(val_share=0.0).count("train") == drawn(val_share=1.0).count("val") == 400
    quarter = drawn(val_share=0.25)
    assert 70 <= quarter.count("val") <= 130
    assert drawn(val_share=0.25, seed=1) != quarter == drawn(val_share=0.25)
    assert [n for n, split in enumerate(drawn(val_share=0.02)) if split == "val"] == VALIDATION


VALIDATION = [35, 207, 363, 398]  # published splits must stay as they are


# -- rows of the formats ------------------------------------------------------------------------------------------


def test_datasets_has_the_documents_columns(tmp_path: Path) -> None:
    sample = sampled(filmed(told(), 0, b"moving"))
    writer = write("datasets", [sample, sampled(told(1), "val")], tmp_path / "out")
    (row,) = pq.read_table(tmp_path / "out" / "datasets" / "train-00000.parquet").to_pylist()
    data = [picture.data for picture in sample.pictures.values()]
    assert (json.loads(row.pop("metadata")), json.loads(row.pop("general_metadata"))) == (METADATA, GENERAL)
    assert row == {
        "id": "doc0",
        "video_id": "video0",
        "url": URL,
        "title": "Füße",
        "licence": "CC-BY-4.0",
        "dataset": "told",
        "document": sample.text,
        "images": [
            {"bytes": data[what], "path": f"doc0.00{what}.jpg"} if isinstance(what, int) else None
            for *_, what in ELEMENTS
        ],
        **COLUMNS,
        "files": [{"name": "doc0.c0.mp4", "bytes": b"moving"}],
    }
    assert writer.records == {"train": 1, "val": 1}
    assert writer.globs == {"train": "datasets/train-*.parquet", "val": "datasets/validation-*.parquet"}
    assert pq.read_metadata(tmp_path / "out" / "datasets" / "validation-00000.parquet").num_rows == 1
    assert writer.description().default


def test_obelics_has_members_and_lists(tmp_path: Path) -> None:
    sample = sampled(filmed(told(), 0, b"moving"))
    writer = write("obelics", [sample, sampled(told(1), "val")], tmp_path / "out")
    found = members(tmp_path / "out" / "obelics" / "train-00000.tar")
    about = json.loads(found.pop("doc0.json"))
    assert found == {
        **{f"doc0.{name}": picture.data for name, picture in sample.pictures.items()},
        "doc0.c0.mp4": b"moving",
    }
    assert (json.loads(about.pop("metadata")), json.loads(about.pop("general_metadata"))) == (METADATA, GENERAL)
    assert about == {
        "sample_id": "doc0",
        "images": [f"doc0.00{what}.jpg" if isinstance(what, int) else None for *_, what in ELEMENTS],
        **COLUMNS,
        "image_time": [1.25, 3.5, 6.25, 8.5],
        "image_clip": [0, 0, 1, 1],
        "text_role": ["caption", "caption"],
        "text_start": [0.0, 5.0],
        "text_end": [5.0, 10.0],
        "text_clip": [0, 1],
        "document": json.loads(sample.text),
    }
    counts = {"train-00000.tar": 1, "val-00000.tar": 1}
    for name in ("num_samples.json", "sizes.json"):
        assert json.loads((tmp_path / "out" / "obelics" / name).read_text()) == counts
    assert (writer.records, writer.globs) == ({"train": 1, "val": 1}, {})


def test_parquet_has_places_instead_of_pixels(tmp_path: Path) -> None:
    sample = sampled(filmed(told(), 0, b"moving"))
    writer = write("parquet", [sample, sampled(told(1), "val")], tmp_path / "out")
    (row,) = pq.read_table(tmp_path / "out" / "parquet" / "train-00000.parquet").to_pylist()
    made = sample.document
    assert row == {
        "id": "doc0",
        "video_id": "video0",
        "url": URL,
        "path": "video0.mp4",
        "title": "Füße",
        "category": "craft",
        "licence": "CC-BY-4.0",
        "dataset": "told",
        "elements": [
            {"type": "text", "text": what, "role": role, "start": start, "end": end, "clip": clip, "image": None}
            if isinstance(what, str)
            else {"type": "image", "text": None, "role": None, "start": start, "end": end, "clip": clip, "image": what}
            for clip, start, end, role, what in ELEMENTS
        ],
        "clips": [
            {
                "start": 5.0 * n,
                "end": 5.0 * n + 5,
                "caption": f"A hand does step {n}.",
                "narration": None,
                "speech": f"now step {n}",
                "ocr": None,
                "scores": [{"name": "alike", "value": 0.5}, {"name": "blur", "value": 0.25}] if n == 0 else [],
            }
            for n in range(2)
        ],
        "images": [
            {"name": name, "sha256": one.sha256, "shard": "s-0.tar", "offset": 1000 + 10_000 * n, "size": len(one.data)}
            for n, (name, one) in enumerate(sample.pictures.items())
        ],
        "files": [
            {
                "name": "c0.mp4",
                "sha256": hashlib.sha256(b"moving").hexdigest(),
                "shard": "s-0.tar",
                "offset": 9000,
                "size": 6,
            }
        ],
        "text_tokens": made.text_tokens(),
        "document": sample.text,
    }
    assert writer.records == {"train": 1, "val": 1}
    assert writer.globs == {"train": "parquet/train-*.parquet", "val": "parquet/val-*.parquet"}


def test_nemo_has_a_row_for_the_document_and_one_for_each_element(tmp_path: Path) -> None:
    sample = sampled(told())
    writer = write("nemo", [sample, sampled(told(1), "val")], tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "nemo" / "train-00000.parquet").to_pylist()

    def place(member: str, offset: int, size: int) -> dict[str, Any]:
        where = {"path": "s-0.tar", "member": member, "byte_offset": offset, "byte_size": size}
        return {**where, "frame_index": None}

    whole = place("doc0.json", 512, len(sample.text.encode()))
    empty = dict.fromkeys(pq.read_schema(tmp_path / "out" / "nemo" / "train-00000.parquet").names)
    wanted = [
        {
            "position": -1,
            "modality": "metadata",
            "content_type": "application/json",
            "text_content": sample.text,
            "source_ref": whole,
        }
    ]
    pictures = list(sample.pictures.values())
    for position, (clip, start, end, role, what) in enumerate(ELEMENTS):
        common = {"position": position, "start": start, "end": end, "clip": clip, "role": role}
        if isinstance(what, str):
            own = {"text_role": role, "text_start": start, "text_end": end, "text_clip": clip}
            text = {"modality": "text", "content_type": "text/plain", "text_content": what, "source_ref": whole}
            wanted.append({**common, **own, **text})
        else:
            one = pictures[what]
            ref = place(f"doc0.{one.name}", one.offset, one.size)
            shown = {"modality": "image", "content_type": "image/jpeg", "binary_content": one.data, "source_ref": ref}
            wanted.append({**common, "image_time": start, "image_clip": clip, **shown})
    assert [{**row, "source_ref": json.loads(row["source_ref"])} for row in rows] == [
        {**empty, "sample_id": "doc0", **row} for row in wanted
    ]
    assert writer.records == {"train": 1, "val": 1}
    assert writer.globs == {"train": "nemo/train-*.parquet", "val": "nemo/val-*.parquet"}
    assert writer.description().keys == 2


def test_mmc4_has_a_sentence_and_the_middle_picture_of_each_clip_with_text(tmp_path: Path) -> None:
    made = told(clips=3)
    made.document.clips[1].caption = made.document.clips[1].speech = None
    sample = sampled(made)
    bare = sampled(Made_(told(2).document.model_copy(update={"segments": []}), {}))
    writer = write("mmc4", [sample, bare, sampled(told(1), "val")], tmp_path / "out")
    (line,) = (tmp_path / "out" / "mmc4" / "train-00000.jsonl").read_text("utf-8").splitlines()
    assert "\\u" not in line
    pictures = [sample.pictures["001.jpg"], sample.pictures["005.jpg"]]
    assert json.loads(line) == {
        "url": URL,
        "text_list": ["A hand does step 0.", "A hand does step 2."],
        "image_info": [
            {
                "image_name": f"doc0.{picture.name}",
                "raw_url": URL,
                "width": 32,
                "height": 48,
                "matched_text_index": number,
                "matched_sim": 1.0,
                "time": time,
                "image_base64": base64.b64encode(picture.data).decode(),
            }
            for number, (picture, time) in enumerate(zip(pictures, (3.5, 13.5), strict=True))
        ],
        "similarity_matrix": [[1.0, 0.0], [0.0, 1.0]],
        "document": "doc0",
        "clips": [{"clip": 0, "start": 0.0, "end": 5.0}, {"clip": 2, "start": 10.0, "end": 15.0}],
    }
    assert writer.records == {"train": 1, "val": 1}
    assert len((tmp_path / "out" / "mmc4" / "val-00000.jsonl").read_text().splitlines()) == 1


def test_pairs_have_the_sizes_and_the_origin_of_their_pictures(tmp_path: Path) -> None:
    sample = sampled(told())
    sample.document.clips[1].speech = None
    writer = write("pairs", [sample, sampled(told(1), "val")], tmp_path / "out", images_per_clip=1)
    folder = tmp_path / "out" / "pairs" / "train"
    found = members(folder / "00000.tar")
    assert list(found) == [f"doc0-{name}.{kind}" for name in ("001", "003") for kind in ("jpg", "txt", "json")]
    records = [json.loads(found[f"doc0-{name}.json"]) for name in ("001", "003")]
    assert records == [
        {
            "key": f"doc0-{name}",
            "caption": f"A hand does step {clip}.",
            "original_caption": original,
            "url": URL,
            "status": "success",
            "error_message": None,
            "width": 32,
            "height": 48,
            "original_width": 32,
            "original_height": 48,
            "exif": "{}",
            "sha256": sample.pictures[f"{name}.jpg"].sha256,
            "document": "doc0",
            "image": f"{name}.jpg",
            "clip": clip,
            "time": time,
            "start": 5.0 * clip,
            "end": 5.0 * clip + 5,
        }
        for name, clip, time, original in (
            ("001", 0, 3.5, "now step 0"),
            ("003", 1, 8.5, "A hand does step 1."),
        )
    ]
    assert pq.read_table(folder / "00000.parquet").to_pylist() == records
    stats = {"count": 2, "successes": 2, "failed_to_download": 0, "failed_to_resize": 0, "status_dict": {"success": 2}}
    times = dict.fromkeys(("duration", "start_time", "end_time"), 0.0)
    assert json.loads((folder / "00000_stats.json").read_text()) == {**stats, **times}
    assert writer.records == {"train": 2, "val": 2}
    assert writer.globs == {"train": "pairs/train/*.tar", "val": "pairs/val/*.tar"}


def test_videos_have_the_seconds_of_their_file_and_of_their_clip(tmp_path: Path) -> None:
    made = filmed(filmed(told(), 0, b"first", b"heard"), 1, b"second")
    made.document.clips[1].speech = None
    writer = write("videos", [sampled(made), sampled(filmed(told(1)), "val"), sampled(told(2))], tmp_path / "out")
    folder = tmp_path / "out" / "videos" / "train"
    records = pq.read_table(folder / "00000.parquet").to_pylist()
    assert records == [
        {
            "key": f"doc0-c00{n}",
            "videoid": "video0",
            "url": URL,
            "caption": f"A hand does step {n}.",
            "original_caption": original,
            "title": "Füße",
            "status": "success",
            "error_message": None,
            "document": "doc0",
            "how": "copy",
            "clip": n,
            "start": 5.0 * n,
            "end": 5.0 * n + 5,
            "video_start": 5.0 * n - 0.5,
            "video_end": 5.0 * n + 5,
            "duration": 5.5,
        }
        for n, original in enumerate(("now step 0", "A hand does step 1."))
    ]
    assert writer.records == {"train": 2, "val": 1}
    assert writer.globs == {"train": "videos/train/*.tar", "val": "videos/val/*.tar"}
    assert [json.loads(members(folder / "00000.tar")[f"doc0-c00{n}.json"]) for n in range(2)] == records


def turns(mark: str, ask: str, answer: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": mark + ask}, {"from": "gpt", "value": answer}]


def test_llava_asks_about_one_picture_of_each_clip(tmp_path: Path) -> None:
    made = told(clips=3)
    made.document.clips[0].caption = "A <image> of <video> and <audio>."
    made.document.clips[1].caption = made.document.clips[1].speech = None
    sample = sampled(made)
    writer = write("llava", [sample, sampled(told(1), "val")], tmp_path / "out")
    folder = tmp_path / "out" / "llava"
    assert json.loads((folder / "train.json").read_text("utf-8")) == [
        {
            "id": f"doc0-00{clip}",
            "image": f"doc0/{name}",
            "conversations": turns("<image>\n", FIRST, answer),
            "times": [time],
            "clips": [{"clip": clip, "start": 5.0 * clip, "end": 5.0 * clip + 5, "images": 1}],
        }
        for clip, name, time, answer in (
            (0, "001.jpg", 3.5, "A image of video and audio."),
            (2, "005.jpg", 13.5, "A hand does step 2."),
        )
    ]
    assert sorted(path.name for path in (folder / "images" / "doc0").iterdir()) == ["001.jpg", "005.jpg"]
    assert (folder / "images" / "doc0" / "005.jpg").read_bytes() == sample.pictures["005.jpg"].data
    assert json.loads((folder / "qwen_vl.json").read_text()) == {
        f"told_{split}": {"annotation_path": f"{split}.json", "data_path": "images"} for split in ("train", "val")
    }
    assert writer.records == {"train": 2, "val": 2}


def test_llava_documents_ask_about_each_clip_in_turn(tmp_path: Path) -> None:
    one = told(1)
    one.document.segments = [one.document.segments[1]]
    lone = told(2, clips=1)
    lone.document.segments[0].images = ["000.jpg"]  # type: ignore[union-attr]
    lone.document.segments[0].times = [1.25]  # type: ignore[union-attr]
    writer = write("llava-document", [sampled(told()), sampled(one), sampled(lone)], tmp_path / "out")
    first, without, single = json.loads((tmp_path / "out" / "llava-document" / "train.json").read_text())
    assert first == {
        "id": "doc0",
        "image": [f"doc0/00{n}.jpg" for n in range(4)],
        "conversations": [
            *turns("<image><image>\n", FIRST, "A hand does step 0."),
            *turns("<image><image>\n", NEXT, "A hand does step 1."),
        ],
        "times": [1.25, 3.5, 6.25, 8.5],
        "clips": [{"clip": n, "start": 5.0 * n, "end": 5.0 * n + 5, "images": 2} for n in range(2)],
    }
    assert "image" not in without and without["conversations"][0]["value"] == FIRST
    assert single["image"] == "doc2/000.jpg"
    assert writer.records == {"train": 3}


def test_videos_are_asked_about_one_by_one(tmp_path: Path) -> None:
    made = filmed(filmed(filmed(told(clips=3), 0, b"first"), 1, b"silent"), 2, b"third")
    made.document.clips[1].caption = made.document.clips[1].speech = None
    places = [[{"clip": n, "start": 5.0 * n, "end": 5.0 * n + 5, "images": 1}] for n in (0, 2)]
    answers = ["A hand does step 0.", "A hand does step 2."]

    assert write("llava-video", [sampled(made)], tmp_path / "a").records == {"train": 2}
    assert json.loads((tmp_path / "a" / "llava-video" / "train.json").read_text()) == [
        {
            "id": f"doc0-00{n}",
            "video": f"doc0/c{n}.mp4",
            "conversations": turns("<video>\n", FIRST, answer),
            "times": [],
            "clips": place,
        }
        for n, answer, place in zip((0, 2), answers, places, strict=True)
    ]
    assert write("messages-video", [sampled(made)], tmp_path / "b").records == {"train": 2}
    lines = (tmp_path / "b" / "messages-video" / "train.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "id": f"doc0-00{n}",
            "messages": [
                {"role": "user", "content": f"<video>\n{FIRST}"},
                {"role": "assistant", "content": answer},
            ],
            "videos": [f"videos/doc0/c{n}.mp4"],
            "times": [],
            "clips": place,
        }
        for n, answer, place in zip((0, 2), answers, places, strict=True)
    ]
    assert (tmp_path / "b" / "messages-video" / "videos" / "doc0" / "c2.mp4").read_bytes() == b"third"


def test_messages_are_lines_and_rows_of_the_same_chat(tmp_path: Path) -> None:
    made = told()
    made.document.clips[1].caption = "A <image>."
    sample = sampled(made)
    writer = write("messages", [sample, sampled(told(1), "val")], tmp_path / "out")
    folder = tmp_path / "out" / "messages"
    (line,) = (folder / "train.jsonl").read_text().splitlines()
    rest = {
        "times": [1.25, 3.5, 6.25, 8.5],
        "clips": [{"clip": n, "start": 5.0 * n, "end": 5.0 * n + 5, "images": 2} for n in range(2)],
    }
    asked = [(FIRST, "A hand does step 0."), (NEXT, "A image.")]
    assert json.loads(line) == {
        "id": "doc0",
        "messages": [
            turn
            for ask, answer in asked
            for turn in (
                {"role": "user", "content": f"<image><image>\n{ask}"},
                {"role": "assistant", "content": answer},
            )
        ],
        "images": [f"images/doc0/00{n}.jpg" for n in range(4)],
        **rest,
    }
    (row,) = pq.read_table(folder / "train-00000.parquet").to_pylist()
    image = {"type": "image", "text": None}
    assert row == {
        "id": "doc0",
        "messages": [
            turn
            for ask, answer in asked
            for turn in (
                {"role": "user", "content": [image, image, {"type": "text", "text": ask}]},
                {"role": "assistant", "content": [{"type": "text", "text": answer}]},
            )
        ],
        "images": [{"bytes": one.data, "path": f"doc0.{name}"} for name, one in sample.pictures.items()],
        **rest,
    }
    assert writer.records == {"train": 1, "val": 1}
    assert writer.globs == {"train": "messages/train-*.parquet", "val": "messages/validation-*.parquet"}
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    assert json.loads((folder / "dataset_info.json").read_text()) == {
        f"told_{split}": {
            "file_name": f"{split}.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "images": "images"},
            "tags": tags,
        }
        for split in ("train", "val")
    }


def test_howto_has_a_file_for_each_split_and_counts_clips_of_a_video_that_goes_on(tmp_path: Path) -> None:
    documents = [told(n, clips=3) for n in range(3)]
    documents[1].document.source.video_id = "video0"
    writer = write(
        "howto",
        [sampled(documents[0]), sampled(documents[1]), sampled(documents[2], "val")],
        tmp_path / "out",
        sampled_share=0.4,
    )
    folder = tmp_path / "out" / "howto"

    def ids(name: str) -> list[list[str]]:
        with (folder / name).open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        return [[clip["clip_id"] for clip in json.loads(row["clips"])] for row in rows]

    assert ids("told_subset_w_all_clips_train.tsv") == [["0", "1", "2"], ["3", "4", "5"]]
    assert ids("told_subset_w_all_clips_val.tsv") == [["0", "1", "2"]]
    assert [len(one) for one in ids("told_subset_w_sampled_clips_train.tsv")] == [2, 2]
    assert writer.records == {"all_train": 2, "sampled_train": 2, "all_val": 1, "sampled_val": 1}
    assert writer.globs == {
        "train": "howto/told_subset_w_all_clips_train.tsv",
        "val": "howto/told_subset_w_all_clips_val.tsv",
    }


@pytest.mark.parametrize(
    ("name", "file", "indent"),
    [
        ("obelics", "num_samples.json", 1),
        ("llava", "qwen_vl.json", 1),
        ("messages", "dataset_info.json", 1),
        ("pairs", "train/sizes.json", 1),
        ("pairs", "train/00000_stats.json", 4),
    ],
)
def test_small_files_are_written_for_people(tmp_path: Path, name: str, file: str, indent: int) -> None:
    write(name, [sampled(told())], tmp_path / "out")
    text = (tmp_path / "out" / name / file).read_text()
    assert text == json.dumps(json.loads(text), indent=indent) + "\n"
    if name == "pairs":
        record = members(tmp_path / "out" / "pairs" / "train" / "00000.tar")["doc0-000.json"].decode()
        assert record == json.dumps(json.loads(record), indent=4, ensure_ascii=False)


def test_no_documents_give_no_files(tmp_path: Path) -> None:
    for name in GROUP.names():
        writer = write(name, [], tmp_path / name)
        assert (writer.records, writer.globs) == ({}, {})
        left = sorted(path.name for path in (tmp_path / name).rglob("*") if path.is_file())
        counts = ["num_samples.json", "sizes.json"] if name == "obelics" else []
        assert left == sorted(["RELEASE.json", "SHA256SUMS", *counts])


STRINGS = "string"
TYPES: dict[str, dict[str, str]] = {
    "nemo": {
        **dict.fromkeys(("sample_id", "modality", "content_type", "text_content", "source_ref"), STRINGS),
        **dict.fromkeys(("materialize_error", "role", "text_role"), STRINGS),
        **dict.fromkeys(("start", "end", "image_time", "text_start", "text_end"), "double"),
        **dict.fromkeys(("position", "clip", "image_clip", "text_clip"), "int32"),
        "binary_content": "large_binary",
    },
    "pairs": {
        **dict.fromkeys(("key", "caption", "original_caption", "url", "status", "error_message", "exif"), STRINGS),
        **dict.fromkeys(("sha256", "document", "image"), STRINGS),
        **dict.fromkeys(("width", "height", "original_width", "original_height", "clip"), "int32"),
        **dict.fromkeys(("time", "start", "end"), "double"),
    },
    "videos": {
        **dict.fromkeys(("key", "videoid", "url", "caption", "original_caption", "title", "status"), STRINGS),
        **dict.fromkeys(("error_message", "document", "how"), STRINGS),
        **dict.fromkeys(("start", "end", "video_start", "video_end", "duration"), "double"),
        "clip": "int32",
    },
    "datasets": {
        **dict.fromkeys(("id", "video_id", "url", "title", "licence", "dataset", "metadata", "document"), STRINGS),
        "general_metadata": STRINGS,
        "images": "list<element: struct<bytes: binary, path: string>>",
        **dict.fromkeys(("texts", "roles"), "list<element: string>"),
        **dict.fromkeys(("starts", "ends"), "list<element: double>"),
        "clips": "list<element: int32>",
        "files": "list<element: struct<name: string, bytes: binary>>",
    },
}


@pytest.mark.parametrize("name", TYPES)
def test_columns_have_their_types(tmp_path: Path, name: str) -> None:
    write(name, [sampled(filmed(told()))], tmp_path / "out")
    schema = pq.read_schema(next((tmp_path / "out" / name).rglob("*.parquet")))
    assert {field.name: str(field.type) for field in schema} == TYPES[name]
    required = {"sample_id", "position", "modality"} if name == "nemo" else set()
    assert {field.name for field in schema if not field.nullable} == required


@pytest.mark.parametrize("name", ["datasets", "messages"])
def test_the_hubs_library_is_told_the_features_of_every_column(tmp_path: Path, name: str) -> None:
    write(name, [sampled(told())], tmp_path / "out")
    schema = pq.read_schema(next((tmp_path / "out" / name).rglob("*.parquet")))
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert list(features) == schema.names
    assert features["images"] == [{"_type": "Image"}]
    assert features["id"] == {"dtype": "string", "_type": "Value"}
    kind = [{"dtype": "int32", "_type": "Value"}]
    seconds = {"dtype": "float64", "_type": "Value"}
    assert features["clips"] == (
        kind if name == "datasets" else [{"clip": kind[0], "start": seconds, "end": seconds, "images": kind[0]}]
    )
    if name == "datasets":
        assert features["starts"] == features["ends"] == [seconds]
        assert features["files"] == [
            {"name": {"dtype": "string", "_type": "Value"}, "bytes": {"dtype": "binary", "_type": "Value"}}
        ]


# -- where files end ----------------------------------------------------------------------------------------------

HALF = 2**19  # bytes: two of them are one megabyte


def sized(pictures: int = 0, files: int = 0, text: int = 0) -> Callable[[int], Sample]:
    """Samples whose pictures, files and text have so many bytes."""

    def make(number: int) -> Sample:
        sample = sampled(filmed(told(number, clips=1)))
        names = list(sample.pictures)
        first = pictures - sample.pictures[names[1]].size
        shown = {**sample.pictures, names[0]: replace(sample.pictures[names[0]], data=bytes(first), size=first)}
        other = {name: replace(one, data=bytes(files), size=files) for name, one in sample.files.items()}
        return replace(sample, pictures=shown, files=other, text='"' + "x" * (text - 2) + '"')

    return make


@pytest.mark.parametrize(
    ("name", "just", "more"),
    [
        ("datasets", {"pictures": HALF - 240_000, "files": 40_000, "text": 100_000}, "text"),
        ("datasets", {"pictures": HALF - 240_000, "files": 40_000, "text": 100_000}, "files"),
        ("nemo", {"pictures": HALF - 200_000, "files": 900_000, "text": 100_000}, "pictures"),
        ("parquet", {"pictures": 900_000, "files": 900_000, "text": HALF // 2}, "text"),
        ("messages", {"pictures": HALF - 200_000, "files": 900_000, "text": 100_000}, "pictures"),
    ],
)
def test_a_parquet_file_ends_before_a_document_that_exceeds_the_limit(
    tmp_path: Path, name: str, just: dict[str, int], more: str
) -> None:
    write(name, [sized(**just)(n) for n in range(3)], tmp_path / "just", file_megabytes=1)
    rows = 4 if name == "nemo" else 1  # of a document
    assert rows_of_files(tmp_path / "just" / name) == [2 * rows, rows]
    large = {**just, more: just[more] + 1}
    write(name, [sized(**large)(n) for n in range(2)], tmp_path / "more", file_megabytes=1)
    assert len(rows_of_files(tmp_path / "more" / name)) == 2


def rows_of_files(folder: Path) -> list[int]:
    return [pq.read_metadata(path).num_rows for path in sorted(folder.glob("*.parquet"))]


@pytest.mark.parametrize("name", ["obelics", "videos"])
def test_a_tar_ends_before_a_sample_that_exceeds_the_limit(tmp_path: Path, name: str) -> None:
    for folder, size, tars in (("just", 500_000, [2, 1]), ("more", 530_000, [1, 1, 1])):
        samples = [sized(pictures=5000, files=size, text=100)(n) for n in range(3)]
        write(name, samples, tmp_path / folder, file_megabytes=1)
        found = json.loads(next((tmp_path / folder).rglob("num_samples.json")).read_text())
        assert list(found.values()) == tars


def test_a_jsonl_file_of_pages_ends_before_a_page_that_exceeds_the_limit(tmp_path: Path) -> None:
    with Target(str(tmp_path / "out")) as target:
        writer: Any = GROUP.load("mmc4")(target, ReleaseSettings(file_megabytes=1))
        for line in ("a" * HALF, "b" * HALF, "c", "d" * 2 * HALF):
            writer._write("train", line)
        writer.close()
        target.commit(b"")
    found = [path.read_text() for path in sorted((tmp_path / "out" / "mmc4").iterdir())]
    assert [len(text) for text in found] == [2 * HALF, 1, 2 * HALF]
    assert sorted(path.name for path in (tmp_path / "out" / "mmc4").iterdir())[-1] == "train-00002.jsonl"


@pytest.mark.parametrize(("name", "most"), [("pairs", 10_000), ("videos", 1_000)])
def test_a_tar_has_as_many_samples_as_those_of_the_tools_that_it_copies(tmp_path: Path, name: str, most: int) -> None:
    with Target(str(tmp_path / "out")) as target:
        writer: Any = GROUP.load(name)(target, ReleaseSettings(file_megabytes=3))
        for split in ("train", "val"):
            assert (writer._tars._parts[split]._most, writer._tars._parts[split]._limit) == (most, 3 * 2**20)
        writer.close()


def test_tars_end_at_the_byte_and_at_the_number(tmp_path: Path) -> None:
    size = len(tar.sample("a", [("txt", b"x")]))
    assert size == 1024
    for limit, most, counts in (
        (2 * size + len(tar.END), 0, [2, 2, 1]),
        (2 * size + len(tar.END) - 1, 0, [1, 1, 1, 1, 1]),
        (10**9, 3, [3, 2]),
        (10**9, 0, [5]),
        (1, 0, [1, 1, 1, 1, 1]),
    ):
        out = tmp_path / f"{limit}-{most}"
        with Target(str(out)) as target:
            parts = TarParts(target, lambda number: f"t{number}.tar", limit, most)
            for n in range(5):
                parts.add(f"k{n}", [("txt", b"x")])
                assert parts.number == len(parts.counts) - 1 and parts.count == parts.counts[f"t{parts.number}.tar"]
            parts.close()
            parts.close()
            target.commit(b"")
        assert list(parts.counts.values()) == counts
        assert list(parts.counts) == [f"t{n}.tar" for n in range(len(counts))]
        for n, count in enumerate(counts):
            path = out / f"t{n}.tar"
            assert (len(members(path)), path.stat().st_size) == (count, count * size + len(tar.END))


def test_tables_end_at_the_size_and_write_groups_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ROW_GROUP == 64 * 2**20
    monkeypatch.setattr("interlink.release.parts.ROW_GROUP", 20)
    schema = pa.schema([("n", pa.int64())])
    for limit, rows, groups in (
        (30, [3, 2], [2, 1]),
        (29, [2, 2, 1], [1, 1, 1]),
        (10**9, [5], [3]),
        (1, [1] * 5, [1] * 5),
    ):
        with Target(str(tmp_path / str(limit))) as target:
            parts = ParquetParts(target, "f", "s", schema, limit)
            for n in range(5):
                parts.add([{"n": n}], 10)
            parts.close()
            parts.close()
            target.commit(b"")
        assert parts.paths == [f"f/s-{n:05d}.parquet" for n in range(len(rows))]
        read = [pq.ParquetFile(tmp_path / str(limit) / path) for path in parts.paths]
        assert [one.metadata.num_rows for one in read] == rows
        assert [one.metadata.num_row_groups for one in read] == groups
        assert [n for one in read for n in one.read()["n"].to_pylist()] == [0, 1, 2, 3, 4]
        assert read[0].metadata.row_group(0).column(0).compression == "ZSTD"


def test_a_long_key_is_cut_to_what_a_tar_takes_and_stays_unique() -> None:
    assert sample_key("doc", "c001") == "doc-c001"
    longest = 100 - len(".json")
    whole = "d" * (longest - 5)
    assert sample_key(whole, "c001") == f"{whole}-c001"
    cut = [sample_key(f"{whole}{end}", part) for end in "ab" for part in ("c001", "c002")]
    assert {len(key) for key in cut} == {longest} and len(set(cut)) == 4
    digest = hashlib.sha256(f"{whole}a-c001".encode()).hexdigest()[:15]
    assert cut[0] == f"{'d' * (longest - 21)}-{digest}-c001"


# -- statistics ---------------------------------------------------------------------------------------------------


def test_statistics_count_files_regions_pictures_and_prompts() -> None:
    found = Statistics(("caption",))
    sample = sampled(filmed(told(), 0, b"moving", b"heard"))
    sample.document.clips[1].regions = [object(), object()]  # type: ignore[list-item]
    for one in (sample, sample):
        found.add(one)
    assert found.optional == {"clip_files": 4, "regions": 4}
    assert (found.images, found.images_per_document.mean, len(found.videos)) == (8, 4.0, 1)
    assert (found.prompts, found.roles) == ({("caption", "abc123"): 2}, {"caption": 4})
    assert found.tokens_per_clip.mean == 6.0  # five words and a full stop
    assert found.thing == "video" and THINGS == {"pairs": "picture", "pages": "web page"}
    assert list(by_frequency({"b": 1, "a": 1, "c": 5})) == ["c", "a", "b"]


def test_a_clip_without_pictures_has_no_conversation_about_a_picture(tmp_path: Path) -> None:
    made = told()
    del made.document.segments[0]  # the pictures of clip 0
    assert write("llava", [sampled(made)], tmp_path / "out").records == {"train": 1}
    assert [entry["id"] for entry in json.loads((tmp_path / "out" / "llava" / "train.json").read_text())] == [
        "doc0-001"
    ]


def silent() -> Made_:
    """A document with pictures whose clips have no text."""
    made = told(3)
    for clip in made.document.clips:
        clip.caption = clip.speech = None
    return made


@pytest.mark.parametrize("name", GROUP.names())
def test_clips_without_text_are_only_in_formats_of_whole_documents(tmp_path: Path, name: str) -> None:
    writer = write(name, [sampled(filmed(silent()))], tmp_path / "out")
    whole = name in ("parquet", "datasets", "obelics", "nemo")
    assert writer.records == ({"train": 1} if whole else {})


@pytest.mark.parametrize("name", GROUP.names())
def test_texts_are_written_as_they_are(tmp_path: Path, name: str) -> None:
    made = filmed(told())
    made.document.clips[0].caption = "Füße 二"
    write(name, [sampled(made)], tmp_path / "out")
    texts = [path.read_text() for path in (tmp_path / "out").rglob("*") if path.suffix in (".json", ".jsonl", ".tsv")]
    texts += [data.decode() for path in (tmp_path / "out").rglob("*.tar") for key, data in members(path).items()
              if key.endswith((".json", ".txt"))]  # fmt: skip
    assert not any("\\u00" in text for text in texts)
    if name not in ("parquet", "datasets", "nemo"):
        assert any("Füße" in text for text in texts)
    else:
        (row, *_) = pq.read_table(next((tmp_path / "out" / name).glob("*.parquet"))).to_pylist()
        assert not any("\\u00" in str(value) for value in row.values() if isinstance(value, str))


@pytest.mark.parametrize("name", ["llava", "llava-document", "llava-video", "messages", "messages-video"])
def test_single_pictures_and_videos_are_counted_and_not_listed(tmp_path: Path, name: str) -> None:
    with Target(str(tmp_path / "out")) as target:
        writer = GROUP.load(name)(target, ReleaseSettings(name="told"))
        writer.add(sampled(filmed(told())))
        writer.close()
        listed = {Path(file.path).suffix for file in target.files}
        assert listed <= {".json", ".jsonl", ".parquet"}
        assert target.count > len(target.files)
        target.commit(b"")
