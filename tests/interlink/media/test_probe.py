"""What a container says of itself, and which files are refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from interlink.errors import StageError
from interlink.media.probe import probe


def test_the_default_video_stream_of_several_is_watched(shared_data: Path) -> None:
    found = probe(shared_data / "clips" / "nasa_webb_multistream.mp4")

    assert [stream.kind for stream in found.streams].count("video") == 2
    assert found.video is not None
    assert (found.video.index, found.video.codec, found.video.fps) == (0, "h264", 25.0)
    assert found.stated == 13.0  # of the video, not of the container


def test_pixel_shape_and_rotation_are_told(shared_data: Path) -> None:
    bowl = probe(shared_data / "clips" / "mixing_bowl_two_hosts.mp4")
    flower = probe(shared_data / "clips" / "flower_rot90_metadata.mp4")

    assert bowl.video is not None
    assert (bowl.video.width, bowl.video.height, bowl.video.sar) == (320, 240, Fraction(4, 3))
    assert flower.rotation == 270


@pytest.mark.parametrize("name", ["zero_bytes.mp4", "not_a_video.mp4", "truncated_bikes_no_moov.mp4"])
def test_what_is_no_media_file_is_unreadable_and_named(shared_data: Path, name: str) -> None:
    with pytest.raises(StageError, match=name) as raised:
        probe(shared_data / "clips" / name)

    assert raised.value.error_class == "unreadable"


def test_a_playlist_does_not_make_us_open_other_files(shared_data: Path, tmp_path: Path) -> None:
    clip = shared_data / "clips" / "bikes_hard_cuts.mp4"
    playlist = tmp_path / "video.mp4"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{clip}\n#EXT-X-ENDLIST\n")
    script = tmp_path / "list.mp4"
    script.write_text(f"ffconcat version 1.0\nfile {clip}\n")

    for path in (playlist, script):
        with pytest.raises(StageError) as raised:
            probe(path)
        assert raised.value.error_class == "unreadable"


def test_a_file_that_went_away_is_gone(tmp_path: Path) -> None:
    with pytest.raises(StageError) as raised:
        probe(tmp_path / "was_here.mp4")

    assert raised.value.error_class == "gone"
