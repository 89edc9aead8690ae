"""Sparse decoding: one pass over a video that decodes keyframes, and inside a group of pictures only what a plan needs.

Every picture is bit-identical to that of a full decode: decoding starts at a keyframe and goes forward, and skips only
groups, and pictures that no other picture refers to. Memory: two groups of packets, one picture.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Protocol

from interlink.media.decode import Decoded, Unusable
from interlink.media.decoder import PictureDecoder
from interlink.media.look import Look, Looker, difference
from interlink.media.packets import Group, Packets

AROUND = 4  # pictures decoded on each side of a suspected cut
ARRIVED = 8  # number of looks that must show the next keyframe's scene
NEARING = 0.9  # least change from the last of them to the keyframe, over that from the first; less means a transition
TRIES = 3  # restarts of a group before all of it is decoded


@dataclass(frozen=True)
class Plan:
    """What to decode of a group: only its keyframe, or reference pictures and, at `dense` times, all of them.

    last: once pictures up to this time are seen and some look like the next keyframe, the rest can be skipped.
    suspects: times of pictures that may begin another scene, in order; if one of them, decoded alone, shows that it
    does, no scan is needed. calm: no packet stands out after the last of them.
    hints: times of pictures that cause a scan if one of them, decoded alone, shows another scene than the keyframe.
    """

    scan: bool
    dense: frozenset[float] = frozenset()
    last: float = float("inf")
    suspects: tuple[float, ...] = ()
    calm: bool = False
    hints: tuple[float, ...] = ()


SKIP = Plan(scan=False)

Seen = tuple[Decoded, Look]


class Planner(Protocol):
    """Decides which pictures of a video to decode."""

    def plan(self, group: Group, following: Group | None, before: Look | None, after: Look | None) -> Plan:
        """The plan of a group. before, after: looks at its first picture and at the next group's first, if any."""

    def jump(self, before: Look, after: Look, usual: float) -> bool:
        """Whether the pictures skipped between these two must be decoded. usual: the largest previous change."""

    def alike(self, a: Look, b: Look) -> bool:
        """Whether the two show the same scene, so that no cut lies between them."""

    def another(self, before: Look, orphan: Look) -> bool:
        """Whether a picture, decoded with only the keyframe of `before`, shows another scene."""

    def first_of_scene(self, before: Look, orphans: list[Look], after: Look, last: bool) -> int | None:
        """The index of the first of `orphans`, in order of time, in the scene of `after`. None: all belong to the scene
        of `before`; -1: unknown.

        They were decoded without their reference pictures, so only new content in them is right. The last one is the
        suspect (`last`: no packet stands out after it in the group); the first was stored before it, the others after.
        """


class Decoder:
    """The stream's decoder, on one thread. Raises Unusable for any error or damage: a full decode then handles it."""

    def __init__(self, stream: Any) -> None:
        self.pictures = PictureDecoder(stream)
        self._context = self.pictures.context
        self._base = stream.time_base

    def first(self, group: Group) -> Decoded | None:
        """The group's first picture, a keyframe; None if it is not displayed (an edit list skips it)."""
        found = list(self.run([(group.packets[0], False)]))
        if not found:
            if group.packets[0].is_discard:
                return None
            raise Unusable("a keyframe gives no picture")
        if len(found) > 1 or found[0].time != group.start:
            raise Unusable("a keyframe gives a picture of another time")
        return found[0]

    def run(self, packets: Iterator[tuple[Any, bool]] | list[tuple[Any, bool]]) -> Iterator[Decoded]:
        """Pictures of (packet, whether to skip it if no picture refers to it), starting at a keyframe."""
        from av.error import EOFError as AvEOFError
        from av.error import FFmpegError

        context, lenient = self._context, None
        context.flush_buffers()
        try:
            for packet, leave in packets:
                if leave is not lenient:
                    context.skip_frame = "NONREF" if leave else "DEFAULT"
                    lenient = leave
                for frame in self.pictures.decode(packet):
                    yield self._decoded(frame)
            for frame in self.pictures.decode(None):
                yield self._decoded(frame)
        except AvEOFError:
            return
        except FFmpegError as error:
            raise Unusable(f"a packet cannot be decoded ({error.strerror})") from error

    def orphans(self, packets: list[Any]) -> list[Decoded]:
        """Pictures of packets with missing reference pictures, as far as the decoder returns any.

        The decoder uses its latest picture as a reference: wrong, but sufficient to see new content.
        """
        from av.codec.context import Flags
        from av.error import FFmpegError

        context = self._context
        context.flush_buffers()
        context.skip_frame = "DEFAULT"
        context.flags |= Flags.output_corrupt
        try:
            frames = [frame for packet in [*packets, None] for frame in self.pictures.decode(packet)]
        except FFmpegError:
            return []
        finally:
            context.flags &= ~Flags.output_corrupt
        base = self._base
        return [
            Decoded(round(frame.pts * base.numerator / base.denominator, 6), frame, True)
            for frame in frames
            if frame.pts is not None
        ]

    def _decoded(self, frame: Any) -> Decoded:
        if frame.pts is None or frame.is_corrupt:
            raise Unusable("a damaged picture")
        return Decoded(round(frame.pts * self._base.numerator / self._base.denominator, 6), frame, False)


class Sparse:
    """Iterates over (picture, look) in order of time. look.follows: no picture was skipped before it.

    times: presentation times of all pictures up to the latest one returned; the caller removes used ones.
    """

    def __init__(self, packets: Packets, looker: Looker, planner: Planner) -> None:
        self._groups = iter(packets)
        self._looker, self._planner = looker, planner
        self._decoder = Decoder(packets.stream)
        self.treatment = self._decoder.pictures.treatment
        self._next: Group | None = None
        self._last: Seen | None = None  # the latest one returned
        self._tail = self._latest = -1e18  # times of the last pictures before the current group, and of it
        self._cut: float | None = None  # a cut before the next returned picture
        self._ahead: list[Seen] = []  # pictures after a group's first that were decoded with the previous group
        self.times: deque[float] = deque()
        self.decoded = 0

    def __iter__(self) -> Iterator[Seen]:
        self._next = next(self._groups, None)
        first = self._first(self._next)
        while self._next is not None:
            group = self._take()
            upcoming = None if self._continued() else self._first(self._next)
            ahead, self._ahead = self._ahead, []
            plan = self._planner.plan(group, self._next, first[1] if first else None, upcoming[1] if upcoming else None)
            seen = ahead[-1][0].time if ahead else group.start
            cut = self._probe(group, plan, seen, first, upcoming)
            if cut is not None and first is not None and upcoming is not None:
                yield from self._unscanned(first, ahead)
                self._cut = cut
            elif (
                plan.scan
                or self._hinted(group, plan.hints, first)
                or self._continued()
                or (first is None and group.times)
            ):
                yield from self._scan(group, plan, upcoming)
                upcoming = upcoming or self._first(self._next)
            elif first is not None:
                yield from self._unscanned(first, ahead)
            self._tail = self._latest
            first = upcoming

    def _take(self) -> Group:
        group = self._next
        assert group is not None
        self._next = next(self._groups, None)
        self.times.extend(group.times)
        self._latest = group.times[-1] if group.times else self._latest
        return group

    def _continued(self) -> bool:
        return self._next is not None and self._next.continues

    def _first(self, group: Group | None) -> Seen | None:
        picture = None if group is None else self._decoder.first(group)
        if picture is None:
            return None
        self.decoded += 1
        return picture, self._looker.look(picture.time, picture.frame)

    def _hand(self, picture: Decoded, look: Look, follows: bool) -> Seen:
        cut, self._cut = self._cut, None
        if look.follows is not follows or cut is not None:
            look = replace(look, follows=follows, cut=cut)
        self._last = picture, look
        return self._last

    def _unscanned(self, first: Seen, ahead: list[Seen]) -> Iterator[Seen]:
        yield self._hand(first[0], first[1], self._last is None or self._last[0].time == self._tail)
        for picture, look in ahead:
            yield self._hand(picture, look, True)

    def _probe(self, group: Group, plan: Plan, seen: float, first: Seen | None, upcoming: Seen | None) -> float | None:
        """The time of the group's only cut, or None if unknown.

        It is known if a suspect picture, decoded alone, belongs to the next group's scene, and no earlier one begins
        another scene.
        """
        if first is None or upcoming is None:
            return None
        for suspect in plan.suspects:
            at = group.stamps.index(suspect)
            # Pictures shown before the suspect but stored after it refer to it, and to the latest one stored before it.
            # The missing parts of that one look like the keyframe, that is, like the previous scene.
            late = [number for number in range(at + 1, len(group.packets)) if group.stamps[number] < suspect]
            anchor = max(range(at), key=group.stamps.__getitem__)
            numbers = [*sorted({0, anchor}), at, *late]
            found = {picture.time: picture for picture in self._decoder.orphans([group.packets[n] for n in numbers])}
            times = sorted(group.stamps[number] for number in [anchor, at, *late])
            if suspect not in found or times[0] not in found:  # the decoder may not return some of the others
                return None
            kept = [time for time in times if time in found]
            looks = [self._looker.look(time, found[time].frame) for time in kept]
            last = plan.calm and suspect == plan.suspects[-1]
            which = self._planner.first_of_scene(first[1], looks, upcoming[1], last)
            if which is None:
                continue
            if which < 1 or kept[which] <= seen or times[times.index(kept[which]) - 1] != kept[which - 1]:
                return None
            return kept[which]
        return None

    def _hinted(self, group: Group, hints: tuple[float, ...], first: Seen | None) -> bool:
        for hint in hints if first is not None else ():
            at = group.stamps.index(hint)
            found = self._decoder.orphans([group.packets[0], group.packets[at]])
            if any(
                first is not None and self._planner.another(first[1], self._looker.look(picture.time, picture.frame))
                for picture in found
                if picture.time == hint
            ):
                return True
        return False

    def _scan(self, group: Group, plan: Plan, upcoming: Seen | None) -> Iterator[Seen]:
        """The pictures of a group and of those that continue it, by the plan; afterwards `_ahead` may hold more.

        A jump between two pictures with skipped ones between them restarts the group and decodes those.
        """
        dense = {*plan.dense, *group.times[:1]}  # the first, even where an edit list hides the keyframe before it
        everything = self._continued()
        changes: deque[float] = deque([0.0], maxlen=3)
        rest: deque[float] = deque(maxlen=ARRIVED)  # changes from the latest looks to the next keyframe
        for attempt in count(1):
            left: set[float] = set()  # times of pictures that may have been skipped
            again = False
            for picture in self._decoder.run(self._feed(group, dense, everything or attempt > TRIES, left)):
                self.decoded += 1
                time, last = picture.time, self._last
                if time < group.start or (last is not None and time <= last[0].time):
                    continue
                look = self._looker.look(time, picture.frame)
                following = self._next
                if following is not None and not following.continues and time >= following.start:
                    if time > following.start:
                        self._ahead.append((picture, look))
                    continue
                between = [] if last is None or not left else _between(group.times, last[0].time, time)
                follows = left.isdisjoint(between) if time > group.start else last is None or last[0].time == self._tail
                if last is not None:
                    if not follows and between and self._planner.jump(last[1], look, max(changes)):
                        dense.update(_between(group.times, last[0].time, time, AROUND))
                        again = True
                        break
                    changes.append(difference(last[1], look))
                yield self._hand(picture, look, follows)
                if time >= plan.last and upcoming is not None and self._arrived(look, upcoming[1], rest):
                    return
            if not again:
                return
            self._ahead = []

    def _arrived(self, look: Look, after: Look, rest: deque[float]) -> bool:
        """Whether this look and some before it show the scene of the next keyframe, without further approach."""
        if not self._planner.alike(look, after):
            rest.clear()
            return False
        rest.append(difference(look, after))
        return len(rest) == ARRIVED and rest[-1] > NEARING * rest[0] - 1

    def _feed(self, group: Group, dense: set[float], everything: bool, left: set[float]) -> Iterator[tuple[Any, bool]]:
        """Packets for the decoder, in order, with whether each may be skipped (its time is then added to `left`)."""
        while True:
            for packet, time in zip(group.packets, group.stamps, strict=True):
                leave = not everything and time not in dense
                if leave:
                    left.add(time)
                yield packet, leave
            if not self._continued():
                break
            group = self._take()
        following = self._next
        if following is None:
            return
        wanted = set(following.times[:AROUND]) | {time for time in following.stamps if time < following.start}
        for packet, time in zip(following.packets, following.stamps, strict=True):
            if not wanted:
                return
            wanted.discard(time)
            yield packet, False


def _between(times: list[float], after: float, before: float, more: int = 0) -> list[float]:
    """Those of the sorted `times` between two times, and `more` on each side."""
    return times[max(0, bisect_right(times, after) - more) : bisect_left(times, before) + more]
