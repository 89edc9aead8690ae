"""The sound of a clip is a slice of the whole track, sample by sample, with silence where there is none."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlink.media.audio import Slices, Sound, heard_stream
from interlink.media.clipcopy import copy_clip
from interlink.media.clipfile import cut_audio, cut_clip
from interlink.media.probe import StreamInfo, describe, open_media

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases" / "media"
RATE = 8000
Samples = np.ndarray[Any, Any]


@pytest.fixture
def cases() -> Path:
    if not CASES.is_dir():
        pytest.skip(f"the files of reported cases are not on this machine: {CASES} is absent")
    return CASES


def write(path: Path, spans: list[tuple[int, int]], tracks: int = 1, **first: Any) -> Samples:
    """PCM in Matroska. spans: (start, end) in tenths of a second of what is heard; the last track is the default.

    Returns the samples of the default track since 0; `first` are attributes of the first track.
    """
    rng = np.random.default_rng(0)
    whole = np.zeros((spans[-1][1] * RATE // 10, 2), np.int16)
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=RATE, layout="stereo") for _ in range(tracks)]
        for number, stream in enumerate(streams):
            stream.disposition = av.stream.Disposition.default if number == tracks - 1 else 0
        for name, value in first.items():
            if name == "title":
                streams[0].metadata["title"] = value
            else:
                setattr(streams[0], name, value)
        for start, end in spans:
            for tenth in range(start, end):
                at = tenth * RATE // 10
                for number, stream in enumerate(streams):
                    block = rng.integers(-9000, 9000, (RATE // 10, 2)).astype(np.int16)
                    if number == tracks - 1:
                        whole[at : at + len(block)] = block
                    frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="stereo")
                    frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), at
                    container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return whole


def samples_of(path: Path) -> Samples:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return np.concatenate(
            [frame.to_ndarray().reshape(-1, frame.layout.nb_channels) for frame in container.decode(stream)]
        )


def expected(whole: Samples, start: float, end: float) -> Samples:
    """The slice, with zeros outside the track."""
    first, last = round(start * RATE), round(end * RATE)
    padded = np.zeros((last - first, 2), np.int16)
    inside = whole[max(0, first) : max(0, last)]
    padded[max(0, -first) : max(0, -first) + len(inside)] = inside
    return padded


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(0, 60), min_size=2, max_size=6, unique=True),
    st.lists(st.floats(-1.0, 8.0), min_size=2, max_size=5),
    st.integers(1, 3),
)
def test_slices_equal_the_track_at_gaps_late_starts_and_its_end(
    tmp_path: Path, edges: list[int], times: list[float], tracks: int
) -> None:
    ordered = sorted(edges)
    spans = [(a, b) for a, b in zip(ordered[::2], ordered[1::2], strict=False)]
    path = tmp_path / "a.mkv"
    path.unlink(missing_ok=True)
    whole = write(path, spans, tracks)

    with open_media(path) as container:
        stream = heard_stream(describe(container, path))
        assert stream is not None and stream.index == tracks - 1
        slices = Slices(Sound(container, stream))
        for start, end in pairwise(sorted(times)):
            pieces = list(slices.between(start, end))
            found = np.concatenate(pieces) if pieces else np.zeros((0, 2), np.int16)
            first = slices.sound.start  # of the track: slices count whole samples from it
            shifted = (round((start - first) * RATE) / RATE + first, round((end - first) * RATE) / RATE + first)
            np.testing.assert_array_equal(found, expected(whole, *shifted))


def test_a_flac_file_holds_the_slice_at_the_sources_rate_and_channels(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.mkv", [(5, 15), (22, 40)], tracks=2)

    cut_audio(tmp_path / "a.mkv", tmp_path / "a.flac", 0.2, 3.5)

    np.testing.assert_array_equal(samples_of(tmp_path / "a.flac"), expected(whole, 0.2, 3.5))


@pytest.mark.parametrize(
    "first",
    [
        {"disposition": av.stream.Disposition.comment | av.stream.Disposition.default},
        {"disposition": av.stream.Disposition.default, "title": "Director's commentary"},
        {"disposition": av.stream.Disposition.default, "title": "Kommentar der Regie"},
        {"disposition": av.stream.Disposition.visual_impaired},
        {"title": "English audio description"},
    ],
)
def test_a_commentary_is_never_the_sound_of_a_video(tmp_path: Path, first: dict[str, Any]) -> None:
    path = tmp_path / "a.mkv"
    whole = write(path, [(0, 10)], tracks=2, **first)

    cut_audio(path, tmp_path / "a.flac", 0.2, 0.8)

    np.testing.assert_array_equal(samples_of(tmp_path / "a.flac"), expected(whole, 0.2, 0.8))


def test_a_commentary_that_is_the_only_sound_is_heard() -> None:
    only = StreamInfo(0, "audio", "aac", "", True, cover=False, duration=None, start=None, commentary=True)

    from interlink.media.probe import Probe

    assert heard_stream(Probe("x", "mp4", 0, None, (only,), None)) == only


def test_sound_with_more_than_16_bits_keeps_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wide = (rng.integers(-(2**23), 2**23, 4000) << 8).astype(np.int32)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s32le", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(wide[None], format="s32", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    cut_audio(tmp_path / "a.mkv", tmp_path / "a.flac", 0.1, 0.4)

    np.testing.assert_array_equal(samples_of(tmp_path / "a.flac")[:, 0], wide[800:3200])


def loud(path: Path) -> list[bool]:
    """Whether each half second of a file's sound is heard, by the file's own clock."""
    heard = np.zeros(20)
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            values = np.abs(frame.to_ndarray().astype(float)).max(axis=0)
            scale = 32768 if "16" in frame.format.name else 1
            at = float(frame.pts * frame.time_base) + np.arange(len(values)) / frame.sample_rate
            for part in range(20):
                inside = values[(at >= part / 2 + 0.05) & (at < part / 2 + 0.45)]
                heard[part] = max(heard[part], inside.max() / scale if len(inside) else 0)
    return [bool(value > 0.02) for value in heard]


@pytest.mark.parametrize("how", ["flac", "m4a", "exact", "copy"])
def test_every_kind_of_clip_file_is_silent_where_a_late_sound_is_missing(cases: Path, tmp_path: Path, how: str) -> None:
    """The sound begins at 4.88 s; the clip is that from 3 s to 7 s."""
    source = cases / "sound_starts_late.mp4"
    target = tmp_path / f"a.{how if how in ('flac', 'm4a') else 'mp4'}"

    if how == "exact":
        cut_clip(source, target, 3.0, 7.0, 90)
    elif how == "copy":
        assert copy_clip(source, target, 3.0, 7.0).start == 3.0
    else:
        cut_audio(source, target, 3.0, 7.0)

    assert loud(target)[:8] == [False] * 3 + loud(source)[9:14]
    assert not any(loud(target)[8:])


def test_the_reported_commentary_is_passed_over(cases: Path, tmp_path: Path) -> None:
    source = cases / "commentary_first_default_second.mkv"
    for write_file in (
        lambda target: cut_clip(source, target, 1, 3, 90),
        lambda target: copy_clip(source, target, 1, 3),
    ):
        write_file(tmp_path / "a.mp4")
        with open_media(source) as container:
            stream = heard_stream(describe(container, source))
            assert stream is not None and stream.index == 2
            right = [f.to_ndarray()[0] for f in container.decode(container.streams[2])]
        wanted = abs(np.fft.rfft(np.concatenate(right)[44100:88200])).argmax()
        with av.open(str(tmp_path / "a.mp4")) as container:
            found = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        assert abs(np.fft.rfft(found[10000:54100])).argmax() == pytest.approx(wanted, abs=3)


@pytest.mark.parametrize(("channels", "rate"), [(1, 12345), (3, 44100), (7, 48000), (2, 192000)])
@pytest.mark.parametrize("suffix", ["flac", "m4a"])
def test_any_number_of_channels_and_any_rate_becomes_a_file(
    tmp_path: Path, channels: int, rate: int, suffix: str
) -> None:
    import wave

    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(2 * channels * rate))

    cut_audio(tmp_path / "a.wav", tmp_path / f"a.{suffix}", 0.25, 0.75)

    with av.open(str(tmp_path / f"a.{suffix}")) as container:
        stream = container.streams.audio[0]
        assert stream.layout.nb_channels == channels
        assert sum(frame.samples for frame in container.decode(stream)) / stream.rate == pytest.approx(0.5, abs=0.03)
