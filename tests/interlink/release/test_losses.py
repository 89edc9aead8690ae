"""Each release format read back field by field: what it carries is equal, and the rest is what `loses` says."""

from __future__ import annotations

import base64
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from interlink.release.about import FIELDS
from interlink.release.formats import FORMATS, format_classes
from interlink.release.settings import ReleaseSettings
from interlink.shards.document import Region, load
from interlink.storage import Storage
from releasing import Made_, filmed, make, put, simple

Fields = dict[str, Any]
LISTS = ("images", "frame_times", "clip_times", "clip_files")


@pytest.fixture(scope="module")
def documents() -> list[Made_]:
    """Three clips each, all with a video file, scores and a region; the middle one has no text."""
    found = []
    for number in range(3):
        made = simple(number, clips=3)
        for n, clip in enumerate(made.document.clips):
            filmed(made, n, f"video {number} {n}".encode())
            clip.scores = {"similarity": 0.25 + n}
            clip.regions = [Region(box=(0.1, 0.2, 0.5, 0.6), text="a hand", score=0.5, time=5.0 * n + 1.25)]
        silent = made.document.clips[1]
        silent.caption = silent.speech = None
        segments = made.document.segments
        made.document.segments = [one for one in segments if one.type == "frames" or one.clip != 1]
        found.append(made)
    return found


@pytest.fixture(scope="module")
def out(documents: list[Made_], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("losses")
    make(put(Storage(str(folder / "root")), documents), folder / "out", val_share=0.0, sample_documents=0)
    return folder / "out"


def whole(text: str, images: list[bytes], files: dict[str, bytes] | None) -> Fields:
    """The fields of a document that a format carries as JSON, with its pictures, and clip files unless None."""
    document = load(text)
    found: Fields = {
        "images": images,
        "frame_times": [t for s in document.segments if s.type == "frames" for t in s.times],
        "clip_times": [(clip.start, clip.end) for clip in document.clips],
        "order": [(s.type, s.clip) for s in document.segments],
        "texts": [
            [(s.role, s.text, s.start, s.end) for s in document.segments if s.type == "text"],
            [(c.caption, c.narration, c.speech, c.ocr) for c in document.clips],
        ],
        "silent_clips": [n for n, c in enumerate(document.clips) if not c.caption],
        "scores": [clip.scores for clip in document.clips],
        "regions": [clip.regions for clip in document.clips],
        "source": document.source,
        "provenance": document.provenance,
    }
    return found if files is None else {**found, "clip_files": list(files.values())}


def expected(made: Made_, format_: str) -> Fields:
    """All fields of a document; for formats without silent clips, of the clips with text."""
    images = [made.images[name] for name in made.document.images()]
    found = whole(made.document.dump(), images, made.files)
    if "silent_clips" not in class_of(format_).loses:
        return found
    told = made.told_clips()
    most = 1 if format_ in ("llava", "mmc4") else 9
    shown = [one for *_, pictures in told for one in (pictures[len(pictures) // 2 :] if most == 1 else pictures)]
    found |= {"images": [data for _, data in shown], "frame_times": [time for time, _ in shown]}
    found["clip_times"] = [(clip.start, clip.end) for _, clip, *_ in told]
    found["clip_files"] = [made.files[f"c{number}.mp4"] for number, *_ in told]
    return found


def class_of(name: str) -> Any:
    return format_classes([name], ReleaseSettings())[0]


def tar_samples(path: Path) -> Iterator[dict[str, bytes]]:
    """The members of each sample, with its key as `key`."""
    found: dict[str, dict[str, bytes]] = {}
    with tarfile.open(path) as file:
        for one in file:
            key, _, suffix = one.name.partition(".")
            found.setdefault(key, {})[suffix] = file.extractfile(one).read()  # type: ignore[union-attr]
    yield from found.values()


def parquet(out: Path) -> Iterator[tuple[str, Fields]]:
    shards = Storage(str(out.parent / "root" / "shards" / "f1"))
    for row in pq.read_table(out / "parquet").to_pylist():
        images, files = (
            {one["name"]: shards.read_range(one["shard"], one["offset"], one["size"]) for one in row[column]}
            for column in ("images", "files")
        )
        yield row["id"], whole(row["document"], list(images.values()), files)


def datasets(out: Path) -> Iterator[tuple[str, Fields]]:
    for row in pq.read_table(out / "datasets").to_pylist():
        images = [image["bytes"] for image in row["images"] if image]
        yield row["id"], whole(row["document"], images, {file["name"]: file["bytes"] for file in row["files"]})


def obelics(out: Path) -> Iterator[tuple[str, Fields]]:
    for members in tar_samples(out / "obelics" / "train-00000.tar"):
        about = json.loads(members["json"])
        images = [members[name.partition(".")[2]] for name in about["images"] if name]
        files = {suffix: data for suffix, data in members.items() if suffix.endswith("mp4")}
        yield about["sample_id"], whole(json.dumps(about["document"]), images, files)


def nemo(out: Path) -> Iterator[tuple[str, Fields]]:
    rows = pq.read_table(out / "nemo").to_pylist()
    for key in dict.fromkeys(row["sample_id"] for row in rows):
        own = [row for row in rows if row["sample_id"] == key]
        images = [row["binary_content"] for row in own if row["modality"] == "image"]
        yield key, whole(own[0]["text_content"], images, None)


def by_document(entries: list[tuple[str, Fields]]) -> Iterator[tuple[str, Fields]]:
    """Joins the fields of several records of one document; equal clips once."""
    found: dict[str, Fields] = {}
    for key, fields in entries:
        own = found.setdefault(key, {name: [] for name in fields})
        for name, values in fields.items():
            own[name] += [value for value in values if name != "clip_times" or value not in own[name]]
    yield from found.items()


def pairs(out: Path) -> Iterator[tuple[str, Fields]]:
    read = [(json.loads(one["json"]), one["jpg"]) for one in tar_samples(out / "pairs" / "train" / "00000.tar")]
    yield from by_document([
        (a["document"], {"images": [data], "frame_times": [a["time"]], "clip_times": [(a["start"], a["end"])]})
        for a, data in read
    ])  # fmt: skip


def videos(out: Path) -> Iterator[tuple[str, Fields]]:
    read = [(json.loads(one["json"]), one["mp4"]) for one in tar_samples(out / "videos" / "train" / "00000.tar")]
    yield from by_document([
        (a["document"], {"clip_files": [data], "clip_times": [(a["start"], a["end"])]}) for a, data in read
    ])  # fmt: skip


def entries(folder: Path, media: str, of: Callable[[dict[str, Any]], Any]) -> Iterator[tuple[str, Fields]]:
    """Of a format with conversations: its media as files below `folder`."""
    lines = folder / "train.jsonl"
    read = [json.loads(line) for line in lines.read_text().splitlines()] if lines.is_file() else None
    found = []
    for entry in read if read is not None else json.loads((folder / "train.json").read_text()):
        names = of(entry)
        data = [(folder / name).read_bytes() for name in ([names] if isinstance(names, str) else names)]
        fields: Fields = {"clip_times": [(clip["start"], clip["end"]) for clip in entry["clips"]], media: data}
        found.append((entry["id"][:4], fields if media == "clip_files" else {**fields, "frame_times": entry["times"]}))
    yield from by_document(found)


def below(folder: str, key: str) -> Callable[[dict[str, Any]], list[str]]:
    return lambda entry: [f"{folder}/{one}" for one in ([entry[key]] if isinstance(entry[key], str) else entry[key])]


def mmc4(out: Path) -> Iterator[tuple[str, Fields]]:
    for line in (out / "mmc4" / "train-00000.jsonl").read_text().splitlines():
        page = json.loads(line)
        yield (
            page["document"],
            {
                "images": [base64.b64decode(one["image_base64"]) for one in page["image_info"]],
                "frame_times": [one["time"] for one in page["image_info"]],
                "clip_times": [(clip["start"], clip["end"]) for clip in page["clips"]],
            },
        )


def howto(out: Path) -> Iterator[tuple[str, Fields]]:
    for line in (out / "howto" / "told_subset_w_all_clips_train.tsv").read_text().splitlines()[1:]:
        yield line.partition("\t")[0].replace("video", "doc").removesuffix(".mp4"), {}


READERS: dict[str, Callable[[Path], Iterator[tuple[str, Fields]]]] = {
    "howto": howto,
    "parquet": parquet,
    "datasets": datasets,
    "obelics": obelics,
    "nemo": nemo,
    "mmc4": mmc4,
    "pairs": pairs,
    "videos": videos,
    "messages": lambda out: entries(out / "messages", "images", lambda entry: entry["images"]),
    "messages-video": lambda out: entries(out / "messages-video", "clip_files", lambda entry: entry["videos"]),
    "llava-video": lambda out: entries(out / "llava-video", "clip_files", below("videos", "video")),
    "llava-document": lambda out: entries(out / "llava-document", "images", below("images", "image")),
    "llava": lambda out: entries(out / "llava", "images", below("images", "image")),
}


def test_every_format_has_a_reader() -> None:
    assert READERS.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", READERS)
def test_every_field_is_equal_or_stated_as_lost(name: str, out: Path, documents: list[Made_]) -> None:
    loses = class_of(name).loses
    if name == "llava":  # one picture a clip: not all of them
        assert "images" in loses
        loses -= {"images"}
    if name == "mmc4":
        loses -= {"images"}
    found = dict(READERS[name](out))
    assert found.keys() == {made.document.id for made in documents}
    for made in documents:
        fields, wanted = found[made.document.id], expected(made, name)
        assert fields.keys() == FIELDS.keys() - loses
        assert fields == {field: wanted[field] for field in fields}


def test_parquet_and_datasets_lose_nothing() -> None:
    assert class_of("parquet").loses == class_of("datasets").loses == frozenset()
