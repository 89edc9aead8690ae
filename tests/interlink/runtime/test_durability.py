"""A build that ends between any two operations on the disk is finished by the next one, to the byte."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import faulty_builds
from disk import FAULTS, Disk, Fault, Operation, unsafe
from interlink.runtime import generations
from interlink.sample import render

SAMPLED = 6  # points of each kind of fault in the everyday suite
SLICES = 4
KINDS = {"open", "write", "fsync", "rename", "link", "unlink", "mkdir"}


class World(NamedTuple):
    """A build without faults: its videos, what it did to the disk, and what it left there."""

    clips: Path
    operations: list[Operation]
    whole: dict[str, str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generations, "SMALL_BUILD_PARTITIONS", 2)
        folder = tmp_path_factory.mktemp("durability")
        render(folder / "clips", 4, 0)
        faulty_builds.build(folder / "first", folder / "clips")  # imports, and decodes each video for once
        operations = faulty_builds.build(folder / "reference", folder / "clips")
        yield World(folder / "clips", operations, faulty_builds.files(folder / "reference"))


def points(world: World, how: str) -> list[int]:
    """Numbers of the operations at which such a fault makes a difference: after a kill the kernel still writes."""
    kinds = {"kill": KINDS - {"fsync"}, "ENOSPC": {"open", "write", "link", "mkdir"}}.get(how, KINDS)
    return [number for number, operation in enumerate(world.operations) if operation.kind in kinds]


def test_the_build_under_test_has_parts_blobs_claims_and_shards(world: World) -> None:
    names = [Path(operation.target).name for operation in world.operations if operation.kind == "rename"]
    stages = {
        operation.target.split("/")[1] for operation in world.operations if operation.target.startswith("tables/")
    }
    assert stages == {"download", "transcribe", "keyframes", "caption", "interleave", "shard"}
    for prefix, count in (("part-", 30), ("blobs-", 4), ("claim-", 4), ("rows-", 12), ("summary", 12), ("MANIFEST", 1)):
        assert sum(name.startswith(prefix) for name in names) >= count, prefix
    assert len(world.operations) > 400


def test_a_final_name_appears_by_rename_of_a_synced_file_and_the_folder_is_synced_after(world: World) -> None:
    assert unsafe(world.operations) == []


def test_what_is_named_is_there_before_what_names_it(world: World) -> None:
    placed = {operation.target: n for n, operation in enumerate(world.operations) if operation.kind == "rename"}
    removed = {operation.path: n for n, operation in enumerate(world.operations) if operation.kind == "unlink"}
    manifest = next(n for name, n in placed.items() if name.endswith("/MANIFEST.json"))
    seen = set()
    for name, n in placed.items():
        folder, _, file = name.rpartition("/")
        if file.startswith("part-") and file.endswith(".tar"):
            assert n < placed[name.replace(".tar", ".parquet")]
            assert removed[name.replace(".tar", ".parquet")] < removed[name]
        elif file.startswith("blobs-"):
            assert n < next(m for other, m in placed.items() if other.startswith(f"{folder}/rows-"))
        elif file.startswith(("rows-", "ledger")):
            assert n < placed[f"{folder}/summary.json"]
        elif file.startswith("part-"):  # rows are let go when the summary, and its folder, are on the disk
            assert placed[f"{folder}/summary.json"] + 1 < removed[name]
        elif name.startswith("shards/") and file.endswith(".tar"):
            assert placed[name.replace(".tar", ".index.parquet")] < n < manifest
        elif file == "summary.json":
            assert n < manifest
        seen.add(file.split("-")[0])
    assert seen >= {"part", "blobs", "rows", "ledger.json", "summary.json", "000"}


def test_the_rules_notice_what_breaks_them(tmp_path: Path) -> None:
    """A copy in place of a rename; a file or a folder that is not synced."""
    (tmp_path / "root").mkdir()
    with Disk(tmp_path / "root") as disk:
        temporary, final = tmp_path / "root" / ".tmp-a", tmp_path / "root" / "a"
        temporary.write_bytes(b"data")
        shutil.copyfile(temporary, final)
        temporary.replace(final)
    assert [one.split(" ", 1)[1] for one in unsafe(disk.operations)] == [
        "is opened under its final name",
        "is renamed before it is synced",
        "appears in a folder that is not synced after",
    ]


@pytest.mark.parametrize("how", FAULTS)
def test_after_a_fault_at_some_points_the_next_build_ends_the_same(world: World, how: str, tmp_path: Path) -> None:
    found = points(world, how)
    strike(world, how, found[FAULTS.index(how) + 3 :: len(found) // SAMPLED + 1], tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("number", range(SLICES))
@pytest.mark.parametrize("how", FAULTS)
def test_after_a_fault_at_any_point_the_next_build_ends_the_same(
    world: World, how: str, number: int, tmp_path: Path
) -> None:
    strike(world, how, points(world, how)[number::SLICES], tmp_path)


def strike(world: World, how: str, found: list[int], folder: Path) -> None:
    wrong = [
        f"{one} ({world.operations[at]})"
        for at in found
        for one in faulty_builds.hit(folder / "root", world.clips, Fault(at, how), world.whole)
    ]
    assert not wrong, "\n".join(wrong)
