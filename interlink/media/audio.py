"""The default audio stream of a file as samples, in blocks with times: for speech recognition and for clip files.

Costs about one core-second per six minutes of sound, and memory for one block. Damage does not raise: it is counted and
replaced by silence, so that the index of a sample always gives its time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from interlink.media.decode import Restarts
from interlink.media.probe import Probe, StreamInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]
    Integers = NDArray[np.int16] | NDArray[np.int32]

RATE = 16_000  # samples a second
FULL_SCALE = 32768  # of 16-bit samples
GAP_SECONDS = 0.05  # larger jumps of time are followed; smaller ones count as rounding
LONGEST_GAP = 7200.0  # seconds; a larger jump of time counts as damage, a smaller one as silence
LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}  # by number of channels
WIDE = ("s32", "s32p")  # sample formats with more than 16 bits of lossless sound


def heard_stream(probe: Probe) -> StreamInfo | None:
    """The default audio stream with a decoder, else the first one; a commentary only if there is nothing else.

    None: no decodable sound.
    """
    streams = [stream for stream in probe.streams if stream.kind == "audio" and stream.codec]
    streams = [stream for stream in streams if not stream.commentary] or streams
    return next((stream for stream in streams if stream.default), streams[0] if streams else None)


class Sound:
    """The samples of one stream of an open container: integers of shape (samples, channels), at its own rate.

    rate, layout: None keep those of the first decoded frame. Samples have 16 bits, or 32 if the source has more.
    start: the container's time of the first sample, seconds; known from the first piece on.
    """

    def __init__(self, container: Any, stream: StreamInfo, rate: int | None = None, layout: str | None = None) -> None:
        self._container = container
        self._stream = container.streams[stream.index]
        self._stream.codec_context.thread_count = 1
        self.rate, self.layout = rate or 0, layout or ""
        self.form = "s16" if rate else ""  # sample format of the pieces
        self.start = 0.0
        self.count = 0  # samples so far
        self.errors = 0
        self.jumps = 0
        self.backwards = 0
        self.restarts = Restarts()
        self.stopped = ""

    @property
    def seconds(self) -> float:
        return self.count / self.rate if self.rate else 0.0

    def loss(self) -> str:
        """A message about sound that could not be decoded; empty if there is none. Call it after the last piece."""
        messages = []
        if self.errors:
            messages.append(f"{self.errors} packets of sound could not be decoded")
        if self.jumps:
            messages.append(f"{self.jumps} jumps in the time of the sound were ignored")
        if self.backwards:
            messages.append(f"{self.backwards} pieces of sound with decreasing times were left out")
        if self.restarts.at is not None:
            messages.append(self.restarts.loss())
        if self.stopped:
            messages.append(f"reading the sound stopped ({self.stopped})")
        return "; ".join(messages)

    def pieces(self) -> Iterator[Integers]:
        """Pieces of some samples each, with silence where time jumps forward."""
        for piece in self._pieces():
            self.count += len(piece)
            yield piece

    def _pieces(self) -> Iterator[Integers]:
        from av.error import FFmpegError

        resampler: Any = None
        expected = 0.0  # the container's time at which the next decoded frame should begin
        for frame in self._frames():
            time = float(frame.pts * frame.time_base) if frame.pts is not None and frame.time_base else None
            length = frame.samples / frame.sample_rate
            if resampler is None:
                self._learn(frame)
                resampler, self.start = self._resampler(), time or 0.0
                expected = self.start
            jump = 0.0 if time is None else time - expected
            if self._left_out(expected + jump, length, jump):
                continue
            if jump > LONGEST_GAP:
                self.jumps += 1
                expected += jump
            elif jump > GAP_SECONDS:
                yield from self._resampled(resampler, None)
                resampler = self._resampler()
                yield from self.silence(round(jump * self.rate))
                expected += jump
            expected += length
            frame.pts = None  # times are handled here; the resampler would fill gaps differently
            try:
                yield from self._resampled(resampler, frame)
            except (FFmpegError, ValueError):  # a frame of another format than those before
                yield from self._resampled(resampler, None)
                resampler = self._resampler()
                try:
                    yield from self._resampled(resampler, frame)
                except (FFmpegError, ValueError):
                    self.errors += 1
                    resampler = self._resampler()
        if resampler is not None:
            yield from self._resampled(resampler, None)

    def _left_out(self, time: float, length: float, jump: float) -> bool:
        """Whether there are samples of this time already."""
        out = self.restarts.leave_out(time, length) or (jump < -GAP_SECONDS and length <= -jump)
        self.backwards += out
        return out

    def _learn(self, frame: Any) -> None:
        """Takes what is not set from the first frame."""
        self.form = self.form or ("s32" if frame.format.name in WIDE else "s16")
        self.rate = self.rate or frame.sample_rate
        channels = frame.layout.nb_channels
        # Some files state the number of channels only.
        named = LAYOUTS.get(channels) if frame.layout.name.endswith("channels") else frame.layout.name
        self.channels = 1 if self.layout == "mono" else channels
        self.layout = self.layout or named or frame.layout.name

    def silence(self, samples: int) -> Iterator[Integers]:
        """So many samples of silence, in pieces of at most 30 seconds."""
        import numpy as np

        for first in range(0, samples, 30 * self.rate):
            shape = (min(samples - first, 30 * self.rate), self.channels)
            yield np.zeros(shape, np.int16) if self.form == "s16" else np.zeros(shape, np.int32)

    def _resampler(self) -> Any:
        """To integers: mixing channels then stays within full scale (floats are summed unscaled)."""
        from av.audio.resampler import AudioResampler

        return AudioResampler(format=self.form, layout=self.layout, rate=self.rate)

    def _resampled(self, resampler: Any, frame: Any) -> list[Integers]:
        pieces = [piece for piece in resampler.resample(frame) if piece.samples]
        return [piece.to_ndarray().reshape(piece.samples, -1) for piece in pieces]

    def _frames(self) -> Iterator[Any]:
        from av.error import EOFError as AvEOFError
        from av.error import FFmpegError

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                self.stopped, packet = str(error.strerror or error), None
            try:
                yield from self._stream.codec_context.decode(packet)
            except AvEOFError:
                return
            except FFmpegError:
                self.errors += 1
            if packet is None:
                return


class Audio(Sound):
    """Iterates over blocks of `block` samples at 16 kHz, mono, float32 in -1..1 (the last may be shorter)."""

    def __init__(self, container: Any, stream: StreamInfo, block: int = 30 * RATE) -> None:
        super().__init__(container, stream, RATE, "mono")
        self._block = block

    def __iter__(self) -> Iterator[Samples]:
        import numpy as np

        waiting: list[Samples] = []
        held = 0
        for piece in self.pieces():
            waiting.append(piece.reshape(-1).astype(np.float32) / np.float32(FULL_SCALE))
            held += len(piece)
            if held >= self._block:
                whole = np.concatenate(waiting)
                full = held // self._block * self._block
                for first in range(0, full, self._block):
                    yield whole[first : first + self._block]
                waiting, held = [whole[full:]], held - full
        if held:
            yield np.concatenate(waiting)


class Slices:
    """Parts of a stream's sound by time, from one decoding. Ask for them in order of time."""

    def __init__(self, sound: Sound) -> None:
        self.sound = sound
        self._pieces = sound.pieces()
        self._held: list[Integers] = []
        self._first = 0  # index of the first held sample
        self._end = 0  # index after the last
        self._more()  # so that the rate and the start are known

    @property
    def empty(self) -> bool:
        """Whether the stream has no sound that can be decoded."""
        return not self._end

    def between(self, start: float, end: float) -> Iterator[Integers]:
        """The samples from `start` to `end`, seconds in the container's clock, with silence where there are none.

        A part is the samples [round((start - s) * rate), round((end - s) * rate)) of the whole, where s is the time of
        its first sample, so that parts next to each other neither overlap nor leave anything out.
        """
        at, last = (round((time - self.sound.start) * self.sound.rate) for time in (start, end))
        if at < 0:  # before the sound begins
            yield from self.sound.silence(min(last, 0) - at)
            at = 0
        while at < last:
            self._drop(at)
            if self._held:
                piece = self._held[0][at - self._first : last - self._first]
                yield piece
                at += len(piece)
            elif not self._more():  # after it ends
                yield from self.sound.silence(last - at)
                return

    def _more(self) -> bool:
        piece = next(self._pieces, None)
        if piece is None:
            return False
        self._held.append(piece)
        self._end += len(piece)
        return True

    def _drop(self, before: int) -> None:
        """Releases the held pieces that end at or before the sample `before`."""
        while self._held and self._first + len(self._held[0]) <= before:
            self._first += len(self._held.pop(0))
