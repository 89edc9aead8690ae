"""What the sizes of packets say of a group whose keyframes are alike. Whole videos: tests/interlink/stages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from interlink.media.look import Look, difference
from interlink.media.packets import Group
from interlink.media.sparse import Plan
from interlink.segment.evidence import Evidence, _usual


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


# -- the rules one by one ---------------------------------------------------------------------------------------------


def picture(seed: int, brightness: int = 0) -> Look:
    """A scene of blocks, brighter by some grey levels."""
    blocks = np.random.default_rng(seed).integers(60, 180, (5, 8)).repeat(8, 0).repeat(8, 1)
    return Look(0.0, (blocks + brightness).astype(np.uint8), np.full((2, 20, 32), 128, np.uint8))


def flat(level: int, tint: int = 128) -> Look:
    return Look(0.0, np.full((40, 64), level, np.uint8), np.full((2, 20, 32), tint, np.uint8))


def group_of(sizes: list[int], first: int = KEYFRAME, keyframes: tuple[int, ...] = ()) -> Group:
    """A group at ten pictures a second; keyframes: numbers of further keyframes."""
    group = Group(0.0, continues=False)
    group.packets += [Packet(first, True)]
    group.packets += [Packet(size, number in keyframes) for number, size in enumerate(sizes, 1)]
    group.stamps = [round(0.1 * number, 6) for number in range(len(sizes) + 1)]
    group.times, group.size = list(group.stamps), sum(sizes) + first
    return group


def next_group(after: Group, size: int = KEYFRAME) -> Group:
    start = round(after.times[-1] + 0.1, 6)
    following = Group(start, continues=False)
    following.packets.append(Packet(size, True))
    following.times = [round(start + 0.1 * number, 6) for number in range(10)]
    return following


def planned(
    sizes: list[int], before: Look | None, after: Look | None, last: bool = False, keyframes: tuple[int, ...] = ()
) -> Plan:
    group = group_of(sizes, keyframes=keyframes)
    return Evidence(float("inf"), True).plan(group, None if last else next_group(group), before, after)


QUIET = [100] * 20
ONE_SPIKE = [*[100] * 9, 5000, *[100] * 10]
TWO_SPIKES = [*[100] * 4, 5000, *[100] * 9, 5000, *[100] * 5]
SCENE, SLIGHTLY, OTHER = picture(1), picture(1, 5), picture(2)


def test_between_keyframes_that_are_alike_one_spike_is_no_reason_for_a_scan_but_two_are() -> None:
    assert not planned(QUIET, SCENE, SLIGHTLY).scan
    assert not planned(ONE_SPIKE, SCENE, SLIGHTLY).scan
    assert planned(TWO_SPIKES, SCENE, SLIGHTLY).scan


def test_keyframes_are_alike_below_a_change_of_eight() -> None:
    assert not planned(ONE_SPIKE, SCENE, picture(1, 7)).scan
    assert planned(ONE_SPIKE, SCENE, picture(1, 8)).scan


def test_keyframes_that_differ_much_have_suspects_and_are_scanned() -> None:
    plan = planned([*[100] * 9, 6000, *[100] * 10], SCENE, OTHER)

    assert (plan.scan, plan.suspects, plan.calm) == (True, (1.0,), True)


def test_a_suspect_has_at_least_forty_five_hundredths_of_the_next_keyframe() -> None:
    assert planned([*[100] * 9, 4500, *[100] * 10], SCENE, OTHER).suspects == (1.0,)
    assert planned([*[100] * 9, 4499, *[100] * 10], SCENE, OTHER).suspects == ()


def test_the_four_largest_packets_are_suspects_in_order_of_time_unless_a_keyframe_is_among_them() -> None:
    sizes = [100, 5000, 100, 9000, 100, 6000, 100, 7000, 100, 8000]

    assert planned(sizes, SCENE, OTHER).suspects == (0.4, 0.6, 0.8, 1.0)
    assert planned(sizes, SCENE, OTHER, keyframes=(2,)).suspects == (0.4, 0.6, 0.8, 1.0)
    assert planned(sizes, SCENE, OTHER, keyframes=(4,)).suspects == ()


def test_a_packet_that_stands_out_after_the_last_suspect_is_not_calm() -> None:
    assert planned([*[100] * 9, 6000, *[100] * 8, 169, 100], SCENE, OTHER).calm
    assert not planned([*[100] * 9, 6000, *[100] * 8, 170, 100], SCENE, OTHER).calm
    assert not planned([6000, *[100] * 8, 170, *[100] * 10], SCENE, OTHER).calm
    assert planned([170, *[100] * 8, 6000, *[100] * 10], SCENE, OTHER).calm
    assert planned([*[100] * 9, 6000], SCENE, OTHER).calm  # nothing after it
    assert planned(QUIET, SCENE, OTHER).calm  # no suspect


def test_keyframes_that_differ_a_little_are_scanned_where_a_packet_stands_out_or_the_scenes_are_unlike() -> None:
    brighter, shuffled = (
        picture(1, 20),
        Look(0.0, (128 + (OTHER.luma.astype(int) - 120) // 4).astype(np.uint8), SCENE.chroma),
    )
    faint = Look(0.0, (128 + (SCENE.luma.astype(int) - 120) // 4).astype(np.uint8), SCENE.chroma)

    assert not planned(QUIET, SCENE, brighter).scan
    assert planned(ONE_SPIKE, SCENE, brighter).scan
    assert 8 <= difference(faint, shuffled) < 36
    assert planned(QUIET, faint, shuffled).scan


def test_the_last_group_is_scanned_where_a_packet_stands_out_or_much_moves() -> None:
    assert not planned(QUIET, SCENE, None, last=True).scan
    assert planned(ONE_SPIKE, SCENE, None, last=True).scan
    assert not planned([150] * 20, SCENE, None, last=True).scan  # 0.3 of the keyframe
    assert planned([151] * 20, SCENE, None, last=True).scan


def test_a_group_without_a_look_before_it_is_scanned() -> None:
    assert planned(QUIET, None, SCENE).scan


def test_between_two_black_keyframes_a_group_is_scanned_where_much_moves_and_at_the_edge_of_black_always() -> None:
    assert not planned(QUIET, flat(18), flat(18)).scan
    assert planned(ONE_SPIKE, flat(18), flat(18)).scan
    assert planned([151] * 20, flat(18), flat(18)).scan
    assert planned(QUIET, flat(18), flat(19)).scan
    assert planned(QUIET, flat(19), flat(18)).scan
    assert not planned(QUIET, flat(19), flat(19)).scan


def test_without_cuts_only_long_groups_are_scanned() -> None:
    group = group_of(QUIET)  # 2.0 s

    def scanned(spacing: float, before: Look | None = SCENE) -> bool:
        return Evidence(spacing, False).plan(group, next_group(group), before, OTHER).scan

    assert (scanned(2.0), scanned(1.9), scanned(float("inf")), scanned(2.0, None)) == (False, True, False, True)
    assert not Evidence(1.0, False).plan(Group(0.0, continues=False), None, SCENE, None).scan


def test_a_spike_is_as_large_as_a_third_of_the_smaller_keyframe_and_far_above_the_usual() -> None:
    def spiked(size: int, usual: int = 100, next_size: int = KEYFRAME) -> bool:
        group = group_of([*[usual] * 9, size, *[usual] * 9])
        return Evidence(float("inf"), True).plan(group, next_group(group, next_size), SCENE, picture(1, 20)).scan

    assert (spiked(3500), spiked(3499)) == (True, False)
    assert (spiked(1750, next_size=5000), spiked(1749, next_size=5000)) == (True, False)
    assert (spiked(5100, usual=3000), spiked(5099, usual=3000)) == (True, False)


def test_a_keyframe_inside_a_group_is_a_spike_and_a_group_of_one_packet_has_none() -> None:
    assert planned(QUIET, SCENE, picture(1, 20), keyframes=(5,)).scan
    assert not planned([], SCENE, picture(1, 20)).scan


def test_the_usual_size_is_that_of_the_fourth_largest_or_of_the_largest_twelfth() -> None:
    assert _usual([1, 9, 8, 7, 6, 5]) == 6
    assert _usual([3, 2]) == 2
    assert _usual(list(range(60))) == 55
    assert _usual(list(range(48))) == 44


def test_all_pictures_are_decoded_around_spikes_and_around_the_next_keyframe() -> None:
    plan = planned([*[100] * 9, 5000, *[100] * 20], SCENE, picture(1, 20))

    assert sorted(plan.dense) == [0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 2.7, 2.8, 2.9, 3.0, 3.1, 3.2, 3.3, 3.4]
    assert plan.last == 1.4
    early = planned([5000, *[100] * 30], SCENE, picture(1, 20))
    assert sorted(early.dense)[:5] == [0.0, 0.1, 0.2, 0.3, 0.4]
    (last,) = {planned(ONE_SPIKE, SCENE, None, last=True)}
    assert sorted(last.dense) == [0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3]
    assert planned([*[100] * 19, 5000], SCENE, None, last=True).last == 2.0
    assert planned(QUIET, None, SCENE).last == 0.4


def test_a_packet_that_stands_out_a_little_between_keyframes_that_are_alike_is_looked_at_alone() -> None:
    def looked_at(sizes: list[int]) -> tuple[float, ...]:
        plan = planned(sizes, SCENE, SLIGHTLY)
        assert not plan.scan
        return plan.hints

    busy = [4000, 300] * 10
    assert looked_at([*busy, 5600, 300]) == (2.1,)
    assert looked_at([*busy, 5599, 300]) == ()
    assert looked_at([*busy, 5800, 300, 5700, 300, 5650, 300]) == (2.1, 2.3)  # the two largest
    assert looked_at([*QUIET, 4500]) == (2.1,)
    assert looked_at([*QUIET, 4499]) == ()
    assert looked_at([]) == ()


def test_an_onset_lies_after_the_first_four_packets_and_is_four_times_the_usual_before_it() -> None:
    moving = [6000, 6300, 5800, 6100, 7000, 6400, 6600, 7100, 6200, 6900]

    assert hints([1000] * 4 + [4500] + moving) == (0.5,)
    assert hints([1000] * 3 + [4500] + moving) == ()
    assert hints([1125] * 8 + [4500] + moving) == (0.9,)
    assert hints([1126] * 8 + [4500] + moving) == ()


EVIDENCE = Evidence(float("inf"), True)


def test_a_jump_is_a_sudden_change_to_another_scene() -> None:
    assert EVIDENCE.jump(SCENE, OTHER, usual=1.0)
    assert not EVIDENCE.jump(SCENE, SLIGHTLY, usual=0.0)  # a change below 8
    assert not Evidence(1.0, False).jump(SCENE, OTHER, usual=1.0)
    assert EVIDENCE.jump(flat(18), flat(19), usual=0.0)  # out of black
    assert EVIDENCE.jump(flat(19), flat(18), usual=0.0)
    assert not EVIDENCE.jump(flat(17), flat(18), usual=0.0)
    assert EVIDENCE.jump(SCENE, OTHER, usual=1000.0)  # another scene, however much moves
    assert EVIDENCE.jump(SCENE, picture(1, 40), usual=16.0)  # much, and 2.5 times the usual
    assert not EVIDENCE.jump(SCENE, picture(1, 40), usual=16.1)
    assert not EVIDENCE.jump(SCENE, picture(1, 20), usual=1.0)  # sudden, but the same scene
    assert EVIDENCE.jump(flat(100), flat(110), usual=4.0)  # nothing in common
    assert not EVIDENCE.jump(flat(100), flat(110), usual=4.1)


def test_scenes_are_alike_where_they_differ_little_or_correlate() -> None:
    assert EVIDENCE.alike(SCENE, picture(1, 35))
    assert not EVIDENCE.alike(SCENE, picture(1, 36))
    assert EVIDENCE.alike(flat(100), flat(107))
    assert not EVIDENCE.alike(flat(100), flat(108))


def test_a_picture_of_another_scene_differs_much_and_correlates_with_nothing() -> None:
    assert EVIDENCE.another(SCENE, OTHER)
    assert not EVIDENCE.another(SCENE, picture(1, 50))  # the same scene under another light
    assert EVIDENCE.another(flat(100), flat(136))
    assert not EVIDENCE.another(flat(100), flat(135))


def test_the_first_picture_of_a_scene_is_found_among_pictures_decoded_alone() -> None:
    def first(*orphans: Look, last: bool = False) -> int | None:
        return EVIDENCE.first_of_scene(SCENE, list(orphans), OTHER, last)

    def mixed(share: float) -> Look:
        luma = SCENE.luma + (OTHER.luma.astype(float) - SCENE.luma) * share
        return Look(0.0, luma.round().astype(np.uint8), SCENE.chroma)

    assert first(SCENE, OTHER, OTHER) == 1
    assert first(SCENE, SCENE, OTHER) == 2
    assert first(OTHER, SCENE) is None  # the suspect belongs to the scene before
    assert first(SCENE, mixed(0.45)) is None
    assert first(SCENE, mixed(0.55)) == -1  # neither has it arrived
    assert first(SCENE, mixed(0.68)) == 1
    assert first(SCENE, mixed(0.6), last=True) == -1
    assert first(OTHER, OTHER) == -1  # nothing changes between them
    assert first(SCENE, mixed(0.3), OTHER) == 2
    assert first(SCENE, mixed(0.4), OTHER) == -1  # between the two scenes
    assert first(SCENE, mixed(0.6), OTHER) == -1
    assert first(SCENE, mixed(0.7), OTHER) == 1


def test_a_scene_that_moves_until_its_keyframe_is_found_where_nothing_stands_out_after_it() -> None:
    whole = difference(SCENE, OTHER)

    def first(away: float, last: bool) -> int | None:
        suspect = Look(0.0, (OTHER.luma + round(away * whole)).astype(np.uint8), SCENE.chroma)
        assert difference(SCENE, suspect) >= 0.85 * whole
        return EVIDENCE.first_of_scene(SCENE, [SCENE, suspect], OTHER, last)

    assert (first(0.3, last=False), first(0.6, last=False)) == (1, -1)
    assert (first(0.6, last=True), first(0.75, last=True)) == (1, -1)
