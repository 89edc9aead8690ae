"""Frames of pictures, videos, GIFs and folders, at the times that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from cosmos_train.evaluate.media import Unreadable, _upright, load
from cosmos_train.evaluate.preprocess import as_trained
from cosmos_train.evaluate.readers.folder import Media
from cosmos_train.stream.settings import ImageSettings
from interlink.media.orientation import orientation_of

SMALL = as_trained(ImageSettings(size=16))
LEVELS = range(10, 250, 10)  # of grey: frame n, shown for half a second, has level 10 + 10 n


def video(path: Path, levels: Sequence[int] = LEVELS, codec: str = "mpeg4") -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=2)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.gop_size = 4
        for level in levels:
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def shown(frames: np.ndarray) -> list[float]:
    return [float(frame.mean()) for frame in frames]


def test_frames_are_the_middles_of_equal_parts(tmp_path: Path) -> None:
    """12 s of video in 3 parts: 2, 6 and 10 s, which show frames 4, 12 and 20."""
    frames, times = load(video(tmp_path / "a.mp4"), Media("a"), 3, SMALL)
    assert frames.shape == (3, 3, 16, 16)
    assert times.tolist() == [0.0, 4.0, 8.0]
    assert shown(frames) == pytest.approx([50, 130, 210], abs=3)


def test_a_span_of_a_video_is_kept_to(tmp_path: Path) -> None:
    """8 to 11 s in 3 parts: 8.5, 9.5 and 10.5 s; a span beyond the end is cut there."""
    path = video(tmp_path / "a.mp4")
    assert shown(load(path, Media("a", 8.0, 11.0), 3, SMALL)[0]) == pytest.approx([180, 200, 220], abs=3)
    assert shown(load(path, Media("a", 10.0, 14.0), 1, SMALL)[0]) == pytest.approx([230], abs=3)
    with pytest.raises(Unreadable, match=r"ends at 12\.0 s, before the span from 20\.0 s"):
        load(path, Media("a", 20.0, 30.0), 2, SMALL)


def test_far_spans_are_sought_not_decoded_through(tmp_path: Path) -> None:
    levels = [10 + (n // 2) % 200 for n in range(400)]
    path = video(tmp_path / "long.mp4", levels)
    found = shown(load(path, Media("long", 100.0, 198.0), 4, SMALL)[0])
    assert found == pytest.approx([levels[int(2 * t)] for t in (112.25, 136.75, 161.25, 185.75)], abs=3)


def test_a_gif_is_a_video(tmp_path: Path) -> None:
    frames = [Image.new("L", (20, 20), level) for level in (0, 80, 160, 240)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=500)
    found, times = load(tmp_path / "a.gif", Media("a.gif"), 2, SMALL)
    assert shown(found) == pytest.approx([0, 160], abs=90)
    assert shown(found)[0] < shown(found)[1]
    assert times[1] > 0


def test_a_folder_of_frames_is_a_video_at_three_a_second(tmp_path: Path) -> None:
    (tmp_path / "show").mkdir()
    for number in range(12):  # 4 s
        Image.new("RGB", (20, 20), (20 * number,) * 3).save(tmp_path / "show" / f"{number + 1:05d}.jpg", quality=95)
    found, _ = load(tmp_path / "show", Media("show", 2.0, 4.0), 2, SMALL)
    assert shown(found) == pytest.approx([140, 200], abs=4)  # 2.5 s and 3.5 s: numbers 7 and 10


def test_pictures_are_one_frame_of_any_format(tmp_path: Path) -> None:
    picture = Image.new("RGB", (30, 20), (200, 100, 50))
    for name in ("a.jpg", "a.png", "a.webp"):
        picture.save(tmp_path / name)
        frames, times = load(tmp_path / name, Media(name), 3, SMALL)
        assert (frames.shape, times.tolist()) == ((1, 3, 16, 16), [0.0])
        assert frames[0].mean((1, 2)).tolist() == pytest.approx([200, 100, 50], abs=4)


def test_a_turned_video_is_shown_upright(shared_data: Path) -> None:
    """As the builder turns it, by the container's display matrix."""
    with av.open(str(shared_data / "clips" / "flower_rot90_metadata.mp4")) as container:
        stored = next(container.decode(video=0))
        expected = orientation_of(stored).turn(stored.to_ndarray(format="rgb24"))
        assert expected.shape[:2] == (stored.width, stored.height)
        assert (_upright(stored) == expected).all()


@pytest.mark.parametrize("name", ["zero.mp4", "words.mp4", "words.jpg", "empty"])
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "empty":
        path.mkdir()
    else:
        path.write_bytes(b"" if name.startswith("zero") else b"these are words")
    with pytest.raises(Unreadable, match=name):
        load(path, Media(name), 2, SMALL)


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4", "list.ffconcat"])
def test_a_playlist_is_no_video_so_that_no_other_file_or_host_is_opened(tmp_path: Path, name: str) -> None:
    video(tmp_path / "a.mp4")
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:12\n#EXTINF:12,\na.mp4\n#EXT-X-ENDLIST\n"
    (tmp_path / name).write_text("ffconcat version 1.0\nfile a.mp4\n" if name.endswith("concat") else playlist)
    with pytest.raises(Unreadable, match=name):
        load(tmp_path / name, Media(name), 2, SMALL)
