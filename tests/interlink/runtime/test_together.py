"""Stages that look at the whole build: which partitions they are given, and when their rows are out of date."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interlink.runtime.isolate import StageSpec
from interlink.runtime.lease import Lease
from interlink.runtime.plan import Event, StagePlan, given_together
from interlink.runtime.work import Work
from interlink.runtime.worker import Worker
from interlink.runtime.workspace import Workspace
from interlink.stage import Context, Resources, Row
from interlink.storage import Storage
from toy_stages import Census, ToySettings


def plan_of(root: Storage, epoch: int = 1, **more: Any) -> StagePlan:
    settings = ToySettings()
    spec = StageSpec("toy_stages:Census", settings.model_dump(), Context(root))
    plan = StagePlan("toy", spec, "f", {}, Census.schema, epoch, False, "build", False, Resources())
    return replace(plan, **more)


def test_a_stage_gets_as_many_small_partitions_as_it_wants_items(tmp_path: Path) -> None:
    partitions = tuple((f"000-{n:05d}", 3) for n in range(5))
    work = Work(partitions[1:], (partitions[1:],), partitions)
    plan = plan_of(Storage(str(tmp_path)))

    def groups(**more: Any) -> list[int]:
        return [len(group) for group in work.groups(replace(plan, **more))]

    assert groups(scope="item") == [1, 1, 1, 1]
    assert groups(scope="item", together=5) == [2, 2]
    assert groups(scope="item", together=99) == [4]
    assert groups(scope="run") == [4]
    assert groups(scope="build") == [5]
    assert Work((), (), partitions).groups(plan) == []


def test_rows_of_two_makings_never_stand_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that dies between two commits of the whole: what was committed before counts as out of date."""
    root = Storage(str(tmp_path))
    space = Workspace(root)
    space.append((Row(f"a{n}", {"kind": "file"}) for n in range(3)), 0)
    epoch = Lease.acquire(root).epoch
    partitions = space.partitions()
    events: list[Event] = []
    Worker(plan_of(root, epoch), events.append).run(partitions)
    values = [space.partition("toy", "f", name, Census.schema).rows() for name, _ in partitions]
    assert {row["value"] for rows in values for row in rows.values()} == {3}

    space.append((Row(f"b{n}", {"kind": "file"}) for n in range(2)), 0)
    partitions = Workspace(root).partitions()
    worker = Worker(plan_of(root, epoch), events.append)
    finish, done = worker._finish, []

    def die(job: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job.name)
        return finish(job)

    monkeypatch.setattr(worker, "_finish", die)
    with pytest.raises(KeyboardInterrupt):
        worker.run(partitions)
    Worker(plan_of(root, epoch), events.append).run(partitions)
    values = [space.partition("toy", "f", name, Census.schema).rows() for name, _ in partitions]
    assert [row["value"] for rows in values for row in rows.values()] == [5] * 5


def test_the_digest_covers_every_partition() -> None:
    inputs = {"000-00000": {"collect": 3, "a": "x"}, "000-00001": {"collect": 3, "a": "y"}}
    digest = given_together(inputs)
    assert digest == given_together(dict(reversed(inputs.items())))
    assert digest != given_together({**inputs, "000-00001": {"collect": 2, "a": "y"}})
    assert digest != given_together({"000-00000": inputs["000-00000"]})
