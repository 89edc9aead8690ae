"""shard: one run of partitions becomes tars that hold every document once, the same bytes each time."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from interlink.errors import StageError, UserError
from interlink.shards import manifest, read_index
from interlink.shards.verify import verify
from interlink.stage import Context, Item, Row
from interlink.stages.interleave import Interleave, InterleaveSettings
from interlink.stages.shard import Shard, ShardSettings
from interlink.storage import Storage
from telling import FINGERPRINTS, Video, make_items, simple_video, through_table

FOLDER = f"shards/{FINGERPRINTS['shard']}"


def told(root: Storage, videos: list[Video], partition: str = "000-00000") -> list[Item]:
    """Items as they reach the stage: with their interleave rows."""
    context = Context(root, recipe="test", fingerprints=FINGERPRINTS)
    items = make_items(root, videos, partition, context)
    rows = Interleave(InterleaveSettings(), context).run(iter(items))
    fields = [through_table("interleave", {"id": row.id, **row.fields}) for row in rows]
    return [
        Item(item.id, partition, {**item.rows, "interleave": field}, item.folders, context)
        for item, field in zip(items, fields, strict=True)
    ]


def shard(root: Storage, items: list[Item], target: int = 128 * 2**20) -> list[Row]:
    stage = Shard(ShardSettings(), Context(root, recipe="test", fingerprints=FINGERPRINTS))
    stage.target_bytes = target
    return list(stage.run(iter(items)))


def sums(root: Storage) -> dict[str, str]:
    return {name: hashlib.sha256(root.read(f"{FOLDER}/{name}")).hexdigest() for name in root.names(FOLDER)}


@pytest.fixture
def root(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def test_every_document_is_in_one_shard_and_verifies(root: Storage) -> None:
    items = told(root, [simple_video("a"), simple_video("long", clips=20), simple_video("b", frames=0)][:2])

    rows = shard(root, items, target=30_000)

    placed = [(p["shard"], p["key"]) for row in rows for p in row.fields["shards"]]
    assert [key for _, key in placed] == ["a", "long-000", "long-001", "long-002"]
    names = sorted({name for name, _ in placed})
    assert len(names) > 1
    inside = [(name, entry.key) for name in names for entry in read_index(root.full(f"{FOLDER}/{name}"))]
    assert inside == placed
    manifest.commit(root, FOLDER, manifest.build_manifest(root, FOLDER, names))
    report = verify(root, FOLDER)
    assert report.problems == []
    assert (report.samples, report.images, report.clips) == (4, 46, 23)
    for row in rows:
        through_table("shard", {"id": row.id, **row.fields})


def test_shards_are_named_by_run_and_the_same_each_time(
    root: Storage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    videos = [simple_video("a"), simple_video("b")]
    shard(root, told(root, videos, "001-00017"))
    other = Storage(str(tmp_path_factory.mktemp("other")))
    shard(other, told(other, videos, "001-00017"))

    assert list(sums(root)) == ["001-0001-000.index.parquet", "001-0001-000.tar"]
    assert sums(root) == sums(other)
    before = sums(root)
    shard(root, told(root, videos, "001-00017"))
    assert sums(root) == before


def test_a_smaller_run_leaves_no_file_of_the_larger_one_and_touches_no_other(root: Storage) -> None:
    shard(root, told(root, [simple_video(name) for name in "abcd"]), target=10_000)
    shard(root, told(root, [simple_video("x")], "000-00016"))
    others = {name for name in root.names(FOLDER) if name.startswith("000-0001")}
    assert len(root.names(FOLDER)) == 10

    shard(root, told(root, [simple_video("a")]), target=10_000)

    assert set(root.names(FOLDER)) == {"000-0000-000.tar", "000-0000-000.index.parquet", *others}


def test_rows_come_only_when_the_shards_are_committed(root: Storage) -> None:
    stage = Shard(ShardSettings(), Context(root, fingerprints=FINGERPRINTS))

    row = next(stage.run(iter(told(root, [simple_video("a"), simple_video("b")]))))

    assert row.id == "a"
    assert root.names(FOLDER) == ["000-0000-000.index.parquet", "000-0000-000.tar"]
    assert list(stage.run(iter([]))) == []


def test_a_damaged_frame_costs_its_document_and_says_so(root: Storage) -> None:
    items = told(root, [simple_video("a"), simple_video("long", clips=20), simple_video("b")])
    reference = items[1].rows["keyframes"]["clips"][0]["frames"][0]["image"]
    only = items[0].rows["keyframes"]["clips"][1]["frames"][0]["image"]
    path = Path(root.full(f"{items[0].folders['keyframes']}/blobs.tar"))
    data = bytearray(path.read_bytes())
    data[reference["offset"] + 30] ^= 0xFF
    data[only["offset"] + 30] ^= 0xFF
    path.write_bytes(data)

    rows = shard(root, items)

    assert [(row.id, row.status, row.error_class, row.partial) for row in rows] == [
        ("a", "failed", "unreadable", False),
        ("long", "ok", "", True),
        ("b", "ok", "", False),
    ]
    assert "member 000.jpg: bytes in blobs.tar have changed" in rows[1].message
    (entries,) = [read_index(root.full(f"{FOLDER}/{n}")) for n in root.names(FOLDER) if n.endswith(".tar")]
    assert [entry.key for entry in entries] == ["long-001", "long-002", "b"]


def test_a_lost_blob_file_fails_its_item(root: Storage) -> None:
    items = told(root, [simple_video("a")])
    root.delete(f"{items[0].folders['keyframes']}/blobs.tar")

    (row,) = shard(root, items)

    assert (row.status, row.error_class) == ("failed", "unreadable")
    assert root.names(FOLDER) == []


def test_storage_that_does_not_answer_ends_the_run_and_commits_nothing(root: Storage) -> None:
    items = told(root, [simple_video("a"), simple_video("b")])
    folder = Path(root.full(items[0].folders["keyframes"]))
    (folder / "blobs.tar").unlink()
    (folder / "blobs.tar").mkdir()  # opening it is an OSError that is no FileNotFoundError

    with pytest.raises(StageError) as caught:
        shard(root, items)

    assert caught.value.error_class == "network"
    assert root.names(FOLDER) == []
    assert list(root.scratch().iterdir()) == []


def test_a_shard_that_cannot_be_written_stops_the_build_and_fails_no_item(root: Storage) -> None:
    items = told(root, [simple_video("a"), simple_video("b")])
    (Path(root.url) / "shards").write_text("a file is in the way of the folder")

    with pytest.raises(UserError, match="cannot write below") as caught:
        shard(root, items)

    assert "make room" in caught.value.do
    assert list(root.scratch().iterdir()) == []
