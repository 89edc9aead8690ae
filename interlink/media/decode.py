"""Every picture of one video stream in order, with its presentation time, for as far as the file can be read.

One thread, one pass, one picture in memory. Damage does not raise: pictures that cannot be decoded are counted, and
decoding continues.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from interlink.media.decoder import PictureDecoder
from interlink.media.probe import Probe

MISSING_SECONDS = 1.0  # a file that ends this much (or MISSING_SHARE) before its stated end is truncated
MISSING_SHARE = 0.02
RESTART = 1.0  # seconds; a larger step back in time is a clock that starts again


class Unusable(Exception):
    """Packet times and pictures do not match: the file needs a full decode."""


@dataclass(frozen=True)
class Decoded:
    """A picture and its presentation time in the container's clock, seconds rounded to microseconds."""

    time: float
    frame: Any
    damaged: bool  # the decoder reports that it concealed lost data


class Restarts:
    """Pieces of a stream after its clock has restarted: their times belong to earlier pieces.

    They are left out until a time jumps forward past all others, as after a single wrong time.
    """

    def __init__(self) -> None:
        self._raw: float | None = None
        self._end = 0.0
        self._behind = False
        self.at: float | None = None  # where the clock restarts first, in the clock before that
        self.seconds = 0.0  # left out

    def leave_out(self, time: float, length: float) -> bool:
        """Whether to leave out the next piece of the stream, in decoding order."""
        raw, self._raw = self._raw, time
        if raw is not None and time < raw - RESTART:
            self._behind = True
            self.at = self._end if self.at is None else self.at
        elif raw is not None and time > raw + RESTART and time >= self._end:
            self._behind = False
        if self._behind:
            self.seconds += length
        else:
            self._end = max(self._end, time + length)
        return self._behind

    def loss(self) -> str:
        if self.at is None:
            return ""
        return f"the clock restarts at {self.at:.2f} s: the {self.seconds:.1f} s after it were left out"


class Frames:
    """Iterates over the pictures of the video stream of an open container; afterwards the counters are final.

    Times are pts x time_base. A picture without pts takes its dts, else the time before it plus one step; one with a
    time that is not after the previous time is left out and counted in `backwards`.
    """

    def __init__(self, container: Any, probe: Probe) -> None:
        assert probe.video is not None
        self._container = container
        self._probe = probe
        self._stream = container.streams[probe.video.index]
        self._decoder = PictureDecoder(self._stream)
        self.treatment = self._decoder.treatment
        self.restarts = Restarts()
        self._alone = probe.video.duration is not None  # whether the stream itself states its duration
        self._last: float | None = None
        self._exact = Fraction(0)  # exact time of the last picture
        rate = self._stream.average_rate
        self._step = 1 / Fraction(rate) if rate else Fraction(1, 25)
        self._read_until = 0.0  # seconds, over all streams that were read
        self.errors = 0
        self.damaged = 0
        self.backwards = 0
        self.stopped = ""  # why reading ended before the end of the file
        self.end = 0.0  # presentation time of the end of the last picture

    def __iter__(self) -> Iterator[Decoded]:
        for frame in self._pictures():
            time = self._time(frame)
            step = frame.duration * frame.time_base if frame.duration and frame.time_base else self._step
            if self.restarts.leave_out(time, float(step)) or (self._last is not None and time <= self._last):
                self.backwards += 1
                continue
            self._step = step
            self._last = time
            self.end = round(float(self._exact + self._step), 6)
            damaged = bool(frame.is_corrupt)
            self.damaged += damaged
            yield Decoded(time, frame, damaged)

    def loss(self) -> str:
        """A message about what could not be read; empty if nothing. Call it after the last picture."""
        messages = []
        if self.errors:
            messages.append(f"{self.errors} packets could not be decoded")
        if self.damaged:
            messages.append(f"{self.damaged} pictures are damaged")
        if self.backwards:
            messages.append(f"{self.backwards} pictures with decreasing times were left out")
        if self.restarts.at is not None:
            messages.append(self.restarts.loss())
        return loss_of_length(self._probe, max(self.end, self._read_until), messages, self.stopped)

    def _pictures(self) -> Iterator[Any]:
        from av.error import EOFError as AvEOFError
        from av.error import FFmpegError

        packets = self._packets()
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                self.stopped = str(error.strerror or error)
                packet = None
            try:
                yield from self._decoder.decode(packet)
            except AvEOFError:
                return  # the decoder was already flushed
            except FFmpegError:
                self.errors += 1
            if packet is None:
                return

    def _packets(self) -> Iterator[Any]:
        """Packets of the video stream.

        If only the container states a duration, the other streams are read too (not decoded): the file is complete if
        any of them reaches its end.
        """
        for packet in self._container.demux(self._stream) if self._alone else self._container.demux():
            if packet.pts is not None and packet.time_base is not None and not self._alone:
                self._read_until = max(
                    self._read_until, float((packet.pts + (packet.duration or 0)) * packet.time_base)
                )
            if packet.stream_index == self._stream.index and packet.size:
                yield packet

    def _time(self, frame: Any) -> float:
        ticks = frame.pts if frame.pts is not None else frame.dts
        if ticks is not None and frame.time_base is not None:
            self._exact = ticks * frame.time_base
        elif self._last is not None:
            self._exact += self._step
        return round(float(self._exact), 6)


def loss_of_length(probe: Probe, read: float, messages: list[str], stopped: str) -> str:
    """One message from `messages`, why reading `stopped`, and whether `read` seconds are less than stated."""
    stated, video = probe.stated, probe.video
    if video is not None and video.duration is not None:
        read -= video.start or 0.0  # a stream states its length, a container (here Matroska) its end time
    words = list(messages)
    if stated is not None and stated - read > max(MISSING_SECONDS, MISSING_SHARE * stated):
        words.insert(0, f"{read:.1f} s of the stated {stated:.1f} s could be read")
    if stopped:
        words.append(f"reading stopped ({stopped})")
    return f"{probe.name}: {'; '.join(words)}" if words else ""
