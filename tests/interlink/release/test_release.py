"""A release is whole or absent, the same each time, and refuses what it should not publish."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from interlink.errors import UserError
from interlink.ids import keyed_hash
from interlink.release import ReleaseSettings, release
from interlink.release import run as run_module
from interlink.release.howto import clip_times
from interlink.release.source import split_of
from interlink.release.statistics import Distribution
from interlink.shards import ShardWriter, manifest
from interlink.shards.document import File
from interlink.shards.names import shard_name
from interlink.storage import Storage
from releasing import EVERY_FORMAT, LOCK, filmed, make, put, simple
from telling import jpeg


@pytest.fixture
def root(tmp_path: Path) -> Storage:
    """Eight documents in two or more shards."""
    return put(Storage(str(tmp_path / "root")), [simple(n) for n in range(8)], 22_000)


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_two_releases_are_equal_byte_for_byte(root: Storage, tmp_path: Path) -> None:
    make(root, tmp_path / "one")
    make(root, tmp_path / "deep" / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "deep" / "two")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "one", "root"]


def test_the_sums_are_those_of_the_files(root: Storage, tmp_path: Path) -> None:
    made = make(root, tmp_path / "out")
    listed = dict(line.split("  ")[::-1] for line in (tmp_path / "out" / "SHA256SUMS").read_text().splitlines())
    found = contents(tmp_path / "out")
    assert listed == {path: digest for path, digest in found.items() if path not in ("SHA256SUMS", "RELEASE.json")}
    assert made.files == len(listed)
    told = json.loads((tmp_path / "out" / "RELEASE.json").read_text())
    assert told["formats"] == made.formats
    assert set(told["formats"]) == set(EVERY_FORMAT)
    assert (sum(told["documents"].values()), told["clips"], told["images"]) == (8, 16, 32)


def test_a_target_that_holds_something_is_refused(root: Storage, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    make(root, tmp_path / "out", "howto")  # empty: taken
    before = contents(tmp_path / "out")
    with pytest.raises(UserError, match="is not empty"):
        make(root, tmp_path / "out", "howto")
    assert contents(tmp_path / "out") == before
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        make(root, tmp_path / "file", "howto")


def test_what_fails_halfway_leaves_nothing(root: Storage, tmp_path: Path) -> None:
    shard = sorted((tmp_path / "root" / "shards" / "f1").glob("*.tar"))[-1]
    data = bytearray(shard.read_bytes())
    data[data.index(b"\xff\xd8") + 200] ^= 1  # a bit in a picture
    shard.write_bytes(data)
    with pytest.raises(UserError, match="wrong sha256"):
        make(root, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["root"]
    url = f"memory://{tmp_path.name}/out"
    with pytest.raises(UserError, match="wrong sha256"):
        make(root, url)
    assert Storage(url).names() == []


def test_a_place_that_cannot_be_written_is_named(root: Storage, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot write the release"):
        make(root, tmp_path / "file" / "out", "howto")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "root"]


@pytest.mark.processes
def test_what_a_killed_release_left_goes_with_the_next(root: Storage, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from interlink.release.target import Target\n"
        "target = Target(sys.argv[1])\n"
        "target.write('a', b'half')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = os.pathsep.join(p for p in sys.path if p)
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")], env={**os.environ, "PYTHONPATH": path})
    assert not (tmp_path / "out").exists()
    assert len(list(tmp_path.iterdir())) == 2
    make(root, tmp_path / "out", "howto")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "root"]


def test_a_remote_target_holds_the_same_files(root: Storage, tmp_path: Path) -> None:
    make(root, tmp_path / "out")
    url = f"memory://{tmp_path.name}/there"
    make(root, url)
    there = Storage(url)
    for path, digest in contents(tmp_path / "out").items():
        assert hashlib.sha256(there.read(path)).hexdigest() == digest, path
    with pytest.raises(UserError, match="holds a release"):
        make(root, url)


def test_a_build_on_s3_is_released_like_a_local_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boto3 = pytest.importorskip("boto3", reason="boto3 (of moto, the extra `dev`) is not installed")
    pytest.importorskip("s3fs", reason="s3fs (the extra `s3`) is not installed")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        place = {"endpoint_url": address, "region_name": "us-east-1"}
        boto3.client("s3", aws_access_key_id="k", aws_secret_access_key="s", **place).create_bucket(Bucket="bucket")
        options: dict[str, Any] = {"key": "k", "secret": "s", "client_kwargs": place}
        documents = [simple(n) for n in range(4)]
        remote = put(Storage("s3://bucket/root", options), documents, 22_000)
        make(remote, tmp_path / "from_s3", "howto", "pairs")
        make(put(Storage(str(tmp_path / "root")), documents, 22_000), tmp_path / "from_disk", "howto", "pairs")
        assert contents(tmp_path / "from_s3") == contents(tmp_path / "from_disk")
        for name, value in {"ENDPOINT_URL": address, "ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        make(remote, "s3://bucket/out2", "howto", "pairs")
        there = Storage("s3://bucket/out2")
        for path, digest in contents(tmp_path / "from_s3").items():
            assert hashlib.sha256(there.read(path)).hexdigest() == digest, path
        # One that fails takes away what it has put, and nothing beside it.
        shard = remote.read("shards/f1/000-0000-001.tar")
        remote.write("shards/f1/000-0000-001.tar", shard[:-2000] + bytes(976) + shard[-1024:])
        with pytest.raises(UserError):
            make(remote, "s3://bucket/out", "howto", "pairs")
        assert Storage("s3://bucket/out").names() == []
        assert there.exists("RELEASE.json")
    finally:
        server.stop()


def test_a_video_is_in_one_split_and_the_share_is_kept() -> None:
    settings = ReleaseSettings()
    splits = [split_of(f"video{n}", settings) for n in range(2000)]
    assert splits == [split_of(f"video{n}", settings) for n in range(2000)]
    assert 0.07 < splits.count("val") / 2000 < 0.13
    assert splits != [split_of(f"video{n}", ReleaseSettings(seed=1)) for n in range(2000)]
    assert {split_of(f"v{n}", ReleaseSettings(val_share=0.0)) for n in range(50)} == {"train"}
    assert {split_of(f"v{n}", ReleaseSettings(val_share=1.0)) for n in range(50)} == {"val"}


def test_the_beginning_of_a_generation_is_split_like_the_whole() -> None:
    ordered = sorted((f"video{n}" for n in range(2000)), key=lambda name: keyed_hash(0, name))
    splits = [split_of(name, ReleaseSettings()) for name in ordered[:200]]
    assert 0.03 < splits.count("val") / 200 < 0.2


def test_all_documents_of_a_video_share_a_split_in_every_format(tmp_path: Path) -> None:
    documents = [simple(n) for n in range(24)]
    for number, made in enumerate(documents):
        made.document.source.video_id = f"video{number // 2}"
    root = put(Storage(str(tmp_path / "root")), documents)
    make(root, tmp_path / "out", "parquet", "datasets", val_share=0.5)
    found: dict[str, set[str]] = {}
    for path in (tmp_path / "out").glob("*/*.parquet"):
        split = path.stem.partition("-")[0].replace("validation", "val")
        for video in pq.read_table(path, columns=["video_id"])["video_id"].to_pylist():
            found.setdefault(video, set()).add(split)
    assert len(found) == 12
    assert all(len(splits) == 1 for splits in found.values())
    assert {split for splits in found.values() for split in splits} == {"train", "val"}


def test_sampled_clips_are_a_part_of_all_clips(tmp_path: Path) -> None:
    root = put(Storage(str(tmp_path / "root")), [simple(n, clips=10) for n in range(3)])
    make(root, tmp_path / "out", "howto", val_share=0.0)
    for every, some in zip(clips_of(tmp_path / "out", "all"), clips_of(tmp_path / "out", "sampled"), strict=True):
        assert (len(every), len(some)) == (10, 7)
        assert [clip for clip in every if clip in some] == some


def test_two_clips_stay_two_in_the_sampled_file(tmp_path: Path) -> None:
    """CosMo's loader takes two at once, and passes over a video that has fewer."""
    root = put(Storage(str(tmp_path / "root")), [simple(n, clips=n) for n in range(1, 5)])
    make(root, tmp_path / "out", "howto", val_share=0.0)
    assert [len(clips) for clips in clips_of(tmp_path / "out", "sampled")] == [1, 2, 2, 3]


def clips_of(out: Path, variant: str) -> list[list[dict[str, str]]]:
    """The clips of each row of a TSV, as the module csv reads it."""
    with (out / "howto" / f"told_subset_w_{variant}_clips_train.tsv").open(newline="") as file:
        return [json.loads(row["clips"]) for row in csv.DictReader(file, delimiter="\t")]


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        (0.0, 4.9, "0:00:00 - 0:00:05"),
        (59.5, 3661.2, "0:01:00 - 1:01:01"),
        (7.1, 7.2, "0:00:07 - 0:00:08"),
        (36000.0, 36001.0, "10:00:00 - 10:00:01"),
    ],
)
def test_clip_times_are_those_of_the_published_files(start: float, end: float, told: str) -> None:
    assert clip_times(start, end) == told


def test_a_file_name_with_tabs_and_quotes_stays_one_column(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas (the extra `dev`) is not installed")
    made = simple(0)
    made.document.source.path = 'a\tb "c"\nd.mp4'
    make(put(Storage(str(tmp_path / "root")), [made]), tmp_path / "out", "howto", val_share=0.0)
    (file,) = (tmp_path / "out" / "howto").glob("*_all_*.tsv")
    (row,) = pandas.read_csv(file, sep="\t", header=0).itertuples()
    assert row.path == row.video == made.document.source.path
    assert len(json.loads(row.clips)) == 2


def test_a_mark_inside_a_text_is_not_taken_for_a_picture(tmp_path: Path) -> None:
    made = simple(0, clips=1)
    made.document.clips[0].caption = "It says <image> on the box, and <video>."
    make(put(Storage(str(tmp_path / "root")), [made]), tmp_path / "out", "llava-document", val_share=0.0)
    (entry,) = json.loads((tmp_path / "out" / "llava-document" / "train.json").read_text())
    assert sum(turn["value"].count("<image>") for turn in entry["conversations"]) == len(entry["image"]) == 2
    assert entry["conversations"][1]["value"] == "It says image on the box, and video."


def test_files_are_cut_near_their_size_and_documents_stay_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [simple(n, clips=8) for n in range(100)]
    monkeypatch.setattr("interlink.release.parts.ROW_GROUP", 100_000)
    monkeypatch.setattr("interlink.release.pairs.PAIRS_PER_TAR", 700)
    root = put(Storage(str(tmp_path / "root")), documents, 2**22)
    make(root, tmp_path / "out", "nemo", "pairs", val_share=0.0, file_megabytes=1)
    files = sorted((tmp_path / "out" / "nemo").glob("*.parquet"))
    assert len(files) > 1
    keys = [set(pq.read_table(path, columns=["sample_id"])["sample_id"].to_pylist()) for path in files]
    assert sum(len(each) for each in keys) == len(set().union(*keys)) == 100
    assert all(pq.ParquetFile(path).num_row_groups > 1 for path in files[:-1])
    tars = sorted((tmp_path / "out" / "pairs" / "train").glob("*.tar"))
    counts = json.loads((tmp_path / "out" / "pairs" / "train" / "num_samples.json").read_text())
    assert [path.name for path in tars] == list(counts)
    assert sum(counts.values()) == 100 * 16
    assert max(counts.values()) <= 700
    assert all(path.stat().st_size <= 2**20 for path in tars)
    for path in tars:
        assert pq.read_metadata(path.with_suffix(".parquet")).num_rows == counts[path.name]


def test_the_card_tells_the_funnel_the_licences_and_the_models(root: Storage, tmp_path: Path) -> None:
    stages = {
        "collect": {"ok": 9, "partial": 0, "dropped": 0, "failed": 0, "pending": 0, "reasons": {}, "errors": {}},
        "interleave": {
            **{"ok": 8, "partial": 1, "dropped": 1, "failed": 0, "pending": 0},
            **{"reasons": {"opted_out": 1}, "errors": {}},
        },
    }
    settings = ReleaseSettings(name="How-To", licence="cc-by-4.0", description="Steps | of <b>things</b>")
    release(root, LOCK, stages, ["howto", "datasets"], str(tmp_path / "out"), settings)
    card = (tmp_path / "out" / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == "cc-by-4.0"
    assert [config["config_name"] for config in front["configs"]] == ["datasets"]
    for told in (
        "| interleave | 8 | 1 | 1 | 0 | 0 | opted\\_out 1 |",
        "Left out on request: interleave: opted\\_out 1.",
        "| CC-BY-4.0 | 8 |",
        "| caption | `tiny@r1` | 8 |",
        "caption `abc123` (8)",
        "Steps \\| of &lt;b&gt;things&lt;/b&gt;",
        "--format howto,datasets",
        "--set licence=cc-by-4.0",
        "The release as a whole is under cc-by-4.0.",
        "mean 2.0   median 2",
    ):
        assert told in card, told
    shown = re.findall(r"\((samples/[^)]+)\)", card)
    assert len(shown) == 3
    assert all((tmp_path / "out" / path).read_bytes().startswith(b"\x89PNG") for path in shown)


def test_the_published_lock_names_no_folder_of_ours_and_no_secret() -> None:
    lock = {
        "recipe": {
            "source": {"path": "/home/ann/videos/list.csv", "url_template": "https://tube.example/{id}"},
            "executor": {"address": "ray://head:10001", "other": "../ann/x.csv", "third": "file:///home/ann/x.csv"},
            "download": {"proxy": "http://u:p@h", "cookies": "c.txt", "ydl_options": {"password": "p"}, "burst": 4},
            "caption": {"openai": {"base_url": "https://user:word@api.example.com/v1"}},
            "narrate": {"openai": {"base_url": "http://10.1.2.3:8000/v1"}, "bucket": "s3://bucket/x"},
        },
        "list": ["/a/b", 3],
    }
    assert run_module.public(lock) == {
        "recipe": {
            "source": {"path": "list.csv", "url_template": "https://tube.example/{id}"},
            "executor": {"address": "ray://private", "other": "x.csv", "third": "x.csv"},
            "download": {"burst": 4},
            "caption": {"openai": {"base_url": "https://api.example.com/v1"}},
            "narrate": {"openai": {"base_url": "http://private/v1"}, "bucket": "s3://bucket/x"},
        },
        "list": ["b", 3],
    }


@pytest.mark.filterwarnings("ignore")
def test_croissant_is_valid_and_its_records_are_the_documents(root: Storage, tmp_path: Path) -> None:
    croissant = pytest.importorskip("mlcroissant", reason="pip install mlcroissant, to validate the Croissant file")
    for number, formats in enumerate((EVERY_FORMAT, ("datasets",), ("pairs",))):
        out = tmp_path / f"out{number}"
        told = {"creator": "A lab", "citation": "@misc{x}", "licence": ("", "CC-BY-4.0", "ours")[number]}
        make(root, out, *formats, url="https://data.example/x", published="2025-01-31", **told)
        found = croissant.Dataset(jsonld=str(out / "croissant.json"))
        assert not found.metadata.issues.errors and not found.metadata.issues.warnings
        keys = {
            row[f"{records.id}/id"].decode()
            for records in found.metadata.record_sets
            if records.id not in ("pairs", "videos")
            for row in found.records(records.id)
        }
        assert keys == ({f"doc{n}" for n in range(8)} if formats != ("pairs",) else set())
        files = json.loads((out / "croissant.json").read_text())["distribution"]
        listed = {file["contentUrl"] for file in files if file["@type"] == "cr:FileObject"}
        assert listed <= contents(out).keys()


@pytest.mark.filterwarnings("ignore")
def test_elements_images_and_pairs_are_records_of_croissant(tmp_path: Path) -> None:
    croissant = pytest.importorskip("mlcroissant", reason="pip install mlcroissant, to validate the Croissant file")
    documents = [filmed(simple(n)) for n in range(3)]
    make(put(Storage(str(tmp_path / "root")), documents), tmp_path / "out", val_share=0.4, published="2025-01-31")
    found = croissant.Dataset(jsonld=str(tmp_path / "out" / "croissant.json"))
    assert {one.id for one in found.metadata.record_sets} == {"parquet", "datasets", "nemo", "pairs", "videos"}
    elements = list(found.records("nemo"))
    assert [one["nemo/modality"] for one in elements].count(b"image") == 12
    images = [one["nemo/image"] for one in elements if one["nemo/modality"] == b"image"]
    assert {image.size for image in images} == {(48, 32)}
    assert sum(1 for _ in found.records("pairs")) == 12 and sum(1 for _ in found.records("videos")) == 3
    sets = {one["@id"]: one for one in json.loads((tmp_path / "out" / "croissant.json").read_text())["distribution"]}
    assert sets["llava-media"]["includes"] == "llava/images/*/*"
    assert len(list((tmp_path / "out").glob(sets["llava-media"]["includes"]))) == 6


@pytest.mark.parametrize(
    ("key", "image"), [("../../evil", "000.jpg"), ("a b", "000.jpg"), ("doc0", "../x.jpg"), ("doc0", "x.sh")]
)
def test_names_that_would_leave_the_release_are_refused(tmp_path: Path, key: str, image: str) -> None:
    made = simple(0, clips=1)
    storage = Storage(str(tmp_path / "root"))
    with ShardWriter(storage, "shards/f1", lambda n: f"000-0000-{n:03d}.tar", 2**20) as writer:
        writer.add("doc0", [("json", made.document.dump().encode()), *made.images.items(), ("y.jpg", jpeg(0))])
    # Rename inside the finished tar and its index, as an attacker would.
    shard = storage.read("shards/f1/000-0000-000.tar")
    from interlink.shards import tar
    from interlink.shards.index import Entry, Index, dump_index

    members = [("json", made.document.dump().encode()), (image, jpeg(0))]
    shard = b"".join(tar.member(f"{key}.{name}", data) for name, data in members) + tar.END
    entry = Entry(key, 0, len(shard) - len(tar.END), 1)
    storage.write("shards/f1/000-0000-000.tar", shard)
    digest = hashlib.sha256(shard).hexdigest()
    storage.write("shards/f1/000-0000-000.index.parquet", dump_index(Index((entry,), len(shard), digest)))
    manifest.commit(storage, "shards/f1", manifest.build_manifest(storage, "shards/f1", ["000-0000-000.tar"]))
    with pytest.raises(UserError, match=r"not the key of a document|does not belong|is missing"):
        make(storage, tmp_path / "out", "llava")
    assert [p.name for p in tmp_path.iterdir()] == ["root"]


def test_clip_files_in_the_shards_stay_there(tmp_path: Path) -> None:
    made = simple(0)
    made.document.clips[0].files = [File(name="c0.mp4", how="copy", start=0.0, end=5.0)]
    storage = Storage(str(tmp_path / "root"))
    members = [("json", made.document.dump().encode()), *made.images.items(), ("c0.mp4", b"moving")]
    with ShardWriter(storage, "shards/f1", lambda n: shard_name("000-0000", n), 60_000) as writer:
        writer.add(made.document.id, members, len(made.images), len(made.document.clips), 1)
    manifest.commit(storage, "shards/f1", manifest.build_manifest(storage, "shards/f1", writer.names))

    make(storage, tmp_path / "out", "parquet")

    (row,) = pq.read_table(tmp_path / "out" / "parquet").to_pylist()
    assert [image["name"] for image in row["images"]] == list(made.images)
    assert '"c0.mp4"' in row["document"]


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["val_shar=0.2"], "did you mean 'val_share'"),
        (["val_share=2"], "val_share"),
        (["val_share"], "is not an assignment"),
        (["name=../x"], "name"),
        (["texts=[caption, nonsense]"], "texts.1"),
        (["published=yesterday"], "published"),
    ],
)
def test_wrong_settings_are_named(sets: list[str], said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        ReleaseSettings.load(sets)


def test_settings_are_read_as_yaml_and_texts_as_they_are() -> None:
    read = ReleaseSettings.load(["texts=[speech, caption]", "val_share=0.25", "published=2025-01-31", "name=1"])
    assert (read.texts, read.val_share, read.published, read.name) == (("speech", "caption"), 0.25, "2025-01-31", "1")


def test_unknown_formats_and_unfinished_builds_are_refused(root: Storage, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'llava'"):
        make(root, tmp_path / "out", "lava")
    with pytest.raises(UserError, match="needs a format"):
        release(root, LOCK, {}, [], str(tmp_path / "out"), ReleaseSettings())
    with pytest.raises(UserError, match="does not exist"):
        make(Storage(str(tmp_path / "nothing")), tmp_path / "out", "howto")
    assert not (tmp_path / "out").exists()


def test_a_distribution_counts_every_value_once() -> None:
    values = Distribution(0.1)
    for number in range(1, 101):
        values.add(number / 10)
    assert values.mean == pytest.approx(5.05)
    assert (values.quantile(0.05), values.quantile(0.5), values.quantile(1.0)) == pytest.approx((0.5, 5.0, 10.0))
    bins = values.bins(12)
    assert sum(count for *_, count in bins) == 100
    assert len(bins) <= 12
