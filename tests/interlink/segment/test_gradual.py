"""Dissolves and fades begin a clip in their middle and give it no frame; motion, light and titles are none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from interlink.media.look import Look
from interlink.segment.gradual import Gradual, Mixtures
from interlink.segment.shots import Shots

Picture = NDArray[np.float64]


def scene(seed: int, width: int = 64) -> Picture:
    """A picture (40, width) with structure at several scales, luma 16-235."""
    chance = np.random.default_rng(seed)
    coarse = np.kron(chance.uniform(30, 220, (5, width // 8)), np.ones((8, 8)))
    return np.clip(coarse + chance.normal(0, 6, coarse.shape), 16, 235)


def still(seed: int, frames: int) -> list[Picture]:
    return [scene(seed)] * frames


def blend(a: Picture, b: Picture, shares: list[float]) -> list[Picture]:
    return [a + (b - a) * share for share in shares]


def even(frames: int) -> list[float]:
    return [(number + 1) / (frames + 1) for number in range(frames)]


def looks(pictures: list[Picture], rate: float = 30.0) -> list[Look]:
    chance = np.random.default_rng(7)
    grey = np.full((2, 20, 32), 128, np.uint8)
    noisy = [picture + chance.normal(0, 1.0, picture.shape) for picture in pictures]
    return [Look(n / rate, np.clip(p, 0, 255).astype(np.uint8), grey) for n, p in enumerate(noisy)]


def found(pictures: list[Picture], rate: float = 30.0) -> list[Gradual]:
    mixtures = Mixtures()
    return [each for look in looks(pictures, rate) if (each := mixtures.feed(look)) is not None]


def cuts(pictures: list[Picture], rate: float = 30.0) -> tuple[list[int], set[int]]:
    """Numbers of the pictures that begin a clip, and of those that are not settled."""
    shots = Shots()
    verdicts = [verdict for look in looks(pictures, rate) for verdict in shots.feed(look)] + shots.finish()
    assert [verdict.time for verdict in verdicts] == [number / rate for number in range(len(pictures))]
    begins = [number for number, verdict in enumerate(verdicts) if verdict.boundary]
    return begins, {number for number, verdict in enumerate(verdicts) if not verdict.settled}


@pytest.mark.parametrize("frames", [6, 15, 36])
def test_a_dissolve_begins_a_clip_in_its_middle_and_none_of_its_pictures_is_settled(frames: int) -> None:
    begins, unsettled = cuts(still(1, 40) + blend(scene(1), scene(2), even(frames)) + still(2, 40))

    assert len(begins) == 1
    assert abs(begins[0] - (40 + frames / 2)) <= 1
    assert set(range(41 + frames // 8, 39 + frames - frames // 8)) <= unsettled
    assert unsettled <= set(range(38, 42 + frames))


def test_a_dissolve_of_four_pictures_at_eight_a_second_is_found() -> None:
    begins, _ = cuts(still(1, 16) + blend(scene(1), scene(2), [0.125, 0.375, 0.625, 0.875]) + still(2, 16), rate=8.0)

    assert begins == [18]


def test_a_fade_that_never_gets_black_is_found_where_the_new_scene_shows() -> None:
    black = np.full((40, 64), 16.0)
    dip = blend(scene(1), black, [0.25, 0.75]) + blend(scene(2), black, [0.75, 0.25])

    begins, unsettled = cuts(still(1, 16) + dip + still(2, 16), rate=8.0)

    assert begins == [18]
    assert {16, 17, 18, 19} <= unsettled


def test_a_fade_through_white_is_one_boundary() -> None:
    white = np.full((40, 64), 235.0)
    pictures = still(1, 30) + blend(scene(1), white, even(10)) + blend(white, scene(2), even(10)) + still(2, 30)

    begins, _ = cuts(pictures)

    assert len(begins) == 1
    assert 30 <= begins[0] < 50


def test_two_dissolves_one_after_the_other_are_two() -> None:
    pictures = still(1, 30) + blend(scene(1), scene(2), even(12)) + still(2, 20)
    pictures += blend(scene(2), scene(3), even(12)) + still(3, 30)

    begins, _ = cuts(pictures)

    assert len(begins) == 2
    assert 30 <= begins[0] < 42
    assert 62 <= begins[1] < 74


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0, 5.0])
def test_a_pan_is_no_transition(speed: float) -> None:
    whole = scene(1, 512)
    starts = [int(speed * number) for number in range(80)]

    assert found([whole[:, start : start + 64] for start in starts]) == []


def test_a_hard_cut_is_no_transition() -> None:
    assert found(still(1, 40) + still(2, 40)) == []


def test_a_lamp_that_is_turned_up_is_no_transition() -> None:
    dim = 16 + (scene(1) - 16) * 0.3

    assert found([dim] * 30 + blend(dim, scene(1), even(15)) + still(1, 30)) == []


def test_a_fade_in_from_black_and_a_fade_out_to_black_are_no_transition() -> None:
    black = np.full((40, 64), 16.0)

    assert found([black] * 20 + blend(black, scene(1), even(15)) + still(1, 30)) == []
    assert found(still(1, 30) + blend(scene(1), black, even(15)) + [black] * 20) == []


def test_nothing_is_told_across_a_gap() -> None:
    before, after = looks(still(1, 40)), looks(still(2, 40))
    mixtures = Mixtures()
    later = [Look(look.time + 5.0, look.luma, look.chroma) for look in after]

    assert [mixtures.feed(look) for look in before + later] == [None] * 80
