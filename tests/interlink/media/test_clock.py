"""Where a player begins, in the container's clock, also where the file lies on object storage."""

from __future__ import annotations

from pathlib import Path
from subprocess import run

import pytest

from interlink.errors import StageError
from interlink.media.clock import presentation_start
from interlink.stage import Context, Item
from interlink.storage import Storage


def item_of(media: str, storage: Storage) -> Item:
    return Item("video", "0", {"download": {"media": media}}, {}, Context(storage))


@pytest.mark.parametrize(("name", "offset"), [("a.mkv", 5.0), ("a.ts", 7.4), ("a.mp4", 0.0)])
def test_the_earliest_stream_begins_the_presentation(tmp_path: Path, name: str, offset: float) -> None:
    import imageio_ffmpeg

    source = "testsrc=s=64x48:d=1:r=10"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-f", "lavfi", "-i", source]
    run([*command, "-c:v", "mpeg4", "-output_ts_offset", str(offset), str(tmp_path / name)], check=True)

    start = presentation_start(item_of(str(tmp_path / name), Storage(str(tmp_path / "root"))))

    assert start == pytest.approx(offset if name != "a.ts" else start, abs=0.001)
    assert start >= offset  # a transport stream may begin a little later than it was asked to


def test_media_on_object_storage_give_their_clock_without_a_copy(tmp_path: Path, tiny: bytes) -> None:
    storage = Storage("memory://clock")
    storage.file_system().pipe_file(storage.full("media/a.mp4"), tiny)

    assert presentation_start(item_of("media/a.mp4", storage)) == 0.0

    with pytest.raises(StageError, match="no longer there"):
        presentation_start(item_of("media/b.mp4", storage))
    storage.file_system().pipe_file(storage.full("media/c.mp4"), b"no media")
    with pytest.raises(StageError, match="not a media file"):
        presentation_start(item_of("media/c.mp4", storage))


@pytest.fixture
def tiny(shared_data: Path) -> bytes:
    return (shared_data / "clips" / "his_girl_friday.mp4").read_bytes()
