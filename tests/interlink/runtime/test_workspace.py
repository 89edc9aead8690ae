"""Generations are append-only, sorted by a keyed hash and cut by the ids alone."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from interlink.runtime.workspace import LARGEST_PARTITION, Workspace, partition_size
from interlink.stage import Row
from interlink.storage import Storage


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
