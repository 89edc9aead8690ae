"""What a worker gives to its stage, when it writes, waits and reports; toy stages in this process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import interlink.runtime.worker as worker_module
import toy_stages
from interlink.errors import StageError, UserError
from interlink.runtime.isolate import StageSpec
from interlink.runtime.lease import Lease
from interlink.runtime.partition import Partition
from interlink.runtime.plan import Event, Retry, StagePlan
from interlink.runtime.worker import Worker
from interlink.runtime.workspace import Workspace
from interlink.stage import Context, Item, Row
from interlink.storage import Storage
from interlink.tables import COMMON

Do = Callable[[Item], Row]


class Bench:
    """A root with one partition of these ids, and a plan for the toy stage `cls`."""

    def __init__(self, root: Path, ids: list[str], cls: str = "Toy", **changes: Any) -> None:
        self.space = Workspace(Storage(str(root)))
        self.space.append([Row(key, {"kind": "file", "uri": key}) for key in ids], seed=0)
        lease = Lease.acquire(self.space.storage)
        lease.release()
        kind = getattr(toy_stages, cls)
        self.plan = StagePlan(
            name="toy",
            spec=StageSpec(f"toy_stages:{cls}", {}, Context(self.space.storage)),
            fingerprint="f",
            needs={},
            schema=kind.schema,
            epoch=lease.epoch,
            isolated=False,
            scope="item",
            claims=False,
            resources=kind.resources(None),
            retry=Retry(max_attempts=3, base=0.001, longest=0.002),
            flush_seconds=60.0,
        )
        self.plan = replace(self.plan, **changes)
        self.events: list[Event] = []

    def worker(self, process: Do | None = None, report: Callable[[Event], None] | None = None) -> Worker:
        made = Worker(self.plan, report or self.events.append)
        if process is not None:
            made.stage.process = process  # type: ignore[attr-defined]
        return made

    def partitions(self) -> list[tuple[str, int]]:
        return self.space.partitions()

    def partition(self, number: int = 0) -> Partition:
        return self.space.partition("toy", "f", self.partitions()[number][0], self.plan.schema)

    def rows(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for number in range(len(self.partitions())):
            found |= self.partition(number).rows()
        return found


UPSTREAM = pa.schema([*COMMON, ("length", pa.int64()), ("unused", pa.string())])


def upstream(bench: Bench, rows: list[Row]) -> None:
    """Commits these rows as the table `measure` of the first partition, and lets the plan need it."""
    partition = bench.space.partition("measure", "g", bench.partitions()[0][0], UPSTREAM)
    partition.compact([row.id for row in rows], {"collect": 1}, lambda _: {}, [(row, 1, 0.0) for row in rows])
    bench.plan = replace(bench.plan, needs={"measure": "g"}, schemas={"measure": UPSTREAM})


def test_a_stage_gets_the_rows_of_the_tables_it_needs_and_only_items_that_are_ok_in_all(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a", "b", "c"], flush_seconds=60.0)
    names = [name for name, _ in bench.partitions()]
    assert len(names) == 3
    key = next(iter(bench.space.source_rows(names[0])))
    upstream(bench, [Row(key, {"length": 7, "unused": "u"})])
    seen: dict[str, Item] = {}

    def process(item: Item) -> Row:
        seen[item.id] = item
        return Row(item.id, {"value": item.rows["measure"]["length"], "things": []})

    bench.worker(process).run(bench.partitions()[:1])

    assert bench.rows()[key]["value"] == 7
    assert seen[key].rows["collect"]["uri"] == key
    assert seen[key].folders == {"measure": bench.space.partition("measure", "g", names[0], UPSTREAM).folder}


def test_an_item_that_failed_upstream_does_not_reach_the_stage(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a"])
    upstream(bench, [Row("a", status="failed", error_class="gone", message="m")])
    bench.worker(lambda item: pytest.fail(item.id)).run(bench.partitions())
    assert bench.rows() == {}
    assert bench.events == [Event("toy", "open", 0, 0, admitted=1)]


def test_a_needed_table_that_is_not_done_is_a_bug_of_the_planner(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a"], needs={"measure": "g"}, schemas={"measure": UPSTREAM})
    with pytest.raises(AssertionError, match=r"measure of partition 000-00000 is not done; toy cannot begin"):
        bench.worker().run(bench.partitions())


@pytest.mark.parametrize(
    ("most_bytes", "seconds", "expected"),
    # One row has 2 × 600 bytes of blobs. The first event is the partition's opening.
    [(2000, 60.0, [0, 0, 1, 1, 2]), (10**9, 0.0, [0, 1, 2, 3, 4]), (10**9, 60.0, [0, 0, 0, 0, 0])],
)
def test_rows_become_a_part_when_they_are_large_or_have_waited_long_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_bytes: int, seconds: float, expected: list[int]
) -> None:
    monkeypatch.setattr(worker_module, "FLUSH_BYTES", most_bytes)
    bench = Bench(tmp_path, [f"id{n:02d}" for n in range(64)], flush_seconds=seconds)
    assert bench.partitions()[0][1] == 4
    parts: list[int] = []
    bench.worker(report=lambda event: parts.append(len(bench.partition().load().parts))).run(bench.partitions()[:1])
    assert parts == expected


def test_progress_hears_of_the_partition_and_of_every_final_row(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["gone-1"])
    bench.worker().run(bench.partitions())
    assert bench.events == [
        Event("toy", "open", 1, 0, admitted=1),
        Event("toy", "row", 1, status="failed", error_class="gone"),
    ]
    bench.events.clear()
    assert bench.worker().run(bench.partitions()) == []
    assert bench.events == [Event("toy", "open", 1, 1, admitted=1)]


def test_of_a_partition_under_work_progress_hears_what_is_done_already(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [f"id{n:02d}" for n in range(32)])
    keys = list(bench.space.source_rows(bench.partitions()[0][0]))
    bench.partition().write_part(1, [(Row(keys[0], {"value": 1, "things": []}), 1, 0.5)])
    bench.worker().run(bench.partitions()[:1])
    assert bench.events[0] == Event("toy", "open", 2, 1, admitted=2)
    assert [event.kind for event in bench.events] == ["open", "row"]


def test_a_partition_whose_rows_are_all_final_is_finished_without_the_stage(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a"])
    bench.partition().write_part(1, [(Row("a", {"value": 5, "things": []}), 1, 0.0)])
    worker = bench.worker(lambda item: pytest.fail(item.id))
    worker.run(bench.partitions())
    assert bench.partition().summary() is not None
    assert bench.rows()["a"]["value"] == 5


def test_the_limit_of_a_build_lets_in_part_of_a_partition(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [f"id{n:02d}" for n in range(32)])
    [(name, count), *_] = bench.partitions()
    bench.worker().run([(name, 1)])
    first = next(iter(bench.space.source_rows(name)))
    assert count == 2 and list(bench.partition().rows()) == [first]
    summary = bench.partition().summary()
    assert summary is not None and summary.inputs == {"collect": 1}
    bench.worker().run([(name, 2)])
    assert len(bench.partition().rows()) == 2


@pytest.mark.parametrize(("asked", "least"), [(None, 0.0), (0.25, 0.25)])
def test_a_retry_waits_as_long_as_the_other_side_asked(tmp_path: Path, asked: float | None, least: float) -> None:
    bench = Bench(tmp_path, ["a"], retry=Retry(max_attempts=2, base=0.001, longest=0.3))
    times: list[float] = []

    def process(item: Item) -> Row:
        times.append(time.monotonic())
        return Row(item.id, status="failed", error_class="network", message="no", retry_after=asked)

    bench.worker(process).run(bench.partitions())
    assert len(times) == 2 and times[1] - times[0] >= least
    assert bench.partition().load().entries["a"].attempts == 2


def test_only_rows_that_are_tried_again_make_the_worker_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlink.runtime.plan.random.uniform", lambda least, most: 1.0)
    bench = Bench(tmp_path, [f"id{n:02d}" for n in range(32)], retry=Retry(max_attempts=3, base=0.1, longest=9.0))
    fresh, late = bench.space.source_rows("000-00000")
    flaky = Row(late, status="failed", error_class="network", message="no")
    bench.partition().write_part(1, [(flaky, 2, 0.0)])  # its next attempt is the last, after which it would wait 0.4 s
    times: list[float] = []
    order: list[str] = []

    def process(item: Item) -> Row:
        order.append(item.id)
        if item.id == fresh:
            times.append(time.monotonic())
        return Row(item.id, status="failed", error_class="network", message="no")

    bench.worker(process).run(bench.partitions()[:1])
    assert 0.1 <= times[1] - times[0] < 0.3
    assert order == [fresh, late, fresh, fresh]


def test_the_wait_of_a_retry_doubles_within_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    retry = Retry(max_attempts=3, base=1.0, longest=30.0)
    monkeypatch.setattr("interlink.runtime.plan.random.uniform", lambda least, most: most)
    assert [retry.delay(attempts, None) for attempts in (1, 2, 3, 9)] == [1.5, 3.0, 6.0, 30.0]
    assert [retry.delay(1, asked) for asked in (0.5, 10.0, 100.0)] == [1.5, 10.0, 30.0]
    monkeypatch.setattr("interlink.runtime.plan.random.uniform", lambda least, most: least)
    assert retry.delay(2, None) == 1.0


def test_only_failures_that_may_pass_are_tried_again() -> None:
    retry = Retry(max_attempts=3)
    ok, gone, network = (
        {"status": s, "error_class": c} for s, c in (("ok", ""), ("failed", "gone"), ("failed", "network"))
    )
    assert [retry.is_final(row, 1) for row in (ok, gone, network)] == [True, True, False]
    assert [retry.is_final(network, attempts) for attempts in (2, 3, 4)] == [False, True, True]
    assert retry.is_final({"status": "dropped", "error_class": ""}, 1)


def test_a_suspect_of_a_crash_runs_alone_and_before_the_others(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [f"id{n:02d}" for n in range(64)], cls="GreedyToy", claims=True)
    name, count = bench.partitions()[0]
    keys = list(bench.space.source_rows(name))
    assert count == 4
    folder = bench.partition().folder
    claim = {"epoch": bench.plan.epoch, "ids": [keys[2], "an id of nobody"]}
    bench.space.storage.write(f"{folder}/claim-000001-1-dead.json", json.dumps(claim).encode())
    # A claim of an earlier build counts for nothing.
    earlier = {"epoch": bench.plan.epoch - 1, "ids": [keys[0]]}
    bench.space.storage.write(f"{folder}/claim-000000-1-dead.json", json.dumps(earlier).encode())
    batches: list[list[str]] = []
    worker = bench.worker()
    run = worker.stage.run

    def recorded(items: Iterator[Item]) -> Iterator[Row]:
        taken = list(items)
        batches.append([item.id for item in taken])
        return run(iter(taken))

    worker.stage.run = recorded  # type: ignore[method-assign]
    worker.run(bench.partitions()[:1])
    assert batches == [[keys[2]], [keys[0], keys[1], keys[3]]]
    assert bench.partition().load().entries[keys[2]].attempts == 2
    assert {row["status"] for row in bench.partition().rows().values()} == {"ok"}
    assert not [one for one in bench.space.storage.names(folder) if one.endswith("-dead.json")]
    assert bench.partition().load().entries[keys[0]].attempts == 1


@pytest.mark.parametrize("claims", [True, False])
def test_an_attempt_is_written_down_before_the_item_runs(tmp_path: Path, claims: bool) -> None:
    bench = Bench(tmp_path, ["a"], claims=claims)
    folder = tmp_path / bench.partition().folder
    found: list[object] = []

    def process(item: Item) -> Row:
        found.extend(json.loads(path.read_bytes()) for path in folder.glob("claim-*.json"))
        return Row(item.id, {"value": 1, "things": []})

    bench.worker(process).run(bench.partitions())
    assert found == ([{"epoch": bench.plan.epoch, "ids": ["a"]}] if claims else [])


def test_a_claim_names_every_item_that_the_stage_has_and_no_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [f"id{n:02d}" for n in range(48)], cls="GreedyToy", claims=True)
    name, count = bench.partitions()[0]
    keys = list(bench.space.source_rows(name))
    folder = tmp_path / bench.partition().folder
    claimed: list[list[str]] = []

    def process(item: Item) -> Row:
        [path] = folder.glob("claim-*.json")
        claimed.append(json.loads(path.read_bytes())["ids"])
        return Row(item.id, {"value": 1, "things": []})

    bench.worker(process).run(bench.partitions()[:1])
    assert count == 3 and claimed == [keys, keys, keys]


def test_an_item_that_was_answered_is_claimed_no_longer(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [f"id{n:02d}" for n in range(48)], claims=True)
    folder = tmp_path / bench.partition().folder
    claimed: list[list[str]] = []

    def process(item: Item) -> Row:
        [path] = folder.glob("claim-*.json")
        claimed.append(json.loads(path.read_bytes())["ids"])
        return Row(item.id, {"value": 1, "things": []})

    bench.worker(process).run(bench.partitions()[:1])
    assert claimed == [[key] for key in bench.space.source_rows(bench.partitions()[0][0])]


def test_a_claim_on_an_item_that_has_its_row_is_let_go(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a"], claims=True)
    bench.partition().write_part(1, [(Row("a", {"value": 5, "things": []}), 1, 0.0)])
    claim = {"epoch": bench.plan.epoch, "ids": ["a"]}
    bench.space.storage.write(f"{bench.partition().folder}/claim-000001-1-dead.json", json.dumps(claim).encode())
    bench.worker(lambda item: pytest.fail(item.id)).run(bench.partitions())
    assert (bench.rows()["a"]["status"], bench.rows()["a"]["value"]) == ("ok", 5)


def test_a_partition_is_finished_before_the_next_begins(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a", "b"])
    found: list[int] = []

    def process(item: Item) -> Row:
        found.append(sum(bench.partition(number).summary() is not None for number in range(2)))
        return Row(item.id, {"value": 1, "things": []})

    bench.worker(process).run(bench.partitions())
    assert found == [0, 1]


def test_a_finished_partition_is_not_written_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a"])
    bench.worker().run(bench.partitions())
    folder = tmp_path / bench.partition().folder

    def written() -> dict[str, tuple[int, int]]:
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}

    before = written()
    bench.worker().run(bench.partitions())
    assert written() == before


def test_a_stage_that_answers_for_an_item_it_was_not_given_costs_the_ones_it_had(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a"])
    worker = bench.worker()
    worker.stage.run = lambda items: (Row(f"other-{item.id}", {"value": 1}) for item in items)  # type: ignore[method-assign]
    worker.run(bench.partitions())
    row = bench.rows()["a"]
    assert (row["status"], row["error_class"]) == ("failed", "bug")
    assert "returned a row for 'other-a', which it was not given" in row["message"]


def test_a_stage_that_takes_nothing_and_breaks_costs_every_item_one_attempt(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [f"id{n:02d}" for n in range(32)])
    worker = bench.worker()

    def broken(items: Iterator[Item]) -> Iterator[Row]:
        raise RuntimeError("no model")
        yield

    worker.stage.run = broken  # type: ignore[method-assign]
    worker.run(bench.partitions()[:1])
    found = bench.partition().rows()
    assert len(found) == 2
    assert {(row["error_class"], "no model" in row["message"]) for row in found.values()} == {("bug", True)}


def test_a_fault_of_the_user_stops_the_build_and_fails_no_item(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a"])

    def process(item: Item) -> Row:
        raise UserError("the server refuses the key", "set the key")

    worker = bench.worker()
    worker.stage.run = lambda items: (process(item) for item in items)  # type: ignore[method-assign]
    with pytest.raises(UserError, match="refuses the key"):
        worker.run(bench.partitions())
    assert bench.partition().load().entries == {}
    assert worker._waiting == {}


def test_the_stage_is_opened_once_with_the_first_item_and_closed_with_its_worker(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a", "b"])
    calls: list[str] = []
    worker = bench.worker()
    worker.stage.open = lambda: calls.append("open")  # type: ignore[method-assign]
    worker.stage.close = lambda: calls.append("close")  # type: ignore[method-assign]
    worker.close()
    assert calls == []  # it was never opened
    for partition in bench.partitions():
        worker.run([partition])
    assert calls == ["open"]
    worker.close()
    worker.close()
    assert calls == ["open", "close"]


def test_the_seconds_of_an_item_are_those_since_the_row_before(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [f"id{n:02d}" for n in range(32)], cls="Toy")
    worker = bench.worker()
    pauses = iter((0.2, 0.0))

    def process(item: Item) -> Row:
        time.sleep(next(pauses))
        return Row(item.id, {"value": 1, "things": []})

    worker.stage.process = process  # type: ignore[attr-defined]
    worker.run(bench.partitions()[:1])
    first, second = (bench.partition().load().entries[key].seconds for key in bench.space.source_rows("000-00000"))
    assert first >= 0.2 and second < 0.15


def test_a_stage_of_the_whole_build_does_nothing_when_all_of_it_is_done(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ["a", "b", "c"], cls="Census", scope="build")
    names = [name for name, _ in bench.partitions()]
    assert sorted(bench.worker().run(bench.partitions())) == names
    bench.events.clear()
    assert bench.worker().run(bench.partitions()) == []
    opened = [event for event in bench.events if event.kind == "open"]
    assert opened[:3] == [Event("toy", "open", 1, 0, admitted=1)] * 3  # may all be made again …
    assert opened[3:] == [Event("toy", "open", 0, 1, admitted=0)] * 3  # … but are all done


class Answering:
    """Stands in for the child of a worker: notes the deadline of each item, and fails those named so."""

    def __init__(self) -> None:
        self.deadlines: dict[str, list[float]] = {}
        self.closed = 0

    def call(self, item: Item, deadline: float) -> Row:
        self.deadlines.setdefault(item.id, []).append(deadline)
        if item.id.startswith("bad"):
            raise StageError("crash", "it died")
        return Row(item.id, {"value": 1, "things": []})

    def close(self) -> None:
        self.closed += 1


def test_an_isolated_item_that_stalled_before_has_a_quarter_of_its_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [f"{kind}{n:02d}" for n in range(24) for kind in ("ok", "bad")], claims=True)
    name, _ = bench.partitions()[0]
    first, second, *others = bench.space.source_rows(name)
    earlier = [(Row(key, status="failed", error_class=what, message="m"), 1, 0.0)
               for key, what in ((first, "stalled"), (second, "network"))]  # fmt: skip
    bench.partition().write_part(1, earlier)
    worker, child = bench.worker(), Answering()
    worker.child = child  # type: ignore[assignment]
    worker.stage.deadline = lambda item: 8.0  # type: ignore[method-assign]
    worker.run(bench.partitions()[:1])
    assert child.deadlines[first][0] == 2.0 and child.deadlines[second][0] == 8.0
    assert set(child.deadlines) == {first, second, *others}
    entries = bench.partition().load().entries
    for key in (first, second, *others):
        bad, again = key.startswith("bad"), key in (first, second)
        assert len(child.deadlines[key]) == ((2 if again else 3) if bad else 1)
        assert child.deadlines[key][1:] == [8.0] * (len(child.deadlines[key]) - 1)
        row = bench.rows()[key]
        assert (row["status"], row["error_class"]) == (("failed", "crash") if bad else ("ok", ""))
        assert entries[key].attempts == (3 if bad else 2 if again else 1)
    worker.close()
    assert child.closed == 1
