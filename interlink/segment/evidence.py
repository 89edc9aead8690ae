"""Whether a cut may lie inside a group of pictures, told from the pictures around it and the sizes of its packets.

Costs microseconds a group: nothing is decoded for it. Two facts carry it. A scene that is replaced inside the group
leaves the keyframes on both sides unlike each other. And a hard cut must be paid for in bits: the first picture that
the decoder sees of the new scene cannot be predicted, so its packet comes near a keyframe's size.
The numbers were set by hand on real clips; `python -m benchmarks sweep` varies them.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace

from interlink.media.look import Look, difference, middle_likeness
from interlink.media.packets import Group
from interlink.media.sparse import AROUND, SKIP, Plan

SUSPECTS = 4  # packets of a group that are tried alone
SUSPECT_SIZE = 0.45  # over the next keyframe's, at least: less cannot hold its scene


@dataclass(frozen=True)
class Thresholds:
    """change, much: grey levels between two looks (0..765). alike: correlation of two looks.

    spike: size of a packet over the smaller of the keyframes around it. burst: over the group's usual large packet.
    """

    change: float = 8.0
    much: float = 36.0
    alike: float = 0.6
    spike: float = 0.35
    burst: float = 1.7
    another: float = 0.3  # correlation below which two pictures show different scenes, however much moves
    sudden: float = 2.5  # a change over the ones before it
    arrived: float = 0.35  # change from a cut's first picture to its scene's keyframe over the change across the cut
    same: float = 0.12  # likewise, from picture to picture of the scene that begins
    parted: float = 0.5  # likewise, from a picture of the one scene to the other
    activity: float = 0.3  # bytes of a last group's other packets over its keyframe's
    dark: float = 18.5  # mean luma that parts black from pictures


class Evidence:
    """The planner of the sparse pass.

    spacing: of the segmenter. inf: it wants no more looks than there are; else groups longer than this are scanned.
    cuts: whether cuts are looked for (otherwise only `spacing` counts).
    """

    def __init__(self, spacing: float, cuts: bool, thresholds: Thresholds | None = None) -> None:
        self._spacing, self._cuts = spacing, cuts
        self._t = thresholds or Thresholds()

    def plan(self, group: Group, following: Group | None, before: Look | None, after: Look | None) -> Plan:
        if not self._cuts:
            long = group.times and group.times[-1] - group.start > self._spacing
            return Plan(scan=True) if long or before is None else SKIP
        t = self._t
        spikes = _spikes(group, following, t.spike, t.burst)
        scan = _scan(group, following, spikes)
        if before is None:
            return scan
        if after is None:  # the last group: nothing to compare with
            return scan if spikes or _activity(group) > t.activity else SKIP
        if (before.brightness <= t.dark) != (after.brightness <= t.dark):
            return scan
        change = difference(before, after)
        if change < t.change:  # another scene and back again is two spikes
            return scan if len(spikes) > 1 else SKIP
        if change >= t.much and following is not None:
            return replace(scan, suspects=_suspects(group, following))
        return scan if spikes or self._unlike(before, after, change) else SKIP

    def jump(self, before: Look, after: Look, usual: float) -> bool:
        t = self._t
        if not self._cuts:
            return False
        if (before.brightness <= t.dark) != (after.brightness <= t.dark):
            return True
        change = difference(before, after)
        if change < t.change or (change < t.much and change < t.sudden * usual):
            return False
        like = middle_likeness(before, after)
        return like < t.another or (change >= t.sudden * usual and (change >= t.much or like < t.alike))

    def alike(self, a: Look, b: Look) -> bool:
        return not self._unlike(a, b, difference(a, b))

    def first_of_scene(self, before: Look, orphans: list[Look], after: Look) -> int | None:
        t, suspect = self._t, orphans[-1]
        whole = difference(before, after)
        if difference(suspect, before) < t.parted * whole:
            return None
        if difference(suspect, after) > t.arrived * whole or middle_likeness(suspect, after) < t.alike:
            return -1
        first = len(orphans) - 1
        while first and difference(orphans[first - 1], suspect) <= t.same * whole:
            first -= 1
        if any(difference(orphan, suspect) < t.parted * whole for orphan in orphans[:first]):
            return -1  # neither the one scene nor the other
        return first

    def _unlike(self, a: Look, b: Look, change: float) -> bool:
        t = self._t
        return change >= t.much or (change >= t.change and middle_likeness(a, b) < t.alike)


def _spikes(group: Group, following: Group | None, spike: float, burst: float) -> list[float]:
    """Times of the packets that may hold the first picture of another scene: as large as a keyframe would be, and far
    larger than the large ones of their group as a rule are; and of keyframes inside the group."""
    sizes = [packet.size for packet in group.packets]
    if len(sizes) < 2:
        return []
    least = min(sizes[0], following.packets[0].size) if following is not None else sizes[0]
    # Of the large packets (those that other pictures refer to) a usual one: the largest twelfth are left aside.
    usual = sorted(sizes[1:])[-max(4, len(sizes) // 12) :][0]
    bound = max(spike * least, burst * usual)
    return [
        time
        for time, packet in zip(group.stamps[1:], group.packets[1:], strict=True)
        if packet.size >= bound or packet.is_keyframe
    ]


def _suspects(group: Group, following: Group) -> tuple[float, ...]:
    """Times of the few largest packets that could hold a picture of the following group's scene whole."""
    least = SUSPECT_SIZE * following.packets[0].size
    largest = sorted(range(1, len(group.packets)), key=lambda number: -group.packets[number].size)[:SUSPECTS]
    found = [group.stamps[number] for number in largest if group.packets[number].size >= least]
    return () if any(group.packets[number].is_keyframe for number in largest) else tuple(sorted(found))


def _scan(group: Group, following: Group | None, spikes: list[float]) -> Plan:
    times = group.times + (following.times[:AROUND] if following is not None else [])
    end = len(group.times)
    marks = [bisect_left(times, time) for time in spikes] + ([end] if following is not None else [])
    dense = frozenset(time for mark in marks for time in times[max(0, mark - AROUND) : mark + AROUND])
    last = max((bisect_left(times, time) for time in spikes), default=None)
    return Plan(True, dense, float("inf") if last is None else times[min(last + AROUND, len(times) - 1)])


def _activity(group: Group) -> float:
    first: int = group.packets[0].size
    return (group.size - first) / max(first, 1)
