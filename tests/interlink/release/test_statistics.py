"""The distributions of a release's card, on values made by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.release.source import Sample
from interlink.release.statistics import Distribution, Statistics
from releasing import simple


def made(values: list[float], step: float = 1.0) -> Distribution:
    found = Distribution(step)
    for value in values:
        found.add(value)
    return found


def test_mean_and_quantiles_are_those_of_the_values() -> None:
    found = made([1, 1, 2, 3, 10])
    assert (found.count, found.mean) == (5, 3.4)
    assert [found.quantile(share) for share in (0.0, 0.4, 0.41, 0.6, 0.8, 1.0)] == [1, 1, 2, 2, 3, 10]
    assert (Distribution().count, Distribution().mean, Distribution().quantile(0.5)) == (0, 0.0, 0.0)


def test_values_are_rounded_to_the_step() -> None:
    found = made([0.04, 0.26, 0.34], step=0.1)
    assert dict(found.counts) == {0: 1, 3: 2}
    assert found.mean == pytest.approx(0.2)
    assert found.quantile(0.9) == pytest.approx(0.3)


def test_bins_are_round_touch_and_hold_every_value_once() -> None:
    assert made([]).bins(5) == []
    assert made([7]).bins(5) == [(7.0, 8.0, 1)]
    assert made([0, 1, 9, 10, 19]).bins(3) == [(0.0, 10.0, 3), (10.0, 20.0, 2)]
    assert made([3, 4, 12]).bins(3) == [(0.0, 5.0, 2), (5.0, 10.0, 0), (10.0, 15.0, 1)]
    assert made([0, 123_456]).bins(4) == [(0.0, 50_000.0, 1), (50_000.0, 100_000.0, 0), (100_000.0, 150_000.0, 1)]
    assert made([0, 1999]).bins(3) == [(0.0, 1000.0, 1), (1000.0, 2000.0, 1)]
    assert made([0, 2000]).bins(2) == [(0.0, 2000.0, 1), (2000.0, 4000.0, 1)]
    assert made([-3, 4]).bins(4) == [(-5.0, 0.0, 1), (0.0, 5.0, 1)]
    tenths = made([0.2, 0.9], step=0.1).bins(10)
    assert [count for *_, count in tenths] == [1, 0, 0, 0, 0, 0, 0, 1]
    assert [begin for begin, _, _ in tenths] == pytest.approx([n / 10 for n in range(2, 10)])


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=60), st.integers(2, 12))
def test_there_are_no_more_bins_than_asked_for(values: list[int], most: int) -> None:
    bins = made([float(value) for value in values]).bins(most)
    assert len(bins) <= most
    assert sum(count for *_, count in bins) == len(values)
    assert bins[0][0] <= min(values) < bins[0][1] and bins[-1][0] <= max(values) < bins[-1][1]
    widths = {round(end - begin) for begin, end, _ in bins}
    assert len(widths) == 1 and str(widths.pop())[0] in "125"
    assert all(a[1] == b[0] for a, b in pairwise(bins))


def test_documents_are_summed_by_split_licence_dataset_and_model() -> None:
    found = Statistics(("caption",))
    one, other = simple(0).document, simple(1, clips=3).document
    unstated = other.model_copy(update={"source": other.source.model_copy(update={"licence": "", "dataset": ""})})
    found.add(Sample("a", "s", "train", one, "{}", 0, {}))
    found.add(Sample("b", "s", "val", unstated, "{}", 0, {}))
    assert (dict(found.documents), found.total, len(found.videos)) == ({"train": 1, "val": 1}, 2, 2)
    assert found.licences == {"CC-BY-4.0": 1, "not stated": 1}
    assert found.datasets == {"told": 1, "not stated": 1}
    assert found.clips_per_document.mean == 2.5
    assert found.text_tokens == one.text_tokens() + other.text_tokens()
    assert (found.roles, found.models) == ({"caption": 5}, {("caption", "tiny@r1"): 2})
    assert found.clip_seconds.mean == pytest.approx(5.0) and found.tokens_per_clip.count == 5
