"""Estimates whether a cut lies inside a group of pictures, from the pictures around it and the sizes of its packets.

Costs microseconds per group: nothing is decoded. It relies on two facts. If the scene changes inside the group, the
keyframes on both sides differ. And a hard cut costs bits: the first picture of the new scene cannot be predicted, so
its packet is nearly as large as a keyframe.
The numbers were set by hand on real clips; `python -m benchmarks sweep` varies them.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace

from interlink.media.look import Look, difference, middle_likeness
from interlink.media.packets import Group
from interlink.media.sparse import AROUND, SKIP, Plan

SUSPECTS = 4  # packets of a group that are decoded one by one
HINTS = 2  # the same, where the keyframes around the group are alike
ONSET = 4.0  # size of a packet over the usual large packet stored before it, where a new scene begins
SUSPECT_SIZE = 0.45  # least size over the next keyframe's: a smaller packet cannot hold its scene


@dataclass(frozen=True)
class Thresholds:
    """change, much: grey levels between two looks (0..765). alike: correlation of two looks.

    spike: size of a packet over the smaller of the keyframes around it. burst: over its group's usual large packet.
    """

    change: float = 8.0
    much: float = 36.0
    alike: float = 0.6
    spike: float = 0.35
    burst: float = 1.7
    hint: float = 1.4  # like spike, of a packet that is decoded alone where the keyframes are alike
    another: float = 0.3  # correlation below which two pictures show different scenes, even with much motion
    sudden: float = 2.5  # a change over the changes before it
    arrived: float = 0.35  # change from a cut's first picture to its scene's keyframe, over the change across the cut
    gone: float = (
        0.85  # the same, from the previous scene to the group's last suspect, however far that is from `after` …
    )
    moved: float = 0.65  # … up to this: the new scene moves until the next keyframe
    same: float = 0.35  # the same, between pictures of one of the two scenes
    parted: float = 0.5  # the same, between pictures of both scenes
    activity: float = (
        0.3  # bytes of a group's other packets over its keyframe's, where no two keyframes can be compared
    )
    dark: float = 18.5  # mean luma that separates black from pictures


class Evidence:
    """The planner of the sparse pass.

    spacing: the segmenter's. inf: it needs no further looks; otherwise groups longer than this are scanned.
    cuts: whether to search for cuts (otherwise only `spacing` counts).
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
        dark = (before.brightness <= t.dark, after.brightness <= t.dark)
        if dark == (True, True):  # it may hold two fades, or nothing
            return scan if spikes or _activity(group) > t.activity else SKIP
        if any(dark):
            return scan
        change = difference(before, after)
        if change < t.change:  # another scene and back is two spikes
            return scan if len(spikes) > 1 else _hinted(group, following, t.hint)
        if change >= t.much and following is not None:
            suspects = _suspects(group, following)
            calm = not suspects or _even(group, suspects[-1], t.burst)
            return replace(_scan(group, following, sorted({*spikes, *suspects})), suspects=suspects, calm=calm)
        return scan if spikes or self._unlike(before, after, change) else _hinted(group, following, t.hint)

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

    def another(self, before: Look, orphan: Look) -> bool:
        return difference(before, orphan) >= self._t.much and middle_likeness(before, orphan) < self._t.alike

    def first_of_scene(self, before: Look, orphans: list[Look], after: Look, last: bool) -> int | None:
        t, suspect = self._t, orphans[-1]
        whole = difference(before, after)
        gone, ahead = difference(suspect, before) / whole, difference(suspect, after) / whole
        if gone < t.parted:
            return None
        like = middle_likeness(suspect, after)
        arrived = ahead <= t.arrived and like >= t.alike
        if not arrived and not (last and gone >= t.gone and ahead <= t.moved and like >= t.another):
            return -1
        gap = difference(orphans[0], suspect)
        if gap < t.parted * whole:
            return -1
        old = [difference(orphan, orphans[0]) / gap for orphan in orphans]
        new = [difference(orphan, suspect) / gap for orphan in orphans]
        first = next(number for number, share in enumerate(new) if share <= t.same)
        clear = all(share >= t.parted for share in [*new[:first], *old[first:]])
        return first if clear and max(old[:first], default=1.0) <= t.same else -1

    def _unlike(self, a: Look, b: Look, change: float) -> bool:
        t = self._t
        return change >= t.much or (change >= t.change and middle_likeness(a, b) < t.alike)


def _spikes(group: Group, following: Group | None, spike: float, burst: float) -> list[float]:
    """Times of packets that may hold the first picture of another scene, and of keyframes inside the group.

    Such a packet is as large as a keyframe, and far larger than the usual large packets of its group.
    """
    sizes = [packet.size for packet in group.packets]
    if len(sizes) < 2:
        return []
    least = min(sizes[0], following.packets[0].size) if following is not None else sizes[0]
    bound = max(spike * least, burst * _usual(sizes[1:]))
    return [
        time
        for time, packet in zip(group.stamps[1:], group.packets[1:], strict=True)
        if packet.size >= bound or packet.is_keyframe
    ]


def _usual(sizes: list[int]) -> int:
    """The usual size of large packets (those that other pictures refer to), ignoring the largest twelfth."""
    return sorted(sizes)[-max(4, len(sizes) // 12) :][0]


def _even(group: Group, after: float, burst: float) -> bool:
    """Whether no packet shown after a time stands out from the others, as at the start of a dissolve or fade."""
    sizes = [packet.size for time, packet in zip(group.stamps, group.packets, strict=True) if time > after]
    return not sizes or max(sizes) < burst * _usual(sizes)


def _suspects(group: Group, following: Group) -> tuple[float, ...]:
    """Times of the few largest packets that could hold a whole picture of the following group's scene."""
    least = SUSPECT_SIZE * following.packets[0].size
    largest = sorted(range(1, len(group.packets)), key=lambda number: -group.packets[number].size)[:SUSPECTS]
    found = [group.stamps[number] for number in largest if group.packets[number].size >= least]
    return () if any(group.packets[number].is_keyframe for number in largest) else tuple(sorted(found))


def _hinted(group: Group, following: Group | None, hint: float) -> Plan:
    """A plan that scans only if one packet, decoded alone, shows another scene.

    The packet is one of the two largest if it stands out a little, or the first one far larger than all before it (a
    moving scene in a talk over slides).
    """
    sizes = [packet.size for packet in group.packets]
    if following is None or len(sizes) < 2:
        return SKIP
    least = SUSPECT_SIZE * min(sizes[0], following.packets[0].size)
    bound = max(hint * _usual(sizes[1:]), least)
    largest = sorted(range(1, len(sizes)), key=lambda number: -sizes[number])[:HINTS]
    found = {number for number in largest if sizes[number] >= bound}
    onset = next((number for number in range(1, len(sizes)) if sizes[number] >= least), None)
    if onset is not None and onset > AROUND and sizes[onset] >= ONSET * _usual(sizes[1:onset]):
        found.add(onset)
    hints = tuple(sorted(group.stamps[number] for number in found))
    return replace(_scan(group, following, list(hints)), scan=False, hints=hints) if hints else SKIP


def _scan(group: Group, following: Group | None, spikes: list[float]) -> Plan:
    times = group.times + (following.times[:AROUND] if following is not None else [])
    end = len(group.times)
    marks = [bisect_left(times, time) for time in spikes] + ([end] if following is not None else [])
    dense = frozenset(time for mark in marks for time in times[max(0, mark - AROUND) : mark + AROUND])
    last = max((bisect_left(times, time) for time in spikes), default=0)
    return Plan(True, dense, times[min(last + AROUND, len(times) - 1)] if times else group.start)


def _activity(group: Group) -> float:
    first: int = group.packets[0].size
    return (group.size - first) / max(first, 1)
