"""keyframes of unusual video: HDR, interlaced, transparent, with edit lists, restarted clocks, pauses, other starts."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import simplejpeg

from interlink.stage import Context, Item, Row
from interlink.stages.keyframes import Keyframes
from interlink.stages.keyframes_settings import KeyframesSettings
from interlink.storage import Storage

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases" / "media"
Run = Callable[..., Row]
Frame = np.ndarray[Any, Any]


@pytest.fixture
def cases() -> Path:
    if not CASES.is_dir():
        pytest.skip(f"the files of reported cases are not on this machine: {CASES} is absent")
    return CASES


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(media: Path, **settings: Any) -> Row:
        context = Context(Storage(str(tmp_path)))
        download = {"media": str(media), "subtitles": [], "size": 0, "info": ""}
        item = Item("video", "0", {"collect": {}, "download": download}, {}, context)
        (row,) = Keyframes(KeyframesSettings(**settings), context).run(iter([item]))
        assert row.status == "ok", row.message
        return row

    return run


def encode(path: Path, pictures: Iterator[av.VideoFrame], codec: str, rate: int = 10, **options: str) -> Path:
    """The pictures as one video stream; attributes of the encoder come from the first picture."""
    with av.open(str(path), "w") as out:
        stream: Any = None
        for number, frame in enumerate(pictures):
            if stream is None:
                stream = out.add_stream(codec, rate=rate, options=options)
                context = stream.codec_context
                context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
                context.color_trc, context.color_primaries = int(frame.color_trc), int(frame.color_primaries)
                context.colorspace, context.color_range = int(frame.colorspace), int(frame.color_range)
            frame.pts, frame.time_base = number, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def pixels(row: Row) -> list[Frame]:
    return [
        np.asarray(simplejpeg.decode_jpeg(frame["image"].data)).astype(float)
        for clip in row.fields["clips"]
        for frame in clip["frames"]
    ]


def times(row: Row) -> list[float]:
    return [frame["time"] for clip in row.fields["clips"] for frame in clip["frames"]]


def combs(picture: Frame) -> float:
    grey = picture.mean(axis=2)
    return float(np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean())


# -- HDR ---------------------------------------------------------------------------------------------------------------


def scene(light: float = 1.0) -> Frame:
    """(180, 320, 3) linear light: grey steps over six saturated colours, textured."""
    rng = np.random.default_rng(0)
    picture = np.repeat(np.linspace(0.02, 1, 8), 40)[None, :, None] * np.ones((180, 1, 3))
    colours = np.array([[1, 0.1, 0.1], [0.1, 1, 0.1], [0.1, 0.1, 1], [1, 1, 0.1], [0.1, 1, 1], [1, 0.1, 1]])
    picture[90:] = np.repeat(colours, 54, axis=0)[:320][None] * 0.8
    return picture * (0.8 + 0.2 * rng.random((180, 320, 1))) * light


def to_bt2020(linear: Frame) -> Frame:
    matrix = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    return linear @ matrix.T


def pq(nits: Frame) -> Frame:
    power = (nits / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(nits: Frame) -> Frame:
    """The signal of light shown on a display of 1000 cd/m²."""
    luminance = np.maximum(nits @ np.array([0.2627, 0.6780, 0.0593]) / 1000, 1e-9)
    light = nits / 1000 * (luminance ** (1 / 1.2 - 1))[..., None]
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(light <= 1 / 12, np.sqrt(3 * light), a * np.log(np.maximum(12 * light - b, 1e-9)) + c)


def tagged(signal: Frame, transfer: int) -> av.VideoFrame:
    """RGB signals (0..1) of BT.2020 as a frame of 10 bits."""
    red, green, blue = np.moveaxis(signal, 2, 0)
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    planes = [64 + 876 * luma, 512 + 896 * (blue - luma) / 1.8814, 512 + 896 * (red - luma) / 1.4746]
    frame = av.VideoFrame(signal.shape[1], signal.shape[0], "yuv444p10le")
    for plane, values in zip(frame.planes, planes, strict=True):
        lines = np.frombuffer(plane, np.uint16).reshape(-1, plane.line_size // 2)
        lines[:, : signal.shape[1]] = np.rint(values)
    frame.color_trc, frame.color_primaries, frame.colorspace, frame.color_range = transfer, 9, 9, 1
    return frame


@pytest.mark.parametrize(("name", "white"), [("pq", 100), ("pq", 203), ("hlg", 100), ("hlg", 203), ("bt2020", 100)])
def test_hdr_looks_like_the_ordinary_picture_of_the_same_scene(
    tmp_path: Path, run: Run, name: str, white: float
) -> None:
    linear = scene()
    nits = to_bt2020(linear) * white
    signal, transfer = {
        "pq": (pq(nits), 16),
        "hlg": (hlg(nits), 18),
        "bt2020": ((nits / 100) ** (1 / 2.4), 14),
    }[name]
    media = encode(tmp_path / "hdr.mkv", iter([tagged(signal, transfer) for _ in range(4)]), "ffv1")

    row = run(media)

    assert row.fields["picture"] == {"tone_mapped": name, "deinterlaced": False, "composed": False}
    shown, wanted = pixels(row)[0], linear ** (1 / 2.4) * 255
    assert shown.mean() == pytest.approx(wanted.mean(), rel=0.05)
    assert np.percentile(shown, 99) == pytest.approx(np.percentile(wanted, 99), rel=0.05)
    for column in range(6):  # the hue of each colour: which channels are high
        patch = (slice(100, 170), slice(54 * column + 8, 54 * column + 40))
        assert shown[patch].mean((0, 1)) == pytest.approx(wanted[patch].mean((0, 1)), abs=14)


def test_lights_brighter_than_white_keep_their_order_and_hue(tmp_path: Path, run: Run) -> None:
    linear = scene(0.5)
    linear[:20, :100], linear[:20, 100:200] = 3.0, (4.0, 2.0, 1.0)
    media = encode(tmp_path / "hdr.mkv", iter([tagged(pq(to_bt2020(linear) * 203), 16)] * 2), "ffv1")

    (shown, *_) = pixels(run(media))

    grey, orange = shown[4:16, 10:90].mean((0, 1)), shown[4:16, 110:190].mean((0, 1))
    assert grey.min() > 235 and np.ptp(grey) < 4
    assert orange[0] > 240 and orange[0] > orange[1] + 30 > orange[2] + 60
    assert shown[30:80, 290:310].mean() < grey.mean() - 30


def test_a_reported_hdr_video_looks_like_its_reference(cases: Path, run: Run) -> None:
    row = run(cases / "hdr_pq.mp4", choice="uniform", decode="full")
    reference = run(cases / "hdr_sdr_reference.mp4", choice="uniform", decode="full")

    assert times(row) == times(reference)
    for shown, wanted in zip(pixels(row), pixels(reference), strict=True):
        assert shown.mean() == pytest.approx(wanted.mean(), rel=0.1)
        assert np.percentile(shown, 99) == pytest.approx(np.percentile(wanted, 99), rel=0.1)


# -- interlaced, transparent -------------------------------------------------------------------------------------------


def moving(number: float, height: int = 240) -> Frame:
    """A textured picture that moves by 8 pixels per unit."""
    rng = np.random.default_rng(1)
    texture = np.kron(rng.integers(0, 255, (height // 20, 60)), np.ones((20, 16)))
    start = round(8 * number) % 320
    return np.repeat(texture[:, start : start + 320, None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
def test_interlaced_video_has_no_combs(tmp_path: Path, run: Run, codec: str) -> None:
    def woven() -> Iterator[av.VideoFrame]:
        for number in range(30):
            picture = moving(number)
            picture[1::2] = moving(number + 0.5)[1::2]
            yield av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")

    options = {"flags": "+ildct+ilme", "b": "20M"} if codec == "mpeg2video" else {"x264-params": "interlaced=1"}
    media = encode(tmp_path / "interlaced.mkv", woven(), codec, 25, **options)

    row = run(media, clip_files="exact", clip_height=240)

    assert row.fields["picture"] == {"tone_mapped": None, "deinterlaced": True, "composed": False}
    for picture, time in zip(pixels(row), times(row), strict=True):
        still = moving(time * 25).astype(float)
        assert np.abs(picture - still).mean() < 12
        assert combs(picture) < 1.5 * combs(still)
    assert len(row.fields["clips"]) == 1
    file = row.fields["clips"][0]["video"]["file"].data
    with av.open(io.BytesIO(file)) as container:
        shown = [frame.to_ndarray(format="rgb24").astype(float) for frame in container.decode(video=0)]
    assert max(combs(picture) for picture in shown) < 2 * combs(moving(0).astype(float))


def test_a_reported_interlaced_video_is_one_clip_without_combs(cases: Path, run: Run) -> None:
    row = run(cases / "interlaced_h264.mp4", short_side=576)

    assert row.fields["picture"]["deinterlaced"] and len(row.fields["clips"]) == 1
    assert max(combs(picture) for picture in pixels(row)) < 2.0


@pytest.mark.parametrize(("codec", "form", "name"), [("png", "rgba", "a.mov"), ("prores_ks", "yuva444p10le", "b.mov")])
def test_transparent_video_is_put_on_white(tmp_path: Path, run: Run, codec: str, form: str, name: str) -> None:
    picture = np.zeros((96, 160, 4), np.uint8)
    picture[24:72, 40:120] = (200, 40, 40, 255)
    picture[:, 140:] = (0, 0, 0, 128)
    frame = av.VideoFrame.from_ndarray(picture, format="rgba").reformat(format=form)
    media = encode(tmp_path / name, iter([frame] * 4), codec)

    row = run(media, clip_files="exact", clip_height=96)

    assert row.fields["picture"] == {"tone_mapped": None, "deinterlaced": False, "composed": True}
    (shown, *_) = pixels(row)
    assert shown[8:16, 8:30].min() > 245
    assert shown[32:64, 56:104].mean((0, 1)) == pytest.approx((200, 40, 40), abs=12)
    assert shown[10:80, 146:156].mean() == pytest.approx(127, abs=6)
    with av.open(io.BytesIO(row.fields["clips"][0]["video"]["file"].data)) as container:
        first = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert first[8:16, 8:30].min() > 240


@pytest.mark.parametrize("name", ["alpha_png.mov", "alpha_vp9.webm"])
def test_reported_transparent_videos_are_put_on_white(cases: Path, run: Run, name: str) -> None:
    row = run(cases / name)

    assert row.fields["picture"]["composed"]
    assert all(np.percentile(picture, 60) > 250 for picture in pixels(row))


def test_ordinary_video_says_nothing_about_its_pictures(tmp_path: Path, run: Run) -> None:
    frames = (av.VideoFrame.from_ndarray(moving(n), format="rgb24").reformat(format="yuv420p") for n in range(10))

    assert run(encode(tmp_path / "a.mp4", frames, "libx264")).fields["picture"] is None


# -- clocks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decode", ["sparse", "full"])
def test_the_first_picture_after_a_hidden_pre_roll_is_found_by_every_decode(cases: Path, run: Run, decode: str) -> None:
    row = run(cases / "edit_list_preroll.mp4", decode=decode, clip_files="copy")

    assert (row.fields["start"], row.fields["duration"], row.partial) == (0.0, 6.68, False)
    (clip,) = row.fields["clips"]
    assert (clip["start"], clip["end"], clip["video"]["pictures"]) == (0.0, 6.68, 167)
    with av.open(io.BytesIO(clip["video"]["file"].data)) as container:
        shown = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    assert (len(shown), shown[0]) == (167, 0.0)


def test_a_clock_that_restarts_leaves_a_row_with_the_length_that_is_missing(cases: Path, run: Run) -> None:
    row = run(cases / "clock_restarts.ts", choice="uniform", clip_files="exact", clip_audio="flac", clip_height=90)

    assert row.partial and "the clock restarts at 7.48 s: the 4.0 s after it were left out" in row.message
    assert (row.fields["start"], row.fields["duration"]) == (1.48, 6.0)
    assert [clip["video"]["pictures"] for clip in row.fields["clips"]] == [150]


@pytest.mark.parametrize("name", ["pause_of_an_hour.mkv", "pause_of_an_hour.mp4"])
@pytest.mark.parametrize("decode", ["sparse", "full"])
def test_a_pause_ends_its_clip_and_is_named(cases: Path, run: Run, name: str, decode: str) -> None:
    row = run(cases / name, decode=decode)

    clips = row.fields["clips"]
    assert row.fields["duration"] == 3610.0
    assert all(clip["end"] - clip["start"] <= 20.0 for clip in clips)
    assert all(before["end"] <= after["start"] for before, after in pairwise(clips))
    assert row.partial and "without a new picture are in no clip" in row.message


@pytest.mark.parametrize("decode", ["sparse", "full"])
def test_a_clock_that_begins_before_zero_keeps_its_times(cases: Path, run: Run, decode: str) -> None:
    row = run(cases / "clock_wraps.ts", decode=decode, clip_files="exact", clip_audio="flac", clip_height=90)

    assert row.fields["start"] == pytest.approx(-4.000689) and row.fields["duration"] == pytest.approx(10.0)
    assert [clip["video"]["pictures"] for clip in row.fields["clips"]] == [125, 125]
    assert not row.partial and not [
        clip["audio"]["problem"] for clip in row.fields["clips"] if clip["audio"]["problem"]
    ]


@pytest.mark.parametrize(
    ("name", "counts"),
    [("clock_wraps.ts", [125, 125]), ("clock_restarts.ts", [150]), ("resolution_changes.ts", [100, 98, 100])],
)
def test_copies_hold_their_clips_pictures_or_are_cut_exactly(
    cases: Path, run: Run, name: str, counts: list[int]
) -> None:
    row = run(cases / name, clip_files="copy", clip_height=90)

    assert [clip["video"]["problem"] for clip in row.fields["clips"]] == [None] * len(counts)
    for clip, count in zip(row.fields["clips"], counts, strict=True):
        with av.open(io.BytesIO(clip["video"]["file"].data)) as container:
            assert sum(1 for _ in container.decode(video=0)) >= count
        assert clip["video"]["start"] <= clip["start"] + 1e-5 and clip["video"]["end"] >= clip["end"] - 1e-5
        assert clip["video"]["pictures"] == count or clip["video"]["end"] - clip["video"]["start"] > count / 25


def test_an_exact_file_ends_with_its_clip_although_the_resolution_changes(cases: Path, run: Run) -> None:
    row = run(cases / "resolution_changes.ts", clip_files="exact", clip_height=90)

    for clip in row.fields["clips"]:
        with av.open(io.BytesIO(clip["video"]["file"].data)) as container:
            assert container.duration / 1e6 == pytest.approx(clip["end"] - clip["start"], abs=0.05)


# -- clips without anything to show ------------------------------------------------------------------------------------


def test_a_black_clip_has_no_frames_and_stays_a_clip(tmp_path: Path, run: Run) -> None:
    def scenes() -> Iterator[av.VideoFrame]:
        for number in range(60):
            picture = np.zeros((240, 320, 3), np.uint8) if 20 <= number < 40 else moving(number // 20 * 15)
            yield av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")

    media = encode(tmp_path / "a.mp4", scenes(), "libx264", 10)

    row = run(media, segmenter="fixed", length=2.0)

    assert [(clip["start"], clip["end"], bool(clip["frames"])) for clip in row.fields["clips"]] == [
        (0.0, 2.0, True),
        (2.0, 4.0, False),
        (4.0, 6.0, True),
    ]
    assert row.fields["clips"][1]["print"] is None
