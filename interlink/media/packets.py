"""The packets of the watched stream, read once and handed out in groups that begin with a keyframe.

Nothing is decoded: 4 µs a packet. Memory is one group and the one after it, of at most MAX_BYTES or MAX_SECONDS each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from interlink.media.decode import Unusable, loss_of_length
from interlink.media.probe import Probe

MIN_SECONDS = 0.45  # keyframes closer than this to the group's first join it: all-intra files are thinned by time
MAX_SECONDS = 10.0  # a longer group is handed out in pieces; those after the first `continue` it
MAX_PACKETS = 1200
MAX_BYTES = 24 * 2**20


@dataclass
class Group:
    """Packets in decoding order. Times are seconds of presentation to the microsecond.

    start: time of the first packet. times: of the pictures from `start` up to the next group's start, sorted; the
    leading pictures of an open group (stored after its keyframe, shown before it) count to the group before.
    continues: begins with no keyframe, so that decoding must come from the group before.
    """

    start: float
    continues: bool
    packets: list[Any] = field(default_factory=list)
    stamps: list[float] = field(default_factory=list)  # of each packet
    times: list[float] = field(default_factory=list)
    size: int = 0  # bytes


class Packets:
    """Iterates over the groups of an open container's watched stream; then `end`, `count` and `loss()` are known.

    Raises Unusable where packets lack times, or times repeat or go back further than reordering explains.
    """

    def __init__(self, container: Any, probe: Probe) -> None:
        assert probe.video is not None
        self.stream = container.streams[probe.video.index]
        self._container, self._probe = container, probe
        self._alone = probe.video.duration is not None
        self._visible = _visible_of(probe.video.codec)
        self._read_until = 0.0
        self._last_time = -1e18
        self.stopped = ""
        self.end = 0.0  # time at which the last picture is over
        self.count = 0

    def __iter__(self) -> Iterator[Group]:
        """Groups in order; each is complete, with its leading pictures moved to the one before it."""
        from av.error import FFmpegError

        rate = self.stream.average_rate
        self._step = 1 / float(rate) if rate else 0.04
        ticks, second = self.stream.time_base.numerator, self.stream.time_base.denominator
        before: Group | None = None
        group: Group | None = None
        top = -1e18
        packets = self._packets()
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                self.stopped = str(error.strerror or error)
                packet = None
            if packet is None:
                break
            pts = packet.pts
            if pts is None:
                raise Unusable("a packet without a presentation time")
            time = round(pts * ticks / second, 6)
            if group is None or self._begins(group, packet, time, top):
                if before is not None:
                    yield self._closed(before, group)
                if group is None and not packet.is_keyframe:
                    raise Unusable("the stream begins without a keyframe")
                before, group = group, Group(time, continues=not packet.is_keyframe)
            top = max(top, time)
            group.packets.append(packet)
            group.stamps.append(time)
            group.size += packet.size
            if not packet.is_discard and self._visible(packet):
                group.times.append(time)
                self.count += 1
                length = packet.duration * ticks / second if packet.duration else self._step
                self.end = max(self.end, round(time + length, 6))
        if before is not None:
            yield self._closed(before, group)
        if group is not None:
            yield self._closed(group, None)

    def loss(self) -> str:
        """What could not be read, for people; empty when all was."""
        return loss_of_length(self._probe, max(self.end, self._read_until), [], self.stopped)

    def _begins(self, group: Group, packet: Any, time: float, top: float) -> bool:
        long = time - group.start
        if packet.is_keyframe:
            return long >= MIN_SECONDS and time > top
        full = long > MAX_SECONDS or len(group.packets) >= MAX_PACKETS or group.size > MAX_BYTES
        return full and time > top  # never between a picture and those that are shown before it

    def _closed(self, group: Group, following: Group | None) -> Group:
        """Moves leading pictures of `following` here, and checks that times only go forward."""
        if following is not None:
            leading = [time for time in following.times if time < following.start]
            if leading:
                following.times = [time for time in following.times if time >= following.start]
                group.times += leading
        group.times.sort()
        for time in group.times:
            if time <= self._last_time:
                raise Unusable("presentation times repeat or go back")
            self._last_time = time
        return group

    def _packets(self) -> Iterator[Any]:
        """Packets of the watched stream; of the others too where only the container states how long it is."""
        alone, index = self._alone, self.stream.index
        for packet in self._container.demux(self.stream) if alone else self._container.demux():
            if not alone and packet.pts is not None and packet.time_base is not None:
                until = (packet.pts + (packet.duration or 0)) * packet.time_base
                self._read_until = max(self._read_until, float(until))
            if packet.stream_index == index and packet.size:
                yield packet


def _visible_of(codec: str) -> Any:
    """Whether a packet holds a picture that is shown: VP8 keeps its alternate references in packets of their own."""
    if codec == "vp8":
        return lambda packet: bool(memoryview(packet)[0] & 0x10)
    return lambda packet: True
