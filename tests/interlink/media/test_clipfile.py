"""Pieces as files: copies are the original's pictures, exact cuts hold exactly the pictures of their span."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from interlink.errors import StageError, UserError
from interlink.media.clipcopy import copy_clip
from interlink.media.clipfile import cut_audio, cut_clip
from interlink.media.probe import describe, open_media

COPIED = [
    ("bikes_hard_cuts.mp4", 3.5, 5.0),  # h264, no sound
    ("flower_rot90_metadata.mp4", 3.2, 4.0),  # rotated
    ("apollo17_moonwalk_vp9_opus.webm", 25.0, 30.0),  # vp9, sound, pixels that are not square
    ("cockatoo_hevc.mp4", 8.0, 9.0),  # hevc
    ("av1_water_brick_channel.webm", 12.0, 13.0),  # av1
    ("stir_fry_onion_carrot.avi", 6.0, 8.0),  # does not start at 0
    ("nasa_webb_multistream.mp4", 3.0, 6.0),  # two video streams, subtitles
]


def pictures(path: Path) -> list[tuple[float, np.ndarray[Any, Any]]]:
    """(time in seconds, small grey picture) of every frame of the watched stream, as stored."""
    with open_media(path) as container:
        video = describe(container, path).video
        assert video is not None
        return [
            (round(float(frame.pts * frame.time_base), 6), frame.reformat(64, 36, format="gray").to_ndarray())
            for frame in container.decode(container.streams[video.index])
        ]


def codecs(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [f"{stream.type} {stream.codec_context.codec.canonical_name}" for stream in container.streams]


def tags(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return dict(container.metadata)


@pytest.mark.parametrize(("name", "start", "end"), COPIED, ids=[name for name, _, _ in COPIED])
def test_a_copy_holds_the_pictures_between_two_keyframes_unchanged(
    shared_data: Path, tmp_path: Path, name: str, start: float, end: float
) -> None:
    source, target = shared_data / "clips" / name, tmp_path / "piece.mp4"

    piece = copy_clip(source, target, start, end)

    whole, copied = pictures(source), pictures(target)
    span = [(time, picture) for time, picture in whole if piece.start <= time < piece.end]
    assert piece.start <= start and piece.end >= end
    assert len(copied) == len(span) == piece.frames < len(whole)
    offset = copied[0][0] - span[0][0]
    for (time, picture), (later, copy) in zip(span, copied, strict=True):
        assert later - time == pytest.approx(offset, abs=2e-3)
        np.testing.assert_array_equal(copy, picture)
    assert float(tags(target)["clip_start"]) == piece.start == span[0][0]
    assert float(tags(target)["clip_end"]) == piece.end


def test_a_copy_that_is_asked_for_from_keyframe_to_keyframe_is_no_longer(shared_data: Path, tmp_path: Path) -> None:
    piece = copy_clip(shared_data / "clips" / "bikes_hard_cuts.mp4", tmp_path / "piece.mp4", 3.04, 5.48)

    assert (piece.start, piece.end, piece.frames) == (3.04, 5.48, 61)


def test_the_sound_and_the_rotation_come_along(shared_data: Path, tmp_path: Path) -> None:
    target = tmp_path / "piece.mp4"

    copy_clip(shared_data / "clips" / "flower_rot90_metadata.mp4", target, 1.0, 2.0)

    assert codecs(target) == ["video h264", "audio aac"]
    with av.open(str(target)) as container:
        assert next(container.decode(video=0)).rotation in (90, -90, 270)


@pytest.mark.parametrize(
    ("name", "start", "end", "size"),
    [
        ("bikes_hard_cuts.mp4", 3.04, 5.48, (376, 160)),
        ("testvideo_vfr_drop3.mp4", 3.0, 7.2, (284, 160)),
        ("flower_rot90_metadata.mp4", 1.0, 2.0, (160, 284)),
        ("stir_fry_onion_carrot.avi", 1.5, 4.0, (214, 160)),
        ("his_girl_friday.mp4", 0.666667, 1.666667, (214, 160)),  # times of pictures, rounded up
        ("tears_of_steel_battle.webm", 2.0, 3.0, (384, 160)),
    ],
)
def test_an_exact_cut_holds_every_picture_of_its_span_and_no_other(
    shared_data: Path, tmp_path: Path, name: str, start: float, end: float, size: tuple[int, int]
) -> None:
    source, target = shared_data / "clips" / name, tmp_path / "piece.mp4"

    piece = cut_clip(source, target, start, end, short_side=160)

    wanted = [time for time, _ in pictures(source) if start <= time < end]
    got = [time for time, _ in pictures(target)]
    assert piece.frames == len(got) == len(wanted)
    assert [time - got[0] for time in got] == pytest.approx([time - wanted[0] for time in wanted], abs=2e-3)
    with av.open(str(target)) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height, frame.rotation) == (*size, 0)
    assert float(tags(target)["clip_start"]) == start


def test_a_picture_smaller_than_asked_for_stays_as_it_is(shared_data: Path, tmp_path: Path) -> None:
    cut_clip(shared_data / "clips" / "bikes_hard_cuts.mp4", tmp_path / "piece.mp4", 0.0, 0.4, short_side=2000)

    with av.open(str(tmp_path / "piece.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (640, 272)


def test_the_same_piece_has_the_same_bytes(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "clips" / "his_girl_friday.mp4"
    for write in (copy_clip, lambda *span: cut_clip(*span, short_side=96)):
        for name in ("a.mp4", "b.mp4"):
            write(source, tmp_path / name, 1.0, 2.0)
        assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize("suffix", [".m4a", ".flac"])
def test_the_sound_of_a_span_is_as_long_as_the_span(shared_data: Path, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"piece{suffix}"

    cut_audio(shared_data / "clips" / "his_girl_friday.mp4", target, 1.0, 3.0)

    with av.open(str(target)) as container:
        stream = container.streams.audio[0]
        samples = sum(frame.samples for frame in container.decode(stream))
        assert samples / stream.rate == pytest.approx(2.0, abs=0.05)
    assert float(tags(target)["clip_end"]) == 3.0


def test_what_cannot_be_done_is_said(shared_data: Path, tmp_path: Path) -> None:
    clips, target = shared_data / "clips", tmp_path / "piece.mp4"
    for work, expected in (
        (lambda: copy_clip(clips / "tears_of_steel_battle.webm", target, 1, 2), "unsupported"),  # vp8
        (lambda: copy_clip(clips / "not_a_video.mp4", target, 1, 2), "unreadable"),
        (lambda: copy_clip(shared_data / "audio" / "nasa_narration_audio_only.mp4", target, 1, 2), "no_video"),
        (lambda: cut_audio(clips / "bikes_hard_cuts.mp4", tmp_path / "piece.m4a", 1, 2), "no_media"),
        (lambda: cut_clip(clips / "cockatoo_hevc.mp4", target, 0, 14, short_side=480, deadline=0.05), "stalled"),
    ):
        with pytest.raises(StageError) as failure:
            work()
        assert failure.value.error_class == expected
        assert not target.exists()
    with pytest.raises(UserError):
        cut_audio(clips / "his_girl_friday.mp4", tmp_path / "piece.wav", 1, 2)
