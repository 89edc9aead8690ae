"""How workers are shared out: every stage of a pipeline must be able to run at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from interlink.runtime.work import runs_of, shares
from interlink.stage import Resources


@given(st.lists(st.floats(0.1, 8), min_size=1, max_size=9), st.sampled_from([1, 2, 4, 16, 64]), st.integers(1, 10_000))
def test_the_workers_of_all_stages_fit_together(wanted: list[float], cpus: int, partitions: int) -> None:
    stages = {f"s{i}": Resources(cpus=w) for i, w in enumerate(wanted)}
    found = shares(stages, cpus, 0, partitions)
    assert sum(share.cpus * share.most for share in found.values()) <= cpus + 1e-6
    assert all(share.most >= 1 for share in found.values())


def test_a_stage_takes_no_more_workers_than_it_asks_for_or_has_partitions() -> None:
    found = shares({"a": Resources(cpus=1, workers=1), "b": Resources(cpus=1)}, 8, 0, 3)
    assert (found["a"].most, found["b"].most) == (1, 3)


def test_gpu_stages_get_a_worker_per_gpu() -> None:
    assert shares({"a": Resources(cpus=1, gpus=1)}, 16, 4, 100)["a"].most == 4


def test_runs_are_fixed_groups_of_partitions() -> None:
    names = [(f"000-{i:05d}", 1) for i in range(20)] + [("001-00000", 1)]
    assert [len(run) for run in runs_of(names)] == [16, 4, 1]


def test_workers_are_whole_and_those_that_need_no_cpu_are_as_many_as_there_are_cpus() -> None:
    found = shares({"a": Resources(cpus=2), "b": Resources(cpus=0), "c": Resources(cpus=1, gpus=2)}, 7, 5, 100)
    assert [found[name].most for name in "abc"] == [3, 7, 2]
    assert found["c"].gpus == 2
    assert found["b"].cpus == 0.001  # Ray needs a share to place a worker


def test_reservations_shrink_only_where_they_do_not_fit() -> None:
    assert shares({"a": Resources(cpus=1, workers=2)}, 4, 0, 100)["a"].cpus == 1.0
    found = shares({"a": Resources(cpus=1), "b": Resources(cpus=1)}, 3, 0, 100)
    assert (found["a"].cpus, found["a"].most) == (0.5, 3)
    assert shares({"a": Resources(cpus=0)}, 3, 0, 100)["a"].cpus == 0.001
    thirds = shares({name: Resources(cpus=1) for name in "abc"}, 1, 0, 100)
    assert {share.cpus for share in thirds.values()} == {0.333}
