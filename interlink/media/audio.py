"""The default audio stream of a file as 16 kHz mono samples, in blocks with times.

Costs about one core-second per six minutes of sound, and memory for one block. Damage does not raise: it is counted and
replaced by silence, so that the index of a sample always gives its time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from interlink.media.probe import Probe, StreamInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

RATE = 16_000  # samples a second
FULL_SCALE = 32768  # of 16-bit samples
GAP_SECONDS = 0.05  # larger jumps of time are followed; smaller ones count as rounding
LONGEST_GAP = 600.0  # seconds; a larger jump of time counts as damage, a smaller one as silence


def heard_stream(probe: Probe) -> StreamInfo | None:
    """The default audio stream with a decoder, else the first one; None: no decodable sound."""
    streams = [stream for stream in probe.streams if stream.kind == "audio" and stream.codec]
    return next((stream for stream in streams if stream.default), streams[0] if streams else None)


class Audio:
    """Iterates over blocks of `block` samples, float32 in -1..1 (the last may be shorter), of an open container.

    start: the container's time of the first sample, seconds; known from the first block on. seconds: length so far.
    """

    def __init__(self, container: Any, stream: StreamInfo, block: int = 30 * RATE) -> None:
        self._container = container
        self._stream = container.streams[stream.index]
        self._stream.codec_context.thread_count = 1
        self._block = block
        self.start = 0.0
        self._count = 0  # samples so far
        self.errors = 0
        self.jumps = 0
        self.backwards = 0
        self.stopped = ""

    @property
    def seconds(self) -> float:
        return self._count / RATE

    def loss(self) -> str:
        """A message about sound that could not be decoded; empty if there is none. Call it after the last block."""
        messages = []
        if self.errors:
            messages.append(f"{self.errors} packets of sound could not be decoded")
        if self.jumps:
            messages.append(f"{self.jumps} jumps in the time of the sound were ignored")
        if self.backwards:
            messages.append(f"{self.backwards} pieces of sound with decreasing times were left out")
        if self.stopped:
            messages.append(f"reading the sound stopped ({self.stopped})")
        return "; ".join(messages)

    def __iter__(self) -> Iterator[Samples]:
        import numpy as np

        waiting: list[Samples] = []
        held = 0
        for samples in self._samples():
            waiting.append(samples)
            held += len(samples)
            self._count += len(samples)
            if held >= self._block:
                whole = np.concatenate(waiting)
                full = held // self._block * self._block
                for first in range(0, full, self._block):
                    yield whole[first : first + self._block]
                waiting, held = [whole[full:]], held - full
        if held:
            yield np.concatenate(waiting)

    def _samples(self) -> Iterator[Samples]:
        """Resampled pieces, with silence where time jumps forward."""
        import numpy as np
        from av.error import FFmpegError

        resampler = _resampler()
        began = False
        expected = 0.0  # the container's time at which the next decoded frame should begin
        for frame in self._frames():
            time = float(frame.pts * frame.time_base) if frame.pts is not None and frame.time_base else None
            length = frame.samples / frame.sample_rate
            if not began:
                began, self.start = True, time or 0.0
                expected = self.start
            jump = 0.0 if time is None else time - expected
            if jump > LONGEST_GAP:
                self.jumps += 1
                expected += jump
            elif jump > GAP_SECONDS:
                yield from self._resampled(resampler, None)
                resampler = _resampler()
                yield np.zeros(round(jump * RATE), dtype=np.float32)
                expected += jump
            elif jump < -GAP_SECONDS and length <= -jump:
                self.backwards += 1  # there are samples of this time already
                continue
            expected += length
            frame.pts = None  # times are handled here; the resampler would fill gaps differently
            try:
                yield from self._resampled(resampler, frame)
            except (FFmpegError, ValueError):
                self.errors += 1  # a frame with another format than the first
                resampler = _resampler()
        yield from self._resampled(resampler, None)

    def _resampled(self, resampler: Any, frame: Any) -> list[Samples]:
        import numpy as np

        pieces = [piece.to_ndarray().reshape(-1) for piece in resampler.resample(frame) if piece.samples]
        return [piece.astype(np.float32) / FULL_SCALE for piece in pieces]

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


def _resampler() -> Any:
    """A resampler to 16 bits: mixing channels then stays within full scale (floats are summed unscaled)."""
    from av.audio.resampler import AudioResampler

    return AudioResampler(format="s16", layout="mono", rate=RATE)
