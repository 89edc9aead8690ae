"""The same document reads back equal from every format, each by the reader that it is made for."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from interlink.release.howto import clip_times
from interlink.storage import Storage
from releasing import Made_, collections, make, put

os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
pandas = pytest.importorskip("pandas", reason="pandas reads the TSV files as CosMo's loader does")

law = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def each(documents: list[Made_], *formats: str) -> Iterator[Path]:
    """A release of the documents in these formats; half of the videos in `val`."""
    with tempfile.TemporaryDirectory() as folder:
        root = put(Storage(f"{folder}/root"), documents)
        make(root, f"{folder}/out", *formats, val_share=0.5, sample_documents=0)
        yield Path(folder) / "out"


def split_files(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))


def assert_whole(documents: list[Made_], found: dict[str, list[tuple[Any, ...]]]) -> None:
    assert found == {made.document.id: made.elements() for made in documents}


@law
@given(collections())
def test_parquet_by_pyarrow(documents: list[Made_]) -> None:
    for out in each(documents, "parquet"):
        rows = [row for path in split_files(out, "parquet/*.parquet") for row in pq.read_table(path).to_pylist()]
        by_id = {made.document.id: made for made in documents}
        assert sorted(row["id"] for row in rows) == sorted(by_id)
        for row in rows:
            made = by_id[row["id"]]
            shards = Storage(str(out.parent / "root" / "shards" / "f1"))
            pictures = [shards.read_range(i["shard"], i["offset"], i["size"]) for i in row["images"]]
            elements = [
                (e["clip"], e["start"], e["end"], e["role"], e["text"] if e["type"] == "text" else pictures[e["image"]])
                for e in row["elements"]
            ]
            assert elements == made.elements()
            assert row["document"] == made.document.dump()
            assert row["video_id"] == made.document.source.video_id
            for clip, told in zip(row["clips"], made.document.clips, strict=True):
                assert {s["name"]: s["value"] for s in clip.pop("scores")} == (told.scores or {})
                assert clip == told.model_dump(exclude={"scores", "regions", "files"})  # those are told in `document`


@law
@given(collections())
def test_nemo_rows_by_the_rules_of_its_reader(documents: list[Made_]) -> None:
    for out in each(documents, "nemo"):
        found: dict[str, list[tuple[Any, ...]]] = {}
        for path in split_files(out, "nemo/*.parquet"):
            table = pq.read_table(path)
            required = {f.name for f in table.schema if not f.nullable}
            assert required == {"sample_id", "position", "modality"}
            for row in table.to_pylist():
                elements = found.setdefault(row["sample_id"], [])
                place = json.loads(row["source_ref"])
                shard = out.parent / "root" / "shards" / "f1" / place["path"]
                referred = shard.read_bytes()[place["byte_offset"] : place["byte_offset"] + place["byte_size"]]
                if row["position"] == -1:
                    assert (row["modality"], referred.decode()) == ("metadata", row["text_content"])
                    continue
                assert row["position"] == len(elements)
                content = row["text_content"] if row["modality"] == "text" else row["binary_content"]
                assert row["modality"] == "text" or referred == content
                elements.append((row["clip"], row["start"], row["end"], row["role"], content))
        assert_whole(documents, found)


@law
@given(collections())
def test_obelics_tars_by_stock_webdataset(documents: list[Made_]) -> None:
    webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed")
    for out in each(documents, "obelics"):
        found: dict[str, list[tuple[Any, ...]]] = {}
        for path in split_files(out, "obelics/*.tar"):
            read = list(webdataset.WebDataset(str(path), shardshuffle=False))
            assert json.loads((out / "obelics" / "num_samples.json").read_text())[path.name] == len(read)
            for sample in read:
                told = json.loads(sample["json"])
                slots = zip(told["texts"], told["images"], strict=True)
                assert all((text is None) != (image is None) for text, image in slots)
                contents = [
                    text if image is None else sample[image.partition(".")[2]]
                    for text, image in zip(told["texts"], told["images"], strict=True)
                ]
                columns = (told["clips"], told["starts"], told["ends"], told["roles"], contents)
                found[sample["__key__"]] = list(zip(*columns, strict=True))
        assert_whole(documents, found)


@settings(law, max_examples=4)
@given(collections())
def test_datasets_folder_by_hugging_face(documents: list[Made_]) -> None:
    datasets = pytest.importorskip("datasets", reason="pip install datasets, to read the folder back with it")
    datasets.disable_progress_bars()
    for out in each(documents, "datasets"):
        whole = datasets.load_dataset(str(out), cache_dir=str(out.parent / "cache"))
        assert set(whole) <= {"train", "validation"}
        found: dict[str, list[tuple[Any, ...]]] = {}
        for split in whole.values():
            for row in split:  # decoded: pictures, not bytes
                assert [None if i is None else i.size for i in row["images"]] == [
                    (48, 32) if text is None else None for text in row["texts"]
                ]
            for row in split.cast_column("images", datasets.List(datasets.Image(decode=False))):
                contents = [
                    text if image is None else image["bytes"]
                    for text, image in zip(row["texts"], row["images"], strict=True)
                ]
                columns = (row["clips"], row["starts"], row["ends"], row["roles"], contents)
                found[row["id"]] = list(zip(*columns, strict=True))
        assert_whole(documents, found)


@law
@given(collections())
def test_howto_tsv_by_pandas_as_the_published_loader_does(documents: list[Made_]) -> None:
    for out in each(documents, "howto"):
        rows = []
        for path in split_files(out, "howto/told_subset_w_all_clips_*.tsv"):
            frame = pandas.read_csv(path, sep="\t", header=0)
            assert list(frame.columns) == ["video", "clips", "path"]
            assert list(frame.video) == list(frame.path)
            rows += [(row.path, json.loads(row.clips)) for row in frame.itertuples()]
        expected = []
        video, before, count = "", 0, 0
        for made in documents:  # ids go through the documents of a video that follow each other
            source = made.document.source
            before = before + count if source.video_id == video else 0
            video, count = source.video_id, len(made.document.clips)
            clips = [
                {"clip": clip_times(clip.start, clip.end), "clip_id": str(before + number), "caption": text}
                for number, clip, text, _ in made.told_clips()
            ]
            if clips:
                expected.append((source.path or f"{source.video_id}.mp4", clips))
        key: Callable[[Any], str] = repr
        assert sorted(rows, key=key) == sorted(expected, key=key)


@law
@given(collections())
def test_pairs_by_stock_webdataset_with_the_keys_of_img2dataset(documents: list[Made_]) -> None:
    webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed")
    for out in each(documents, "pairs"):
        found = []
        for path in split_files(out, "pairs/*/*.tar"):
            beside = pq.read_table(path.with_suffix(".parquet")).to_pylist()
            read = list(webdataset.WebDataset(str(path), shardshuffle=False))
            assert json.loads((path.parent / f"{path.stem}_stats.json").read_text())["successes"] == len(read)
            for sample, row in zip(read, beside, strict=True):
                told = json.loads(sample["json"])
                assert sample["__key__"] == told["key"] == f"{told['document']}-{told['image'][:3]}"
                assert told == row
                assert told["caption"] == sample["txt"].decode()
                assert (told["width"], told["height"]) == (48, 32)
                found.append((told["document"], told["clip"], told["time"], told["caption"], sample["jpg"]))
        expected = [
            (made.document.id, number, time, text, data)
            for made in documents
            for number, _, text, pictures in made.told_clips()
            for time, data in pictures
        ]
        assert sorted(found) == sorted(expected)


@law
@given(collections())
def test_llava_conversations_with_their_images(documents: list[Made_]) -> None:
    from PIL import Image

    for out in each(documents, "llava-document"):
        files = split_files(out, "llava-document/train.json") + split_files(out, "llava-document/val.json")
        told = [entry for path in files for entry in json.loads(path.read_text())]
        by_id = {entry["id"]: entry for entry in told}
        assert len(by_id) == len(told)
        for made in documents:
            clips = made.told_clips()
            entry = by_id.pop(made.document.id, None)
            if not clips:
                assert entry is None
                continue
            assert entry is not None
            names = entry.get("image", [])
            data = [
                (out / "llava-document" / "images" / n).read_bytes()
                for n in ([names] if isinstance(names, str) else names)
            ]
            asked, answered = entry["conversations"][::2], entry["conversations"][1::2]
            assert [turn["value"].count("<image>") for turn in asked] == [len(pictures) for *_, pictures in clips]
            assert [turn["value"] for turn in answered] == [text for _, _, text, _ in clips]
            assert list(zip(entry["times"], data, strict=True)) == [p for *_, pictures in clips for p in pictures]
            assert all(Image.open(io.BytesIO(one)).size == (48, 32) for one in data)
        assert not by_id
