"""What the sizes of packets say of a group whose keyframes are alike. Whole videos: tests/interlink/stages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from interlink.media.look import Look
from interlink.media.packets import Group
from interlink.segment.evidence import Evidence


@dataclass(frozen=True)
class Packet:
    size: int
    is_keyframe: bool = False


KEYFRAME = 10_000
SLIDE = Look(0.0, np.tile(np.arange(64, dtype=np.uint8) * 3, (40, 1)), np.full((2, 20, 32), 128, np.uint8))


def hints(sizes: list[int]) -> tuple[float, ...]:
    """What is looked at by itself in a group with these packets after its keyframe, ten a second."""
    times = [round(0.1 * number, 6) for number in range(len(sizes) + 1)]
    group = Group(0.0, continues=False)
    group.packets += [Packet(KEYFRAME, True), *map(Packet, sizes)]
    group.stamps, group.times, group.size = times, list(times), sum(sizes) + KEYFRAME
    following = Group(times[-1] + 0.1, continues=False)
    following.packets.append(Packet(KEYFRAME, True))
    plan = Evidence(float("inf"), True).plan(group, following, SLIDE, SLIDE)
    assert not plan.scan
    return plan.hints


def test_a_moving_scene_between_still_slides_is_looked_at_where_it_begins() -> None:
    moving = [6000, 6300, 5800, 6100, 7000, 6400, 6600, 7100, 6200, 6900]

    assert hints([20] * 8 + [7900] + moving + [20] * 4) == (0.9,)


def test_nothing_is_looked_at_in_a_still_or_an_evenly_moving_group() -> None:
    assert hints([20] * 30) == ()
    assert hints([5000, 300, 280, 5200, 310, 290] * 5) == ()
    assert hints([20] * 2 + [5000, 300] * 14) == ()  # too early: the keyframe itself shows it
