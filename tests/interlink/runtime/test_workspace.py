"""Generations are append-only, sorted by a keyed hash and cut by the ids alone."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disk import Disk, Fault
from interlink.errors import UserError
from interlink.runtime.generations import LARGEST_PARTITION, partition_size
from interlink.runtime.lock import Lock, encode
from interlink.runtime.workspace import Workspace
from interlink.stage import Row
from interlink.storage import Storage
from interlink.tables import SCHEMAS


def rows(ids: list[str]) -> list[Row]:
    return [Row(key, {"kind": "file", "uri": key}) for key in ids]


def test_order_does_not_depend_on_how_the_source_was_listed(tmp_path: Path) -> None:
    ids = [f"v{i}" for i in range(50)]
    left, right = Workspace(Storage(str(tmp_path / "l"))), Workspace(Storage(str(tmp_path / "r")))
    left.append(rows(ids), seed=1)
    right.append(rows(ids[::-1]), seed=1)
    for name in ("generations/000.parquet", "generations/000.json"):
        assert left.storage.read(name) == right.storage.read(name)


def test_what_is_new_becomes_the_next_generation_and_old_ones_never_move(tmp_path: Path) -> None:
    space = Workspace(Storage(str(tmp_path)))
    assert space.append(rows(["a", "b", "a"]), seed=0) == (2, 1)
    before = space.storage.read("generations/000.parquet")
    assert space.append(rows(["a", "b", "c"]), seed=0) == (1, 2)
    assert space.storage.read("generations/000.parquet") == before
    assert [name for name, _ in space.partitions()] == ["000-00000", "000-00001", "001-00000"]
    assert list(space.source_rows("001-00000")) == ["c"]
    assert space.append(rows(["a"]), seed=0) == (0, 1)
    assert len(space.storage.names("generations")) == 4  # nothing new, no generation
    assert space.partition("toy", "f", "000-00000", SCHEMAS["collect"]).schema == SCHEMAS["collect"]
    assert space.partition("caption", "f", "000-00000").schema == SCHEMAS["caption"]


def test_limit_is_a_prefix_of_the_order(tmp_path: Path) -> None:
    space = Workspace(Storage(str(tmp_path)))
    space.append(rows([f"v{i}" for i in range(100)]), seed=0)

    def ids(limit: int | None) -> list[str]:
        return [key for name, count in space.partitions(limit) for key in list(space.source_rows(name))[:count]]

    assert ids(7) == ids(None)[:7]
    assert len(ids(None)) == 100


@given(st.integers(1, 10**7))
def test_partitions_are_small_in_small_builds_and_bounded_in_large(count: int) -> None:
    size = partition_size(count)
    assert 1 <= size <= LARGEST_PARTITION
    assert count < 16 or -(-count // size) >= 16


def test_partitions_are_as_large_as_their_kind_wants() -> None:
    sizes = {count: partition_size(count) for count in (1, 15, 32, 33, 511, 512, 10**6)}
    assert sizes == {1: 1, 15: 1, 32: 2, 33: 2, 511: 31, 512: 32, 10**6: 32}
    assert [partition_size(count, "pair") for count in (1, 8000, 16000, 64000, 10**6)] == [500, 500, 1000, 4000, 4000]
    assert [partition_size(count, "page") for count in (1, 1024, 1600, 8000, 10**6)] == [64, 64, 100, 500, 500]


def test_a_generation_says_its_partitions_repeats_and_seed(tmp_path: Path) -> None:
    space = Workspace(Storage(str(tmp_path)))
    assert space.generations == []
    assert space.known_ids() == set()
    assert space.partitions() == []
    space.append(rows([*(f"v{n}" for n in range(40)), "v1"]), seed=7)
    (made,) = space.generations
    assert (made.number, made.name, made.duplicates) == (0, "000", 1)
    assert made.partitions == tuple((f"000-{n:05d}", 2) for n in range(20))
    text = (tmp_path / "generations" / "000.json").read_text()
    data = json.loads(text)
    assert (data["seed"], data["duplicates"]) == (7, 1)
    assert text == json.dumps(data, sort_keys=True)
    assert space.known_ids() == {f"v{n}" for n in range(40)}
    assert data["per_file"] == 1024
    assert pq.read_metadata(tmp_path / "generations" / "000.parquet").num_rows == 40
    (tmp_path / "generations" / "note.txt").write_text("passed over")
    assert len(Workspace(space.storage).generations) == 1


def test_the_order_is_that_of_the_seed(tmp_path: Path) -> None:
    orders = []
    for seed in (0, 1, 0):
        space = Workspace(Storage(str(tmp_path / str(len(orders)))))
        space.append(rows([f"v{n}" for n in range(20)]), seed)
        orders.append([key for name, _ in space.partitions() for key in space.source_rows(name)])
    assert orders[0] == orders[2] != orders[1]


def test_a_limit_lets_in_part_of_a_partition_over_generations(tmp_path: Path) -> None:
    space = Workspace(Storage(str(tmp_path)))
    space.append(rows([f"a{n}" for n in range(33)]), seed=0)
    space.append(rows(["b"]), seed=0)
    whole = space.partitions()
    assert whole == [*((f"000-{n:05d}", 2) for n in range(16)), ("000-00016", 1), ("001-00000", 1)]
    assert space.partitions(0) == []
    assert space.partitions(3) == [("000-00000", 2), ("000-00001", 1)]
    assert space.partitions(33) == whole[:-1]
    assert space.partitions(34) == space.partitions(99) == whole


def test_pairs_are_cut_as_pairs(tmp_path: Path) -> None:
    space = Workspace(Storage(str(tmp_path)))
    found = [*(Row(f"z{n}", status="failed", error_class="gone") for n in range(20)), Row("p", {"kind": "pair"})]
    space.append(found, seed=0)
    assert space.partitions() == [("000-00000", 21)]


def test_the_lock_is_written_when_it_changes_and_only_then(tmp_path: Path) -> None:
    space = Workspace(Storage(str(tmp_path)))
    assert space.lock() is None
    with Disk(tmp_path) as disk:
        for recipe in ({"b": "é", "a": 1}, {"a": 1, "b": "é"}, {"a": 2}):
            lock = Lock(recipe=recipe, fingerprints={"download": "0"})
            space.write_lock(lock)
            assert space.lock() == lock
    assert sum(operation.kind == "rename" for operation in disk.operations) == 2
    assert encode({"b": "é", "a": 1}).decode() == '{\n "a": 1,\n "b": "é"\n}\n'


@pytest.mark.parametrize("at", range(12))
def test_a_root_that_cannot_be_written_says_what_to_do_and_loses_nothing(tmp_path: Path, at: int) -> None:
    space = Workspace(Storage(str(tmp_path / "root")))
    (tmp_path / "root").mkdir()
    with Disk(tmp_path / "root", Fault(at, "EIO")) as disk:
        try:
            space.append(rows(["a"]), seed=0)
            space.write_lock(Lock())
        except UserError as error:
            assert "cannot write below" in error.what and "make room" in error.do
    assert len(disk.operations) > at
    again = Workspace(space.storage)
    again.append(rows(["a"]), seed=0)
    assert again.partitions() == [("000-00000", 1)]


def test_what_killed_processes_were_writing_is_removed_from_the_folders_of_the_root(tmp_path: Path) -> None:
    space = Workspace(Storage(str(tmp_path)))
    space.remove_leftovers()
    for name in ("lease", "generations", ".scratch", "shards/f1", "shards/f2", "tables/toy/f/000-00000", "."):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / ".tmp-1-2-x").write_bytes(b"half")
        (tmp_path / name / "whole").write_bytes(b"whole")
    space.remove_leftovers()
    left = {str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob(".tmp-*")}
    assert left == {"tables/toy/f/000-00000"}  # whoever works on a partition next clears it
    assert len(list(tmp_path.rglob("whole"))) == 7


def test_documents_come_in_the_order_of_the_partitions(tmp_path: Path) -> None:
    space = Workspace(Storage(str(tmp_path)))
    space.append(rows([f"v{n}" for n in range(20)]), seed=0)
    wanted = []
    for number, (name, _) in enumerate(space.partitions()):
        documents = [
            {"document": json.dumps({"n": 2 * number + k}), "key": "k", "images": [], "clips": 0, "text_tokens": 0}
            for k in range(number % 3)
        ]
        row = Row(next(iter(space.source_rows(name))), {"documents": documents or None})
        space.partition("interleave", "f", name).compact([row.id], {}, lambda rows: {}, [(row, 1, 0.0)])
        wanted += [2 * number + k for k in range(number % 3)]
    assert [one["n"] for one in space.documents("f")] == wanted
