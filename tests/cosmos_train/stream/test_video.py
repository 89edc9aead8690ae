"""Frames of videos: the one on screen at each time, the right way up, whatever the container says."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cosmos_train.stream import video

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (40, 60, 220)}


def seen(data: bytes, times: Sequence[float]) -> list[str]:
    found = video.frames_at(data, times, 16)
    return [list(COLOURS)[int(frame.mean((0, 1)).argmax())] for frame in found]


def ffmpeg(*arguments: str) -> bytes:
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-y", *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def lights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An mp4 of red, green and blue, 3 s each, in one group of pictures."""
    path = tmp_path_factory.mktemp("video") / "lights.mp4"
    colours = [f"color=c=0x{r:02x}{g:02x}{b:02x}:s=64x48:r=10:d=3" for r, g, b in COLOURS.values()]
    inputs = [part for colour in colours for part in ("-f", "lavfi", "-i", colour)]
    joined = ["-filter_complex", "[0][1][2]concat=n=3", "-g", "999", "-pix_fmt", "yuv420p"]
    ffmpeg(*inputs, *joined, str(path))
    return path


def test_the_frame_on_screen_is_found_far_apart_close_together_and_beyond_the_end(lights: Path) -> None:
    data = lights.read_bytes()
    assert video.duration(data) == pytest.approx(9.0)
    assert seen(data, (1.0, 4.0, 8.0)) == ["red", "green", "blue"]
    assert seen(data, (2.8, 2.95, 3.05, 100.0)) == ["red", "red", "green", "blue"]
    assert seen(data, (8.0,)) == ["blue"]


def test_a_gif_is_a_video(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (64, 48), colour) for colour in COLOURS.values()]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=[1000, 2000, 1000], loop=0)
    assert seen(buffer.getvalue(), (0.5, 1.5, 2.9, 3.5)) == ["red", "green", "green", "blue"]
    buffer = io.BytesIO()
    frames[1].save(buffer, "GIF")  # a single picture
    assert seen(buffer.getvalue(), (0.0, 5.0)) == ["green", "green"]


def test_a_stream_that_does_not_tell_its_length_is_measured(lights: Path) -> None:
    data = ffmpeg("-i", str(lights), "-f", "webm", "-c:v", "libvpx", "-")  # a pipe: its header cannot be mended
    assert video.duration(data) == pytest.approx(9.0, abs=0.11)
    assert seen(data, (1.0, 4.0, 8.0)) == ["red", "green", "blue"]


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_turned_videos_come_the_right_way_up(turned: int, tmp_path: Path) -> None:
    """The picture is stored turned, and the container says by how much: shown, its upper half is red."""
    upright = np.full((48, 64, 3), 90, np.uint8)
    upright[:24] = COLOURS["red"]
    Image.fromarray(np.rot90(upright, -turned // 90)).save(tmp_path / "still.png")
    ffmpeg("-loop", "1", "-i", str(tmp_path / "still.png"), "-t", "1", "-pix_fmt", "yuv420p", f"{tmp_path}/stored.mp4")
    ffmpeg("-display_rotation", str(turned), "-i", f"{tmp_path}/stored.mp4", "-c", "copy", f"{tmp_path}/turned.mp4")
    [frame] = video.frames_at((tmp_path / "turned.mp4").read_bytes(), (0.5,), 48)
    assert frame.shape == (48, 64, 3)
    redness = frame[..., 0].astype(int) - frame[..., 1]
    assert redness[:20].min() > 100 > 50 > redness[28:].max()


def test_frames_are_scaled_down_to_the_size_asked_for(lights: Path) -> None:
    [small] = video.frames_at(lights.read_bytes(), (0.0,), 24)
    assert small.shape == (24, 32, 3)


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize("data", [b"", b"no video", PLAYLIST, b"ffconcat version 1.0\nfile /etc/passwd\n"])
def test_what_is_no_video_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="is no video"):
        video.frames_at(data, (0.0,), 24)


def test_sound_alone_is_refused() -> None:
    data = ffmpeg("-f", "lavfi", "-i", "sine=d=1", "-f", "mp3", "-")
    with pytest.raises(ValueError, match="has no video stream"):
        video.duration(data)
