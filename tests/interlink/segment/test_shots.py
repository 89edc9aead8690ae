"""Hard cuts and fades through black are found at their frame; motion, flashes and exposure changes are not cuts."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from interlink.media.look import Look
from interlink.segment.shots import Shots
from interlink.segment.verdict import Verdict

Picture = NDArray[np.float64]


def scene(seed: int) -> Picture:
    """A picture (40, 120) with structure at several scales, luma 16-235; wide enough to pan over."""
    chance = np.random.default_rng(seed)
    coarse = np.kron(chance.uniform(30, 220, (5, 15)), np.ones((8, 8)))
    return np.clip(coarse + chance.normal(0, 6, coarse.shape), 16, 235)


def shot(seed: int, frames: int, pan: float = 0.0) -> list[Picture]:
    """Frames (40, 64) of one scene with sensor noise, panning `pan` pixels a frame."""
    chance = np.random.default_rng(seed + 1000)
    whole = scene(seed)
    starts = [int(pan * number) % (whole.shape[1] - 64) for number in range(frames)]
    return [whole[:, start : start + 64] + chance.normal(0, 1.0, (40, 64)) for start in starts]


def faded(pictures: list[Picture], start: float, end: float) -> list[Picture]:
    """Brightness from `start` to `end` (1 = as it is, 0 = black)."""
    shares = np.linspace(start, end, len(pictures))
    return [16 + (picture - 16) * share for picture, share in zip(pictures, shares, strict=True)]


def watch(pictures: list[Picture], rate: int = 25) -> list[Verdict]:
    shots = Shots()
    verdicts: list[Verdict] = []
    grey = np.full((2, 20, 32), 128, np.uint8)
    for number, picture in enumerate(pictures):
        verdicts += shots.feed(Look(number / rate, np.clip(picture, 0, 255).astype(np.uint8), grey))
    verdicts += shots.finish()
    assert [verdict.time for verdict in verdicts] == [number / rate for number in range(len(pictures))]
    return verdicts


def cuts(pictures: list[Picture], rate: int = 25) -> list[int]:
    return [number for number, verdict in enumerate(watch(pictures, rate)) if verdict.boundary]


def test_a_hard_cut_is_found_at_its_first_frame() -> None:
    assert cuts(shot(1, 20) + shot(2, 15) + shot(3, 4)) == [20, 35]


def test_a_cut_between_panning_shots_is_found() -> None:
    assert cuts(shot(1, 20, pan=1.0) + shot(2, 20, pan=2.0)) == [20]


def test_a_pan_is_no_cut() -> None:
    assert cuts(shot(1, 50, pan=1.1)) == []


def test_a_flash_is_no_cut() -> None:
    pictures = shot(1, 30)
    pictures[12] = pictures[12] * 0 + 230
    pictures[13] = pictures[13] * 0 + 220

    assert cuts(pictures) == []


def test_repeated_frames_do_not_hide_a_cut_nor_make_one() -> None:
    once = shot(1, 15, pan=1.0) + shot(2, 15, pan=1.0)
    twice = [picture for picture in once for _ in range(2)]

    assert cuts(twice) == [30]


def test_a_fade_through_black_is_one_boundary_where_the_picture_returns() -> None:
    pictures = shot(1, 20) + faded(shot(1, 15), 1, 0) + faded(shot(2, 8), 0, 0) + faded(shot(2, 15), 0, 1) + shot(2, 20)

    (found,) = cuts(pictures)

    assert abs(found - 43) <= 2


def test_a_hard_cut_to_black_is_the_boundary_and_the_return_is_none() -> None:
    assert cuts(shot(1, 20) + faded(shot(2, 8), 0, 0) + shot(2, 20)) == [20]


@pytest.mark.parametrize("black_first", [True, False])
def test_black_before_or_after_everything_is_no_shot(black_first: bool) -> None:
    black = faded(shot(2, 10), 0, 0)

    found = cuts(black + shot(1, 20)) if black_first else cuts(shot(1, 20) + faded(shot(1, 12), 1, 0) + black)

    assert found == []


def test_frames_beside_a_cut_and_black_frames_are_not_settled() -> None:
    verdicts = watch(shot(1, 20) + shot(2, 20) + faded(shot(2, 5), 0, 0))

    assert [number for number, verdict in enumerate(verdicts) if not verdict.settled] == [
        *(18, 19, 20, 21),
        *(38, 39, 40, 41, 42, 43, 44),
    ]


def mixed(share: float) -> Picture:
    """A still picture: the first scene with a share of the second."""
    return scene(1)[:, :64] * (1 - share) + scene(2)[:, :64] * share


def test_a_change_that_goes_back_to_a_third_within_three_frames_is_a_flash() -> None:
    def after(share: float) -> list[int]:
        return cuts([mixed(0)] * 20 + [mixed(1), mixed(0.75), mixed(0.55), mixed(share)] + [mixed(share)] * 20)

    assert 20 not in after(0.33)
    assert 20 in after(0.38)


def test_a_change_that_goes_back_after_half_a_second_is_a_cut() -> None:
    assert cuts([mixed(0)] * 20 + [mixed(1)] * 12 + [mixed(0)] * 20) == []
    assert cuts([mixed(0)] * 20 + [mixed(1)] * 15 + [mixed(0)] * 20) == [20, 35]


@pytest.mark.parametrize("rate", [25, 30, 60])
@pytest.mark.parametrize("frames", [1, 2, 3, 6, 12])
@pytest.mark.parametrize("decays", [False, True])
def test_a_flash_of_one_to_twelve_frames_is_no_cut(rate: int, frames: int, decays: bool) -> None:
    pictures = shot(1, 100, pan=0.2)
    for number in range(frames):
        strength = 0.9 * (1 - number / frames if decays else 1.0)
        pictures[30 + number] += (235 - pictures[30 + number]) * strength

    assert cuts(pictures, rate) == []


def test_a_cut_after_a_flash_is_found() -> None:
    flash = [picture * 0 + 230 for picture in shot(1, 3)]

    assert cuts(shot(1, 30) + flash + shot(1, 30) + shot(2, 30)) == [63]


@pytest.mark.parametrize("gain", [0.35, 0.6])
def test_a_lamp_that_is_switched_off_and_on_is_no_cut(gain: float) -> None:
    pictures = shot(1, 90, pan=0.2)
    pictures[30:60] = [16 + (picture - 16) * gain for picture in pictures[30:60]]

    assert cuts(pictures) == []


def test_a_shadow_and_a_hand_that_leave_a_still_scene_are_no_cut() -> None:
    shadow, hand = shot(1, 40), shot(1, 40)
    for number in range(20):
        shadow[number][:, :30] = 16 + (shadow[number][:, :30] - 16) * 0.4
        hand[number][8:40, 30 + 2 * number :] = 200

    assert cuts(shadow) == []
    assert cuts(hand) == []


WIPES = {
    "right": lambda down, across: across,
    "left": lambda down, across: 1 - across,
    "down": lambda down, across: down,
    "up": lambda down, across: 1 - down,
    "diagonal": lambda down, across: (down + across) / 2,
}


@pytest.mark.parametrize("direction", WIPES)
@pytest.mark.parametrize("seconds", [0.3, 0.8, 1.5])
def test_a_wipe_is_one_boundary_within_it(direction: str, seconds: float) -> None:
    frames = round(25 * seconds)
    down, across = np.meshgrid(np.linspace(0, 1, 40), np.linspace(0, 1, 64), indexing="ij")
    old, new = shot(1, frames), shot(2, frames)
    between = [
        np.where(WIPES[direction](down, across) < (n + 1) / (frames + 1), b, a)
        for n, (a, b) in enumerate(zip(old, new, strict=True))
    ]

    (found,) = cuts(shot(1, 40) + between + shot(2, 50))

    assert 39 <= found <= 41 + frames


def test_black_bars_do_not_hide_a_cut() -> None:
    pictures = shot(1, 20) + shot(2, 20)
    for picture in pictures:
        picture[:8] = picture[32:] = 16

    assert cuts(pictures) == [20]


def test_a_title_on_black_is_a_boundary_and_so_is_the_picture_after_it() -> None:
    black = faded(shot(3, 10), 0, 0)
    title = [picture.copy() for picture in faded(shot(3, 30), 0, 0)]
    for picture in title:
        picture[20, 20:40] = 60

    begins = cuts(
        shot(1, 20) + faded(shot(1, 15), 1, 0) + black + title + black + faded(shot(2, 15), 0, 1) + shot(2, 20)
    )

    assert len(begins) == 2
    assert begins[0] == 45
    assert 85 <= begins[1] <= 90


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 1, 3), (3, 1, 2)])
def test_two_cuts_three_frames_apart_are_both_found(order: tuple[int, int, int]) -> None:
    a, b, c = order

    assert cuts(shot(a, 20) + shot(b, 3) + shot(c, 20)) == [20, 23]


def test_two_jumps_of_still_pictures_three_frames_apart_are_motion() -> None:
    first, second, third = (scene(seed)[:, :64] for seed in (1, 2, 3))

    assert cuts([first] * 20 + [second] * 3 + [third] * 20) == []
