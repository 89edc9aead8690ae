"""Small work runs inline, large work on Ray, and what the recipe says counts for more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlink.errors import UserError
from interlink.recipe import Recipe
from interlink.runtime import choosing
from interlink.runtime.choosing import Choice, choose, predicted
from interlink.runtime.planning import Left, Plans, lock_of, plan_stages
from interlink.runtime.workspace import Workspace
from interlink.stage import Row
from interlink.storage import Storage


def planned(root: Path, count: int, **settings: Any) -> tuple[Recipe, Plans, Left]:
    """A build of `count` ids to download with nothing done."""
    sets = [f"{key.replace('__', '.')}={value}" for key, value in settings.items()]
    recipe = Recipe.load("folder", ["source.path=x", *sets])
    space = Workspace(Storage(str(root)))
    space.append((Row(f"id{n}", {"kind": "url", "uri": f"https://x.org/{n}"}) for n in range(count)), 0)
    plans = plan_stages(space, recipe, lock_of(recipe, None, ()), 1)
    return recipe, plans, Left(plans, space.partitions())


def choice(root: Path, count: int, **settings: Any) -> Choice:
    recipe, plans, left = planned(root, count, **settings)
    work = left.find()
    return choose(recipe, plans, work, left.stages)


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_little_work_runs_inline_and_much_on_ray(tmp_path: Path) -> None:
    small, large = choice(tmp_path / "small", 4), choice(tmp_path / "large", 400)
    assert (small.kind, large.kind) == ("inline", "ray")
    assert small.why.endswith("s of work") and "minutes of work on one core" in large.why


def test_the_recipe_and_a_named_cluster_count_for_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choice(tmp_path / "a", 4, executor__kind="ray").kind == "ray"
    assert choice(tmp_path / "b", 400, executor__kind="inline") == Choice("inline", "as the recipe says")
    assert choice(tmp_path / "c", 4, executor__address="auto") == Choice("ray", "there is a cluster")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    assert choice(tmp_path / "d", 4).kind == "ray"


def test_without_ray_everything_runs_inline_unless_ray_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing.importlib.util, "find_spec", lambda name: None)
    assert choice(tmp_path / "a", 400) == Choice("inline", "Ray is not installed")
    with pytest.raises(UserError, match="Ray is not installed") as caught:
        choice(tmp_path / "b", 4, executor__kind="ray")
    assert caught.value.code == 2


def test_only_stages_with_something_to_do_count(tmp_path: Path) -> None:
    recipe, plans, left = planned(tmp_path, 400)
    work = left.find()
    every = predicted(recipe, plans, work, left.stages)
    assert set(every) == {"download", "transcribe", "keyframes", "caption", "interleave", "shard"}
    assert every["download"] == pytest.approx(400 * 5.0)
    few = predicted(recipe, plans, work, {"interleave", "shard"})
    assert few == {name: every[name] for name in ("interleave", "shard")}
    assert choose(recipe, plans, work, {"interleave", "shard"}).kind == "inline"


def test_seconds_that_were_measured_count_for_more_than_the_estimate(tmp_path: Path) -> None:
    recipe, plans, left = planned(tmp_path, 64)
    plan = plans.every[0]
    name = left.partitions[0][0]
    rows = [(Row(key, status="failed", error_class="gone", message="m"), 1, 40.0) for key in
            plans.workspace.source_rows(name)]  # fmt: skip
    plans.partition(plan, name).compact([row.id for row, *_ in rows], {"collect": len(rows)}, lambda _: {}, rows)
    work = left.find()
    open_ids = sum(count for _, count in work.partitions)
    assert predicted(recipe, plans, work, {"download"})["download"] == pytest.approx(40.0 * open_ids)


def test_local_files_are_judged_by_their_size(tmp_path: Path) -> None:
    recipe = Recipe.load("folder", ["source.path=x"])
    found = []
    for megabytes in (1, 3):
        file = tmp_path / f"{megabytes}.mp4"
        file.write_bytes(b"\0" * (megabytes * 1_000_000))
        space = Workspace(Storage(str(tmp_path / f"root{megabytes}")))
        space.append([Row("a", {"kind": "file", "uri": str(file)})], 0)
        plans = plan_stages(space, recipe, lock_of(recipe, None, ()), 1)
        left = Left(plans, space.partitions())
        work = left.find()
        found.append(predicted(recipe, plans, work, left.stages))
    assert found[1]["keyframes"] - found[0]["keyframes"] == pytest.approx(0.3)
    assert found[0]["download"] == found[1]["download"] == pytest.approx(0.02)
