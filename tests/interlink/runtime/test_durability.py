"""A build that ends between any two operations on the disk is finished by the next one, to the byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import faulty_builds
from disk import FAULTS, Fault, Operation, in_child
from interlink.runtime import workspace
from interlink.sample import render

SAMPLED = 6  # points of each kind of fault in the everyday suite
SLICES = 4


class World(NamedTuple):
    """A build without faults: its videos, what it did to the disk, and what it left there."""

    clips: Path
    operations: list[Operation]
    whole: dict[str, str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workspace, "SMALL_BUILD_PARTITIONS", 2)
        folder = tmp_path_factory.mktemp("durability")
        render(folder / "clips", 4, 0)
        faulty_builds.build(folder / "first", folder / "clips")  # imports, and decodes each video for once
        operations = faulty_builds.build(folder / "reference", folder / "clips")
        yield World(folder / "clips", operations, faulty_builds.files(folder / "reference"))


def points(world: World, how: str) -> list[int]:
    """Numbers of the operations at which such a fault can strike."""
    kinds = {
        "kill": ("open", "write", "fsync", "rename", "link", "unlink", "mkdir"),
        "ENOSPC": ("open", "write", "link", "mkdir"),
    }.get(how, ("open", "write", "fsync", "rename", "link", "unlink", "mkdir"))
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
