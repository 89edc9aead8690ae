"""The loss guard's rules, step by step, and the record that it writes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from cosmos_train.errors import UserError
from cosmos_train.recipe import GuardSettings
from cosmos_train.train.guard import Guard, Moments, Report, folder_of, read_report, write_report, write_samples
from interlink.shards import read_index, read_sample
from interlink.shards.index import split

STEADY = (2.0, 4.0, 2.0, 4.0)  # mean 3, deviation 1


def steady(**settings: Any) -> Guard:
    guard = Guard(GuardSettings.model_validate({"window": 4, "spike": 6.0, **settings}))
    for loss in STEADY:
        assert guard.judge(loss, 1.0, False).reason == ""
    return guard


def test_moments_of_a_window_are_exact_and_later_ones_forget() -> None:
    moments = Moments(window=4)
    for loss in STEADY:
        assert moments.deviations(100.0) == 0  # until a whole window has been seen
        moments.add(loss)
    assert (moments.count, moments.mean, moments.variance) == pytest.approx((4, 3.0, 1.0))
    assert moments.deviations(9.0) == pytest.approx(6.0)
    assert moments.deviations(1.0) == pytest.approx(-2.0)
    moments.add(7.0)
    assert (moments.mean, moments.variance) == pytest.approx((4.0, 0.75 * (1 + 0.25 * 16)))


def test_a_loss_that_never_changed_has_a_deviation_of_a_thousandth() -> None:
    moments = Moments(window=2)
    for _ in range(2):
        moments.add(-4.0)
    assert moments.deviations(-3.98) == pytest.approx(5.0)
    still = Moments(window=1)
    still.add(0.0)
    assert still.deviations(1e-12) == pytest.approx(1.0)


def test_the_bound_itself_is_no_spike_and_0_switches_the_rule_off() -> None:
    assert steady().judge(9.0, 1.0, False).reason == ""
    assert steady().judge(9.01, 1.0, False).reason.startswith("the loss 9.01 is 6.0 deviations above its mean 3")
    assert steady(spike=0).judge(1e9, 1.0, False).reason == ""


@pytest.mark.parametrize(
    ("action", "skip", "stop", "seen"),
    [("record", False, False, 5), ("skip", True, False, 4), ("stop", False, True, 5)],
)
def test_a_spike_is_recorded_skipped_or_stops_the_run(action: str, skip: bool, stop: bool, seen: int) -> None:
    guard = steady(on_spike=action)
    found = guard.judge(12.0, 1.0, False)
    assert (bool(found.reason), found.skip, found.stop) == (True, skip, stop)
    assert guard.moments.count == seen  # a skipped step leaves the mean alone


def test_good_steps_set_the_count_of_skipped_ones_back() -> None:
    guard = Guard(GuardSettings(max_skipped=1))
    for _ in range(3):
        bad = guard.judge(math.nan, 1.0, False)
        assert (bad.reason, bad.skip, bad.stop) == ("the loss is not finite", True, False)
        assert guard.judge(1.0, 1.0, False).skip is False
    assert guard.judge(1.0, math.nan, False).reason == "the gradient is not finite"
    assert guard.judge(math.inf, math.inf, True).stop
    assert guard.skipped == 2
    assert guard.moments.count == 3  # no bad loss is part of the mean


def test_so_many_records_and_no_more_even_after_a_resume() -> None:
    guard = Guard(GuardSettings(max_records=2))
    assert guard.record_allowed()
    guard.judge(math.nan, 1.0, False)
    numbers = guard.numbers()
    assert numbers == {"mean": 0.0, "variance": 0.0, "count": 0.0, "skipped": 1, "records": 1}
    resumed = Guard(GuardSettings(max_records=2), numbers)
    assert (resumed.skipped, resumed.records) == (1, 1)
    assert [resumed.record_allowed() for _ in range(2)] == [True, False]
    assert numbers["records"] == 1


def test_a_record_holds_each_sample_once_as_in_its_shard(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 123)
    assert folder == tmp_path / "guard" / "step-00000123"
    samples = [
        ("a/b", {"json": b"{}", "000.jpg": memoryview(b"picture")}),
        ("c", {"json": b"1"}),
        ("a/b", {"json": b""}),
    ]
    assert write_samples(folder, 3, samples) == 2
    assert write_samples(folder, 3, []) == 0  # the folder may exist
    assert write_samples(folder, 4, samples[1:2]) == 1
    storage, name = split(str(folder / "samples-00004.tar"))
    [entry] = read_index(str(folder / "samples-00004.tar"))
    assert entry.key == "c" and read_sample(storage, name, entry) == {"json": b"1"}


def test_members_of_a_recorded_sample_are_kept_whole(tmp_path: Path) -> None:
    write_samples(tmp_path, 0, [("a/b", {"json": b"{}", "000.jpg": memoryview(b"picture")}), ("a/b", {"json": b""})])
    path = str(tmp_path / "samples-00000.tar")
    [entry] = read_index(path)
    assert entry.key == "a_b"
    assert read_sample(*split(path), entry) == {"json": b"{}", "000.jpg": b"picture"}


def test_a_report_comes_back_with_numbers_that_json_has_not(tmp_path: Path) -> None:
    for loss, norm, written in ((math.inf, 2.5, ("inf", 2.5)), (1.5, math.nan, (1.5, "nan"))):
        write_report(tmp_path, Report("why", 7, loss, norm, 2))
        raw = json.loads((tmp_path / "report.json").read_text())
        assert (raw["loss"], raw["gradient_norm"]) == written
        found = read_report(tmp_path)
        assert (found.reason, found.step, found.world) == ("why", 7, 2)
        assert str((found.loss, found.gradient_norm)) == str((loss, norm))


@pytest.mark.parametrize("text", [None, "{", '{"reason": "x"}', '{"reason": "", "step": 1, "loss": "x", "gradient_norm": 1, "world": 1}'])  # fmt: skip  # noqa: E501
def test_what_is_no_report_is_refused(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "report.json").write_text(text)
    with pytest.raises(UserError, match="is not a record of a step") as caught:
        read_report(tmp_path)
    assert caught.value.code == 2
