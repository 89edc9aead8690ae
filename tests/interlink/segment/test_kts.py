"""Kernel temporal segmentation: the reference's answers, the least cost, windows, and the one-segment trap."""

from __future__ import annotations

import json
from itertools import combinations
from math import inf, log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from interlink.media.look import Look
from interlink.segment.kts import Floats, Kts, divide, kernel_of, scatters
from interlink.segment.settings import SegmentSettings
from interlink.segment.verdict import Verdict


def test_the_references_answers_are_reproduced(shared_data: Path) -> None:
    cases = json.loads((shared_data / "golden" / "kts.json").read_text())
    with np.load(shared_data / "golden" / "kts.npz") as golden:
        for case in cases:
            number = case["case"]
            kernel = kernel_of(golden[f"features_{number}"])
            most = max(case["frames"] // case["alpha"] - 1, 0)
            assert most == case["max_change_points"]

            found = divide(kernel, most, case["vmax"])

            assert list(found.points) == golden[f"change_points_{number}"].tolist()
            # float32 kernels: equal to the last bit where the matrix product is, which depends on the processor.
            np.testing.assert_allclose(found.costs, golden[f"costs_{number}"], rtol=0, atol=1e-7)


def cost_of(kernel: Floats, points: tuple[int, ...], vmax: float) -> float:
    """The cost of a division, from the definitions: distances of the features to their segment's mean."""
    total = 0.0
    for start, end in zip((0, *points), (*points, len(kernel)), strict=True):
        inside = kernel[start:end, start:end]
        total += float(np.trace(inside) - inside.sum() / (end - start))
    count, cuts = len(kernel), len(points)
    penalty = vmax * cuts / (2 * count) * (log(count / cuts) + 1) if cuts else 0.0
    return total / count + penalty


@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(0, 4), st.sampled_from([0.0, 0.1, 0.5, 2.0]))
@settings(deadline=None, max_examples=60)
def test_no_division_costs_less(seed: int, count: int, most: int, vmax: float) -> None:
    kernel = kernel_of(np.random.default_rng(seed).normal(size=(count, 3)))

    found = divide(kernel, most, vmax)

    divisions = [p for m in range(min(most, count - 1) + 1) for p in combinations(range(1, count), m)]
    costs = {points: cost_of(kernel, points, vmax) for points in divisions}
    assert cost_of(kernel, found.points, vmax) == pytest.approx(min(costs.values()), abs=1e-9)
    for cuts, cost in enumerate(found.costs):
        assert cost == pytest.approx(min((c for p, c in costs.items() if len(p) == cuts), default=inf), abs=1e-9)


def test_scatters_of_every_span_are_distances_to_its_mean() -> None:
    features = np.random.default_rng(0).normal(size=(9, 4))
    features /= np.linalg.norm(features, axis=1, keepdims=True) + 1e-5

    table = scatters(features @ features.T)

    for i, j in combinations(range(9), 2):
        span = features[i : j + 1]
        assert table[j, i] == pytest.approx(((span - span.mean(0)) ** 2).sum(), abs=1e-12)
        assert table[i, j] == inf
    np.testing.assert_allclose(np.diag(table), 0, atol=1e-12)


def alike_features() -> NDArray[np.float64]:
    """Three scenes of 20 samples whose features, as those of networks do, have most in common."""
    draw = np.random.default_rng(3)
    common = draw.normal(size=64)
    scenes = [common + 0.3 * draw.normal(size=64) for _ in range(3)]
    return np.stack([scene + 0.05 * draw.normal(size=64) for scene in scenes for _ in range(20)])


def test_the_one_segment_trap() -> None:
    kernel = kernel_of(alike_features())

    assert divide(kernel, 11, vmax=1.0).points == ()
    assert len(divide(kernel, 11, vmax=0.0).points) == 11
    own = scatters(kernel)[-1, 0] / len(kernel)
    assert own < 0.2
    assert divide(kernel, 11, vmax=1.5 * own).points == (20, 40)


# -- as a segmenter ---------------------------------------------------------------------------------------------------


def look(time: float, scene: int, noise: int = 0) -> Look:
    """A picture of a scene: blocks of its own, with a little noise."""
    blocks = np.random.default_rng(scene).integers(30, 220, (5, 8)).repeat(8, 0).repeat(8, 1)
    luma = np.clip(blocks + np.random.default_rng(noise).integers(-4, 5, blocks.shape), 16, 235).astype(np.uint8)
    return Look(time, luma, np.full((2, 20, 32), 100 + 10 * (scene % 5), np.uint8))


def segment(kts: Kts, looks: list[Look]) -> list[Verdict]:
    verdicts = [verdict for each in looks for verdict in kts.feed(each)] + kts.finish()
    assert [verdict.time for verdict in verdicts] == [each.time for each in looks]
    return verdicts


def starts(verdicts: list[Verdict]) -> list[float]:
    return [verdict.time for verdict in verdicts if verdict.boundary]


def test_clips_begin_where_the_scene_changes() -> None:
    looks = [look(3 + t, scene=t // 12, noise=t) for t in range(48)]

    assert starts(segment(Kts(5, 1.0, 1.5, True, 600), looks)) == [15.0, 27.0, 39.0]


def test_looks_between_two_samples_place_the_boundary_exactly() -> None:
    times = [n * 0.25 for n in range(160)]
    looks = [look(t, scene=int(t >= 10.5) + int(t >= 25.75), noise=n) for n, t in enumerate(times)]

    assert starts(segment(Kts(5, 1.0, 1.5, True, 600), looks)) == [10.5, 25.75]


@pytest.mark.parametrize("window", [40, 60, 150])
def test_a_long_video_is_divided_in_windows_as_well_as_whole(window: int) -> None:
    looks = [look(t * 0.5, scene=t // 30, noise=t) for t in range(600)]  # scenes of 15 s, looks at twice the rate

    whole = starts(segment(Kts(5, 1.0, 1.5, True, 1000), looks))
    assert whole == [15.0 * n for n in range(1, 20)]
    kts = Kts(5, 1.0, 1.5, True, window)
    assert starts(segment(kts, looks)) == whole


def test_no_more_than_a_window_is_kept_of_an_endless_shot() -> None:
    kts = Kts(5, 1.0, 1.5, True, 50)

    owed = 0
    for t in range(1000):
        owed += 1 - len(kts.feed(look(float(t), scene=0, noise=t)))
        assert owed <= 51
    assert len(kts.finish()) == owed


def test_a_video_shorter_than_two_segments_and_an_empty_one_stay_whole() -> None:
    assert starts(segment(Kts(5, 1.0, 1.5, True, 600), [look(float(t), scene=t // 5) for t in range(9)])) == []
    assert Kts(5, 1.0, 1.5, True, 600).finish() == []


def test_settings_reach_the_segmenter_and_an_embedder_takes_memory() -> None:
    plain = SegmentSettings(segmenter="kts", kts={"beta": 0.5, "alpha": 3})
    model = SegmentSettings(segmenter="kts", kts={"embedder": {"model": "x", "pretrained": "y"}})

    assert Kts.of(plain, None).spacing == 0.5  # type: ignore[arg-type]
    assert (Kts.memory_mb(plain), Kts.memory_mb(model)) == (600, 1800)
    Kts.check(plain)
    Kts.prepare(plain)
    looks = [look(0.5 * t, scene=t // 6, noise=t) for t in range(24)]
    assert starts(segment(Kts.of(plain, None), looks)) == [3.0, 6.0, 9.0]  # type: ignore[arg-type]


def test_a_sample_is_taken_every_beta_seconds() -> None:
    taken: list[float] = []

    def features(seen: Look) -> Floats:
        taken.append(seen.time)
        return np.ones(2)

    kts = Kts(5, 1.0, 1.5, True, 600, features)
    for time in (3.0, 3.5, 3.9999995, 4.9, 7.2, 7.9, 8.0):
        kts.feed(look(time, 0))
    assert taken == [3.0, 3.9999995, 7.2, 8.0]


def test_of_a_still_video_the_noise_is_not_divided() -> None:
    looks = [look(float(t), scene=0, noise=t) for t in range(40)]

    assert starts(segment(Kts(2, 1.0, 1.5, True, 600), looks)) == []


def test_a_segment_that_begins_with_a_window_is_a_boundary_once() -> None:
    looks = [look(float(t), scene=t // 15, noise=t) for t in range(60)]
    for window in (20, 24, 30):
        assert starts(segment(Kts(5, 1.0, 1.5, True, window), looks)) == [15.0, 30.0, 45.0]


def test_a_window_without_a_boundary_hands_out_its_first_half() -> None:
    kts = Kts(5, 1.0, 1.5, True, 20)
    given = [len(kts.feed(look(float(t), scene=0, noise=t))) for t in range(21)]

    assert given == [0] * 20 + [10]


def test_a_boundary_may_be_the_first_look_after_a_sample_or_a_sample() -> None:
    times = [n * 0.25 for n in range(160)]
    looks = [look(t, scene=int(t >= 10.25) + int(t >= 26.0), noise=n) for n, t in enumerate(times)]

    assert starts(segment(Kts(5, 1.0, 1.5, True, 600), looks)) == [10.25, 26.0]
