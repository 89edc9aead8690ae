"""What a release says of itself, and the rows of its formats, field by field."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from interlink.errors import UserError
from interlink.release import ReleaseSettings, release
from interlink.release.howto import clip_times, quoted, sampled
from interlink.release.run import public
from interlink.runtime.lock import NAME
from interlink.shards import manifest
from interlink.storage import Storage
from releasing import LOCK, make, put, simple


@pytest.fixture
def root(tmp_path: Path) -> Storage:
    return put(Storage(str(tmp_path / "root")), [simple(n) for n in range(3)])


def test_the_description_counts_what_is_in_the_release(root: Storage, tmp_path: Path) -> None:
    made = make(root, tmp_path / "out", "howto", val_share=0.0)

    told = json.loads((tmp_path / "out" / "RELEASE.json").read_text())
    shards = manifest.load(root, "shards/f1")
    assert {name: told[name] for name in ("documents", "videos", "clips", "images", "licences", "formats")} == {
        "documents": {"train": 3},
        "videos": 3,
        "clips": 6,
        "images": 12,
        "licences": {"CC-BY-4.0": 3},
        "formats": {"howto": {"all_train": 3, "sampled_train": 3}},
    }
    assert told["source"] == {
        "recipe": "told",
        "fingerprint": "f1",
        "format_version": shards.format_version,
        "shards": [{"name": one.name, "sha256": one.sha256} for one in shards.shards],
    }
    assert told["settings"]["name"] == "told"
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    files = [path for path in files if path.name not in ("RELEASE.json", "SHA256SUMS")]
    assert (told["files"], told["bytes"]) == (len(files), sum(path.stat().st_size for path in files))
    assert (made.files, made.bytes, made.documents) == (told["files"], told["bytes"], {"train": 3})
    assert made.formats == told["formats"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_file()) == [
        "README.md",
        "RELEASE.json",
        "SHA256SUMS",
        "croissant.json",
        NAME,
    ]
    assert made.url == str(tmp_path / "out")
    assert told["text_tokens"] == sum(simple(n).document.text_tokens() for n in range(3))


def test_progress_is_reported_after_each_document(root: Storage, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    release(root, LOCK, {}, ["howto"], str(tmp_path / "out"), ReleaseSettings(), lambda *now: seen.append(now))

    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_as_many_pictures_of_documents_as_asked_for(root: Storage, tmp_path: Path) -> None:
    for count in (0, 2):
        out = tmp_path / f"out{count}"
        make(root, out, "howto", sample_documents=count)
        assert len(list(out.glob("samples/*.png"))) == count


def test_a_name_that_is_given_goes_before_that_of_the_recipe(root: Storage, tmp_path: Path) -> None:
    make(root, tmp_path / "a", "howto", name="mine", val_share=0.0)

    assert sorted(path.name for path in (tmp_path / "a" / "howto").iterdir()) == [
        "mine_subset_w_all_clips_train.tsv",
        "mine_subset_w_sampled_clips_train.tsv",
    ]


def test_a_build_without_shards_or_documents_is_refused(tmp_path: Path) -> None:
    empty = put(Storage(str(tmp_path / "root")), [])

    with pytest.raises(UserError, match="holds no shards"):
        release(empty, {}, {}, ["howto"], str(tmp_path / "out"), ReleaseSettings())
    with pytest.raises(UserError, match="holds no documents"):
        make(empty, tmp_path / "out", "howto")
    assert not (tmp_path / "out").exists()


def test_the_lock_is_published_without_secrets(root: Storage, tmp_path: Path) -> None:
    lock = {**LOCK, "recipe": {"name": "told", "download": {"cookies": "c", "burst": 4}}}
    release(root, lock, {}, ["howto"], str(tmp_path / "out"), ReleaseSettings())

    published = (tmp_path / "out" / NAME).read_text()
    assert "burst" in published
    assert "cookies" not in published


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("http://8.8.8.8:80/x", "http://8.8.8.8:80/x"),
        ("http://10.0.0.1/x", "http://private/x"),
        ("http://[::1]:80/x", "http://private/x"),
        ("http://[2606:4700::1111]/x", "http://[2606:4700::1111]/x"),
        ("https://Api.Example.com:8443/v1", "https://Api.Example.com:8443/v1"),
        ("http://localhost:9/x", "http://private/x"),
        ("wss://a.lan/x", "wss://private/x"),
        ("http://b.internal http://c.example", "http://private http://c.example"),
        ("http://b.local/x", "http://private/x"),
        ("s3://key:secret@bucket/x", "s3://bucket/x"),
        ("~/list.csv", "list.csv"),
        ("../x/list.csv", "list.csv"),
        ("file:///x/list.csv", "list.csv"),
        ("clips/list.csv", "clips/list.csv"),
        (7, 7),
        (None, None),
    ],
)
def test_what_is_private_in_a_value_is_taken_out(value: object, shown: object) -> None:
    assert public(value) == shown
    assert public({"proxy": value, "a": [value]}) == {"a": [shown]}


def rows(out: Path, variant: str) -> list[dict[str, str]]:
    with (out / "howto" / f"told_subset_w_{variant}_clips_train.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_howto_numbers_the_clips_of_a_video_over_its_documents_and_leaves_out_those_without_text(
    tmp_path: Path,
) -> None:
    documents = [simple(n, clips=3) for n in range(3)]
    for made in documents[:2]:
        made.document.source.video_id = "same"
    documents[0].document.clips[1].caption = None
    documents[0].document.source.path = "named.mp4"
    documents[2].document.source.path = ""
    root = put(Storage(str(tmp_path / "root")), documents)

    make(root, tmp_path / "out", "howto", val_share=0.0, texts=("caption",))

    first, second, third = rows(tmp_path / "out", "all")
    assert list(first) == ["video", "clips", "path"]
    assert json.loads(first["clips"]) == [
        {"clip": "0:00:00 - 0:00:05", "clip_id": "0", "caption": "A hand does step 0."},
        {"clip": "0:00:10 - 0:00:15", "clip_id": "2", "caption": "A hand does step 2."},
    ]
    assert [clip["clip_id"] for clip in json.loads(second["clips"])] == ["3", "4", "5"]
    assert [clip["clip_id"] for clip in json.loads(third["clips"])] == ["0", "1", "2"]
    assert (first["video"], first["path"]) == ("named.mp4", "named.mp4")
    assert (third["video"], third["path"]) == ("video2.mp4", "video2.mp4")


def test_a_document_without_any_text_has_no_row(tmp_path: Path) -> None:
    documents = [simple(n, clips=2) for n in range(2)]
    for clip in documents[0].document.clips:
        clip.caption = clip.speech = None
    root = put(Storage(str(tmp_path / "root")), documents)

    make(root, tmp_path / "out", "howto", val_share=0.0)

    assert [row["video"] for row in rows(tmp_path / "out", "all")] == ["video1.mp4"]


def test_sampled_clips_are_the_share_with_the_lowest_hashes() -> None:
    settings = ReleaseSettings(sampled_share=0.5)

    drawn = [sampled(list(range(10)), f"doc{n}", settings) for n in range(40)]
    assert {len(one) for one in drawn} == {5}
    assert set().union(*drawn) == set(range(10))
    assert drawn[0] != drawn[1]
    assert sampled(list(range(10)), "doc0", ReleaseSettings(sampled_share=0.5, seed=1)) != drawn[0]
    assert sampled([3, 7, 9], "doc0", ReleaseSettings(sampled_share=0.1)) < {3, 7, 9}
    assert len(sampled([3, 7, 9], "doc0", ReleaseSettings(sampled_share=0.1))) == 2


def test_cells_are_quoted_where_they_must_be() -> None:
    assert [quoted(cell) for cell in ("a b", "a\tb", 'a"b', "a\nb", "a\rb")] == [
        "a b",
        '"a\tb"',
        '"a""b"',
        '"a\nb"',
        '"a\rb"',
    ]


def test_clip_times_never_start_before_zero_and_are_never_empty() -> None:
    assert clip_times(-3.0, -1.0) == "0:00:00 - 0:00:01"
    assert clip_times(3599.0, 3600.0) == "0:59:59 - 1:00:00"
    assert clip_times(86399.0, 86461.0) == "23:59:59 - 24:01:01"


def test_a_pair_has_the_picture_the_text_and_the_origin(tmp_path: Path) -> None:
    made = simple(0, clips=3)
    made.document.clips[1].caption = made.document.clips[1].speech = None
    made.document.clips[2].speech = None
    make(put(Storage(str(tmp_path / "root")), [made]), tmp_path / "out", "pairs", val_share=0.0, texts=("caption",))

    folder = tmp_path / "out" / "pairs" / "train"
    records = pq.read_table(folder / "00000.parquet").to_pylist()
    names = list(made.images)
    assert [(one["key"], one["clip"], one["time"], one["image"]) for one in records] == [
        ("doc0-000", 0, 1.25, names[0]),
        ("doc0-001", 0, 3.5, names[1]),
        ("doc0-004", 2, 11.25, names[4]),
        ("doc0-005", 2, 13.5, names[5]),
    ]
    first, last = records[0], records[-1]
    assert (first["caption"], first["original_caption"]) == ("A hand does step 0.", "now step 0")
    assert (last["caption"], last["original_caption"]) == ("A hand does step 2.", "A hand does step 2.")
    assert (last["start"], last["end"], last["document"], last["status"]) == (10.0, 15.0, "doc0", "success")
    assert first["sha256"] == hashlib.sha256(made.images[names[0]]).hexdigest()
    assert (first["width"], first["height"]) == (first["original_width"], first["original_height"])
    assert (first["width"] > 0, first["exif"], first["error_message"]) == (True, "{}", None)
    stats = json.loads((folder / "00000_stats.json").read_text())
    assert (stats["count"], stats["successes"], stats["failed_to_download"]) == (4, 4, 0)
    assert (stats["failed_to_resize"], stats["duration"], stats["status_dict"]) == (0, 0.0, {"success": 4})
    members = dict(read_tar(folder / "00000.tar"))
    assert members["doc0-000.txt"] == b"A hand does step 0."
    assert members["doc0-000.jpg"] == made.images[names[0]]
    assert json.loads(members["doc0-000.json"]) == first
    assert not (tmp_path / "out" / "pairs" / "val").exists()


def read_tar(path: Path) -> list[tuple[str, bytes]]:
    import tarfile

    with tarfile.open(path) as file:
        return [(one.name, file.extractfile(one).read()) for one in file]  # type: ignore[union-attr]


def test_each_full_tar_of_pairs_has_its_table_and_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlink.release.pairs.PAIRS_PER_TAR", 3)
    root = put(Storage(str(tmp_path / "root")), [simple(n) for n in range(2)])

    made = make(root, tmp_path / "out", "pairs", val_share=0.0)

    folder = tmp_path / "out" / "pairs" / "train"
    assert json.loads((folder / "num_samples.json").read_text()) == {"00000.tar": 3, "00001.tar": 3, "00002.tar": 2}
    assert [pq.read_metadata(folder / f"0000{n}.parquet").num_rows for n in range(3)] == [3, 3, 2]
    assert [json.loads((folder / f"0000{n}_stats.json").read_text())["count"] for n in range(3)] == [3, 3, 2]
    assert pq.read_table(folder / "00001.parquet")["key"].to_pylist() == ["doc0-003", "doc1-000", "doc1-001"]
    assert made.formats == {"pairs": {"train": 8}}


def test_howto_counts_from_the_first_picture_of_a_video_whose_clock_starts_elsewhere(tmp_path: Path) -> None:
    made = []
    for number, start in enumerate((-4.0007, 0.0, 39600.25)):
        one = simple(number)
        source = one.document.source.model_copy(update={"start": start or None})
        clips = [
            clip.model_copy(update={"start": clip.start + start, "end": clip.end + start})
            for clip in one.document.clips
        ]
        document = one.document.model_copy(update={"source": source, "clips": clips})
        made.append(type(one)(document, one.images))

    make(put(Storage(str(tmp_path / "root")), made), tmp_path / "out", "howto", val_share=0.0)

    with (tmp_path / "out" / "howto" / "told_subset_w_all_clips_train.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    times = [[clip["clip"] for clip in json.loads(row["clips"])] for row in rows]
    assert times == [["0:00:00 - 0:00:05", "0:00:05 - 0:00:10"]] * 3


def test_fields_of_one_modality_are_as_many_as_its_elements(tmp_path: Path) -> None:
    """NeMo Curator's reader of tars counts images and texts apart: `per_image_fields`, `per_text_fields`."""
    make(put(Storage(str(tmp_path / "root")), [simple(0)]), tmp_path / "out", "obelics", "nemo", val_share=0.0)
    about = json.loads(dict(read_tar(tmp_path / "out" / "obelics" / "train-00000.tar"))["doc0.json"])
    assert (about["image_time"], about["image_clip"]) == ([1.25, 3.5, 6.25, 8.5], [0, 0, 1, 1])
    assert (about["text_role"], about["text_clip"]) == (["caption", "caption"], [0, 1])
    assert (about["text_start"], about["text_end"]) == ([0.0, 5.0], [5.0, 10.0])
    rows = pq.read_table(tmp_path / "out" / "nemo").to_pylist()
    for name in ("image_time", "image_clip", "text_role", "text_start", "text_end", "text_clip"):
        modality = name.partition("_")[0]
        assert [row[name] for row in rows if row["modality"] == modality] == about[name]
        assert all(row[name] is None for row in rows if row["modality"] != modality)
