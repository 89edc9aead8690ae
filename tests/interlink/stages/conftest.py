"""What the tests of the stages share: a tiny medium, and a web server that misbehaves."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def tiny_clip() -> bytes:
    """One second of H.264 in mp4, 64 × 48, a moving bar; rendered here."""
    import av

    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(10):
            picture = np.zeros((48, 64, 3), np.uint8)
            picture[:, index * 6 : index * 6 + 6] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return target.getvalue()


@pytest.fixture
def media_server(tiny_clip: bytes) -> Iterator[Any]:
    """A running `MediaServer` (tests/support/http_server.py) with `tiny_clip`."""
    path = Path(__file__).parents[2] / "support" / "http_server.py"
    spec = importlib.util.spec_from_file_location("http_server", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.MediaServer(tiny_clip) as server:
        yield server
