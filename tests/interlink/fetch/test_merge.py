"""Video and sound of a site that serves them apart become one file, by a program that reads local media only."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from interlink.errors import StageError
from interlink.fetch.merge import merge

PROGRAM = shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()
APART = [{"vcodec": "h264", "acodec": "none"}, {"vcodec": "none", "acodec": "aac"}]


@pytest.fixture
def parts(tmp_path: Path) -> list[str]:
    """A second of video without sound, and a second of sound."""
    video, sound = tmp_path / "media.f1.mp4", tmp_path / "media.f2.m4a"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        for level in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(sound), "w", format="mp4") as container:
        track = container.add_stream("aac", rate=16000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 16000
        container.mux(track.encode(samples))
        container.mux(track.encode(None))
    return [str(video), str(sound)]


def test_both_parts_are_copied_into_one_file(parts: list[str], tmp_path: Path) -> None:
    target = tmp_path / "media.mp4"
    merge(parts, APART, str(target), PROGRAM)
    with av.open(str(target)) as container:
        assert [(one.type, one.codec_context.name) for one in container.streams] == [
            ("video", "h264"),
            ("audio", "aac"),
        ]
        assert sum(1 for packet in container.demux(video=0) if packet.size) == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["media.f1.mp4", "media.f2.m4a", "media.mp4"]


@pytest.mark.parametrize(
    "content",
    [
        b"no media at all",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile a\n",
    ],
)
def test_what_is_no_media_file_is_refused_and_leaves_nothing(parts: list[str], tmp_path: Path, content: bytes) -> None:
    Path(parts[1]).write_bytes(content)
    with pytest.raises(StageError, match="ffmpeg exited with") as caught:
        merge(parts, APART, str(tmp_path / "media.mp4"), PROGRAM)
    assert caught.value.error_class == "unreadable"
    assert str(tmp_path) not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["media.f1.mp4", "media.f2.m4a"]
