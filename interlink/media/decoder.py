"""The decoder of a video stream, on one thread; its pictures are ready to show (media/finish.py)."""

from __future__ import annotations

from typing import Any

from interlink.media.finish import Finisher, Treatment

# Decoders that keep the transparency of WebM; libav's own decoders of these codecs drop it.
WITH_ALPHA = {"vp9": "libvpx-vp9", "vp8": "libvpx"}


class PictureDecoder:
    """Every pass over a video decodes with this, so that all of them see the same pictures."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.context = _context(stream)
        if not self.context.is_open:  # it is, in a second pass over the same container
            self.context.thread_count = 1
            self.context.thread_type = "NONE"
        self._finisher = Finisher()

    @property
    def treatment(self) -> Treatment:
        """What was done to the pictures so far."""
        return self._finisher.treatment

    def decode(self, packet: Any) -> list[Any]:
        """The pictures that a packet (None: the end) makes available. Raises FFmpegError."""
        return [self._finisher.finish(frame) for frame in self.context.decode(packet)]


def _context(stream: Any) -> Any:
    from av import CodecContext

    name = WITH_ALPHA.get(stream.codec_context.codec.canonical_name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return stream.codec_context
    context = CodecContext.create(name, "r")
    context.extradata = stream.codec_context.extradata
    return context
