"""Which decoder reads a stream, and on how many threads."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from interlink.media.decoder import PictureDecoder


def stream(codec: str, alpha: str | None, is_open: bool = False) -> Any:
    context = SimpleNamespace(
        codec=SimpleNamespace(canonical_name=codec), extradata=b"x", is_open=is_open, thread_count=7,
        thread_type="AUTO",
        name="its own", decode=lambda packet: [],
    )  # fmt: skip
    return SimpleNamespace(codec_context=context, metadata={} if alpha is None else {"alpha_mode": alpha})


@pytest.mark.parametrize(
    ("codec", "alpha", "name"),
    [
        ("vp9", "1", "libvpx-vp9"), ("vp8", "1", "libvpx"), ("vp9", "0", "its own"), ("vp9", None, "its own"),
        ("h264", "1", "its own"), ("h264", None, "its own"),
    ],
)  # fmt: skip
def test_transparent_webm_is_read_by_the_decoder_that_keeps_it(codec: str, alpha: str | None, name: str) -> None:
    decoder = PictureDecoder(stream(codec, alpha))
    assert (decoder.context.name, decoder.context.extradata) == (name, b"x")
    assert decoder.context.thread_count == 1


def test_a_decoder_uses_one_thread_unless_it_is_open_already() -> None:
    fresh, second = PictureDecoder(stream("h264", None)), PictureDecoder(stream("h264", None, is_open=True))
    assert (fresh.context.thread_count, fresh.context.thread_type) == (1, "NONE")
    assert (second.context.thread_count, second.context.thread_type) == (7, "AUTO")
    assert fresh.decode(None) == [] and fresh.treatment.column() is None
