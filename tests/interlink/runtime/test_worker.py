"""Rows in = rows out, whatever happens; what is committed is not made again."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

import toy_stages
from disk import Disk, Fault
from interlink.errors import UserError
from interlink.runtime.isolate import StageSpec
from interlink.runtime.lease import Lease, Lost
from interlink.runtime.partition import Partition
from interlink.runtime.plan import Retry, StagePlan
from interlink.runtime.worker import Worker
from interlink.runtime.workspace import Workspace
from interlink.stage import Context, Item, Row
from interlink.storage import Storage
from leftovers import left, mark


def workspace(root: Path, ids: list[str]) -> Workspace:
    made = Workspace(Storage(str(root)))
    made.append([Row(key, {"kind": "file", "uri": key}) for key in ids], seed=0)
    return made


def plan(space: Workspace, cls: str, epoch: int = 1, **settings: object) -> StagePlan:
    kind = getattr(toy_stages, cls)
    spec = StageSpec(f"toy_stages:{cls}", settings, Context(space.storage))
    return StagePlan(
        name="toy",
        spec=spec,
        fingerprint="f",
        needs={},
        schema=kind.schema,
        epoch=epoch,
        isolated=kind.isolated,
        scope="item",
        claims=kind.isolated,
        resources=kind.resources(None),
        retry=Retry(max_attempts=3, base=0.01, longest=0.05),
        memory_mb=400,
        flush_seconds=0.0,
    )


def run(space: Workspace, cls: str, **settings: object) -> dict[str, dict[str, object]]:
    lease = Lease.acquire(space.storage)
    worker = Worker(plan(space, cls, lease.epoch, **settings), lambda event: None)
    try:
        worker.run(space.partitions())
    finally:
        worker.close()
        lease.release()
    return rows(space)


def rows(space: Workspace) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for name, _ in space.partitions():
        found |= space.partition("toy", "f", name, toy_stages.Toy.schema).rows()
    return found


def test_every_id_gets_one_row_whatever_happens(tmp_path: Path) -> None:
    space = workspace(tmp_path, ["a", "drop-1", "gone-1", "flaky-1", "bug-1", "b"])
    found = run(space, "Toy")
    outcome = {key: row["status"] if row["status"] != "failed" else row["error_class"] for key, row in found.items()}
    assert outcome == {
        "a": "ok",
        "b": "ok",
        "drop-1": "dropped",
        "gone-1": "gone",
        "flaky-1": "network",
        "bug-1": "bug",
    }


def test_every_id_of_large_partitions_gets_its_row(tmp_path: Path) -> None:
    ids = [f"id{i}" for i in range(200)]
    space = workspace(tmp_path, ids)
    assert max(count for _, count in space.partitions()) > 10
    assert sorted(run(space, "GreedyToy")) == sorted(ids)


def test_a_retrying_class_is_tried_so_often_and_no_more(tmp_path: Path) -> None:
    space = workspace(tmp_path / "root", ["flaky-1", "gone-1"])
    run(space, "Toy", journal=str(tmp_path / "journal"))
    assert Counter((tmp_path / "journal").read_text().split()) == {"flaky-1": 3, "gone-1": 1}


def test_a_stage_that_breaks_or_loses_rows_costs_only_those(tmp_path: Path) -> None:
    space = workspace(tmp_path, ["a", "lost-1", "break-1", "b", "c"])
    found = run(space, "GreedyToy")
    assert len(found) == 5
    assert found["lost-1"]["error_class"] == "bug"
    assert found["break-1"]["error_class"] == "bug"
    assert "the stage itself broke" in str(found["break-1"]["message"])


@pytest.mark.processes
def test_poison_in_a_child_becomes_a_row_of_its_class(tmp_path: Path) -> None:
    space = workspace(tmp_path, ["a", "segfault-1", "hang-1", "hungry-1", "b"])
    found = run(space, "IsolatedToy")
    outcome = {key: row["status"] if row["status"] != "failed" else row["error_class"] for key, row in found.items()}
    assert outcome == {"a": "ok", "b": "ok", "segfault-1": "crash", "hang-1": "stalled", "hungry-1": "memory"}
    assert "SIGSEGV" in str(found["segfault-1"]["message"])


@pytest.mark.processes
def test_a_child_dies_with_its_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = mark(monkeypatch)
    space = workspace(tmp_path, ["a"])
    pid = os.fork()
    if pid == 0:  # a worker of its own, which dies without a word
        worker = Worker(plan(space, "IsolatedToy"), lambda event: None)
        assert worker.child is not None
        worker.child._start()
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    assert left(token, "interlink.runtime.isolate") == []


def test_attempts_of_a_worker_that_died_are_counted_and_the_item_given_up(tmp_path: Path) -> None:
    space = workspace(tmp_path, ["a", "b"])
    made = plan(space, "Toy", epoch=1)
    made = StagePlan(**{**made.__dict__, "claims": True})
    Lease.acquire(space.storage).release()
    [(name, _), *_] = [p for p in space.partitions() if "a" in space.source_rows(p[0])]
    partition = space.partition("toy", "f", name, toy_stages.Toy.schema)
    for _ in range(3):  # three workers of this build die while they have "a"
        space.storage.write(f"{partition.folder}/claim-000001-1-dead.json", b'{"epoch": 1, "ids": ["a"]}')
        Worker(made, lambda event: None)._open(name, 1)
    worker = Worker(made, lambda event: None)
    worker.run(space.partitions())
    assert rows(space)["a"]["error_class"] == "crash"
    assert rows(space)["b"]["status"] == "ok"


def test_a_claim_of_an_earlier_build_is_nobodys_fault(tmp_path: Path) -> None:
    space = workspace(tmp_path, ["a"])
    partition = space.partition("toy", "f", "000-00000", toy_stages.Toy.schema)
    space.storage.write(f"{partition.folder}/claim-000001-1-dead.json", b'{"epoch": 0, "ids": ["a"]}')
    assert run(space, "Toy")["a"]["status"] == "ok"


def test_committed_rows_are_not_made_again(tmp_path: Path) -> None:
    space = workspace(tmp_path / "root", [f"id{i}" for i in range(6)])
    journal = tmp_path / "journal"
    lease = Lease.acquire(space.storage)
    worker = Worker(plan(space, "Toy", lease.epoch, journal=str(journal)), lambda event: None)
    worker.run(space.partitions()[:3])
    lease.release()
    run(space, "Toy", journal=str(journal))
    assert set(Counter(journal.read_text().split()).values()) == {1}


STUCK = """
import sys
from pathlib import Path
from dataclasses import replace
from interlink.runtime.lease import Lease
from interlink.storage import Storage
from interlink.runtime.worker import Worker
from interlink.runtime.workspace import Workspace
from test_worker import plan

space = Workspace(Storage(sys.argv[1]))
made = plan(space, "StuckToy", Lease.acquire(space.storage).epoch, journal=sys.argv[2])
Worker(replace(made, flush_seconds=0.5), lambda event: None).run(space.partitions()[:1])
"""


@pytest.mark.processes
def test_finished_rows_are_kept_while_the_stage_is_busy_with_the_next(tmp_path: Path) -> None:
    # given a worker with three rows, whose stage does not come back from the fourth
    space, journal = workspace(tmp_path / "root", [f"id{i:02d}" for i in range(80)]), tmp_path / "journal"
    [(name, count), *_] = space.partitions()
    assert count == 5
    paths = [str(Path(__file__).parent), str(Path(toy_stages.__file__).parent), *sys.path]
    stuck = subprocess.Popen(
        [sys.executable, "-c", STUCK, str(tmp_path / "root"), str(journal)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    try:
        # when nothing but time passes
        partition = space.partition("toy", "f", name, toy_stages.Toy.schema)
        deadline = time.monotonic() + 60
        while not (parts := partition.load().parts) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert stuck.poll() is None
    finally:
        stuck.kill()
        stuck.wait()
    # then the rows are on the disk half a second later, all together, and need not be made again
    assert parts == ["part-000001-000000"]
    written = (tmp_path / "root" / partition.folder / f"{parts[0]}.parquet").stat().st_mtime
    assert 0.4 < written - journal.stat().st_mtime < 5.0
    assert len(partition.load().entries) == 3
    Worker(plan(space, "Toy", 1, journal=str(journal)), lambda event: None).run(space.partitions()[:1])
    assert sorted(Counter(journal.read_text().split()).values()) == [1, 1, 1, 1, 1]
    assert len(rows(space)) == 5


def test_what_goes_wrong_while_the_stage_is_busy_stops_the_worker(tmp_path: Path) -> None:
    # given another build that has taken the root over, and a stage that takes its time
    space, journal = workspace(tmp_path / "root", [f"id{i:02d}" for i in range(80)]), tmp_path / "journal"
    lease = Lease.acquire(space.storage)
    made = plan(space, "Toy", lease.epoch, journal=str(journal), pause=0.5)
    lease.release()
    Lease.acquire(space.storage).release()
    worker = Worker(replace(made, flush_seconds=0.1), lambda event: None)
    # when its first row is due, then the worker ends with the second, and leaves no thread behind
    with pytest.raises(UserError, match="taken over"):
        worker.run(space.partitions()[:1])
    assert len(journal.read_text().split()) == 2
    assert "timer" not in {thread.name for thread in threading.enumerate()}


def test_equal_work_gives_equal_files(tmp_path: Path) -> None:
    ids = [f"id{i}" for i in range(20)]
    left, right = workspace(tmp_path / "l", ids), workspace(tmp_path / "r", list(reversed(ids)))
    run(left, "Toy")
    run(right, "GreedyToy")

    def files(root: Path) -> dict[str, bytes]:
        return {
            str(p.relative_to(root)): p.read_bytes()
            for p in sorted((root / "tables").rglob("*"))
            if p.is_file() and p.name != "ledger.json"
        }

    assert files(tmp_path / "l") == files(tmp_path / "r")


def test_reopened_rows_are_made_again_and_others_kept(tmp_path: Path) -> None:
    space = workspace(tmp_path / "root", ["a", "gone-1"])
    run(space, "Toy", journal=str(tmp_path / "journal"))
    for name, _ in space.partitions():
        partition = space.partition("toy", "f", name, toy_stages.Toy.schema)
        if "gone-1" in partition.rows():
            partition.reopen(5, ["gone-1"])
    run(space, "Toy", journal=str(tmp_path / "journal"))
    assert Counter((tmp_path / "journal").read_text().split()) == {"a": 1, "gone-1": 2}


@pytest.mark.parametrize(("cls", "flush_seconds"), [("Plain", 60.0), ("Toy", 60.0), ("Toy", 1e-9)])
def test_a_worker_that_lost_the_root_writes_neither_parts_nor_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cls: str, flush_seconds: float
) -> None:
    """Rows without blobs go straight into the table, those with blobs through parts: both ways are fenced."""
    space = workspace(tmp_path, ["a"])
    lease = Lease.acquire(space.storage)
    lease.release()
    made = replace(plan(space, cls, lease.epoch), flush_seconds=flush_seconds)
    worker = Worker(made, lambda event: None)
    process = toy_stages.Toy.process

    def overtaken(self: toy_stages.Toy, item: Item) -> Row:
        Lease.acquire(space.storage).release()
        return process(self, item)

    monkeypatch.setattr(toy_stages.Toy, "process", overtaken)
    with pytest.raises(Lost, match="taken over"):
        worker.run(space.partitions())
    assert not (tmp_path / "tables").exists()


def test_a_claim_that_a_power_cut_emptied_is_let_go(tmp_path: Path) -> None:
    space = workspace(tmp_path, ["a"])
    folder = space.partition("toy", "f", "000-00000", toy_stages.Toy.schema).folder
    space.storage.write(f"{folder}/claim-000001-1-dead.json", b"")
    assert run(space, "Toy")["a"]["status"] == "ok"
    assert not [name for name in space.storage.names(folder) if name.startswith("claim-")]


def test_what_a_killed_worker_was_writing_is_removed_by_the_next(tmp_path: Path) -> None:
    space = workspace(tmp_path, ["a"])
    folder = tmp_path / space.partition("toy", "f", "000-00000", toy_stages.Toy.schema).folder
    folder.mkdir(parents=True)
    (folder / ".tmp-1-2-summary.json").write_bytes(b"{")
    run(space, "Toy")
    assert not list(folder.glob(".tmp-*"))


def test_a_root_that_cannot_be_written_stops_the_worker_with_what_to_do(tmp_path: Path) -> None:
    space = workspace(tmp_path, ["a"])
    worker = Worker(plan(space, "Toy"), lambda event: None)
    Lease.acquire(space.storage).release()
    with Disk(tmp_path, Fault(0, "ENOSPC")), pytest.raises(UserError, match=r"cannot write below .*No space") as caught:
        worker.run(space.partitions())
    assert "make room" in caught.value.do


def test_a_worker_of_an_earlier_epoch_stops_writing(tmp_path: Path) -> None:
    space = workspace(tmp_path, ["a"])
    lease = Lease.acquire(space.storage)
    worker = Worker(plan(space, "Toy", lease.epoch), lambda event: None)
    lease.release()
    Lease.acquire(space.storage).release()
    with pytest.raises(UserError, match="taken over"):
        worker.run(space.partitions())


def test_the_highest_epoch_and_sequence_wins(tmp_path: Path) -> None:
    partition = Partition(Storage(str(tmp_path)), "p", toy_stages.Toy.schema)
    for epoch, value in ((2, 20), (1, 10), (2, 21), (1, 11)):
        partition.write_part(epoch, [(Row("a", {"value": value}), 1, 0.0)])
    assert partition.load().entries["a"].row["value"] == 21
