"""The packets of the video stream, read once and returned in groups that begin with a keyframe.

Decodes nothing; costs 4 µs per packet. Memory: two groups, of at most MAX_BYTES or MAX_SECONDS each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from interlink.media.decode import Unusable, loss_of_length
from interlink.media.probe import Probe

MIN_SECONDS = 0.45  # keyframes closer than this to the group's first one join it, which thins all-intra files
MAX_SECONDS = 10.0  # a longer group is split; the pieces after the first have `continues`
MAX_PACKETS = 1200
MAX_BYTES = 24 * 2**20


@dataclass
class Group:
    """Packets in decoding order. Times are presentation times in seconds, rounded to microseconds.

    start: time of the first packet. times: of the pictures from `start` up to the next group's start, sorted; the
    leading pictures of an open group (stored after its keyframe, shown before it) belong to the previous group.
    continues: it does not begin with a keyframe, so decoding must start in the previous group.
    """

    start: float
    continues: bool
    packets: list[Any] = field(default_factory=list)
    stamps: list[float] = field(default_factory=list)  # of each packet
    times: list[float] = field(default_factory=list)
    size: int = 0  # bytes


class Packets:
    """Iterates over the groups of an open container's video stream; then `end`, `count` and `loss()` are known.

    Raises Unusable where packets have no times, or times repeat or decrease more than reordering explains.
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
        self.end = 0.0  # end time of the last picture
        self._shown = -1e18  # time of the last picture
        self.count = 0

    def __iter__(self) -> Iterator[Group]:
        """Complete groups in order, with leading pictures moved to the previous group."""
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
                if time >= self._shown:  # not the longest: mp4 states lengths in decoding order
                    self._shown, self.end = time, round(time + length, 6)
        if before is not None:
            yield self._closed(before, group)
        if group is not None:
            yield self._closed(group, None)

    def loss(self) -> str:
        """A message about what could not be read; empty if nothing."""
        return loss_of_length(self._probe, max(self.end, self._read_until), [], self.stopped)

    def _begins(self, group: Group, packet: Any, time: float, top: float) -> bool:
        long = time - group.start
        if packet.is_keyframe:
            return long >= MIN_SECONDS and time > top
        full = long > MAX_SECONDS or len(group.packets) >= MAX_PACKETS or group.size > MAX_BYTES
        return full and time > top  # never between a picture and those shown before it

    def _closed(self, group: Group, following: Group | None) -> Group:
        """Moves leading pictures of `following` to `group`, and checks that times increase."""
        if following is not None:
            leading = [time for time in following.times if time < following.start]
            if leading:
                following.times = [time for time in following.times if time >= following.start]
                group.times += leading
        group.times.sort()
        for time in group.times:
            if time <= self._last_time:
                raise Unusable("presentation times repeat or decrease")
            self._last_time = time
        return group

    def _packets(self) -> Iterator[Any]:
        """Packets of the video stream; also of the others if only the container states a duration."""
        alone, index = self._alone, self.stream.index
        for packet in self._container.demux(self.stream) if alone else self._container.demux():
            if not alone and packet.pts is not None and packet.time_base is not None:
                until = (packet.pts + (packet.duration or 0)) * packet.time_base
                self._read_until = max(self._read_until, float(until))
            if packet.stream_index == index and packet.size:
                yield packet


def _visible_of(codec: str) -> Any:
    """A test whether a packet has a displayed picture: VP8 has separate packets for alternate references."""
    if codec == "vp8":
        return lambda packet: bool(memoryview(packet)[0] & 0x10)
    return lambda packet: True
