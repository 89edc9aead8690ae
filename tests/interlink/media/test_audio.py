"""A sample's number tells its time, whatever the container does to the sound."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from subprocess import run
from typing import Any

import numpy as np
import pytest

from interlink.media.audio import RATE, Audio, heard_stream
from interlink.media.probe import Probe, StreamInfo, describe, open_media


def heard(path: Path, block: int = 30 * RATE) -> tuple[np.ndarray, Audio, list[int]]:
    with open_media(path) as container:
        stream = heard_stream(describe(container, path))
        assert stream is not None
        audio = Audio(container, stream, block)
        blocks = list(audio)
        return np.concatenate(blocks), audio, [len(each) for each in blocks]


def write(path: Path, pieces: list[tuple[float, float, float]], rate: int = 48_000) -> None:
    """Stereo tones of (start, length, loudness), at times in seconds, as PCM in Matroska."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="stereo")
        for start, length, loudness in pieces:
            tone = np.sin(np.arange(round(length * rate)) * 2 * np.pi * 440 / rate) * loudness * 32767
            for first in range(0, len(tone), rate // 10):
                samples = np.repeat(tone[first : first + rate // 10].astype(np.int16), 2)[None]
                frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = round(start * rate) + first
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def loud(samples: np.ndarray) -> list[tuple[float, float]]:
    """(start, end) of what is heard, in seconds from the first sample, in steps of 20 ms."""
    step = RATE // 50
    on = [bool(np.abs(samples[n : n + step]).max() > 0.05) for n in range(0, len(samples), step)]
    edges = [n for n, (before, after) in enumerate(zip([False, *on], [*on, False], strict=True)) if before != after]
    return [(first / 50, last / 50) for first, last in zip(edges[::2], edges[1::2], strict=True)]


def test_sound_keeps_its_loudness_and_length(tmp_path: Path) -> None:
    write(tmp_path / "a.mkv", [(0.0, 2.0, 0.5)])

    samples, audio, _ = heard(tmp_path / "a.mkv")

    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(2 * RATE, abs=40)
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.02)
    assert (audio.start, audio.loss()) == (0.0, "")


def test_a_gap_in_time_is_silence_and_a_late_start_is_told(tmp_path: Path) -> None:
    write(tmp_path / "a.mkv", [(3.0, 1.0, 0.5), (6.0, 1.0, 0.5)])

    samples, audio, _ = heard(tmp_path / "a.mkv")

    assert audio.start == pytest.approx(3.0, abs=0.002)
    (first, second) = loud(samples)
    assert first == pytest.approx((0.0, 1.0), abs=0.03)
    assert second == pytest.approx((3.0, 4.0), abs=0.03)
    assert audio.seconds == pytest.approx(4.0, abs=0.01)


def test_sound_whose_time_was_heard_already_is_left_out_and_said(tmp_path: Path) -> None:
    """Two transport streams put one behind the other, each counting from its own beginning."""
    import imageio_ffmpeg

    part, joined = tmp_path / "part.ts", tmp_path / "joined.ts"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-f", "lavfi", "-i", "sine=d=2"]
    run([*command, "-c:a", "mp2", str(part)], check=True)
    joined.write_bytes(part.read_bytes() * 2)

    once, _, _ = heard(part)
    samples, audio, _ = heard(joined)

    assert len(samples) == pytest.approx(len(once), abs=RATE // 10)
    assert "with decreasing times were left out" in audio.loss()


def test_blocks_have_their_size_and_lose_nothing(shared_data: Path) -> None:
    path = shared_data / "clips" / "commentary_greenscreen_timecode.mp4"

    whole, audio, _ = heard(path, 10**9)
    cut, _, sizes = heard(path, 4 * RATE)

    assert np.array_equal(whole, cut)
    assert set(sizes[:-1]) == {4 * RATE}
    assert audio.seconds == pytest.approx(42.4, abs=0.05)


def test_damage_keeps_what_precedes_it(shared_data: Path) -> None:
    samples, _, _ = heard(shared_data / "clips" / "truncated_lecture_faststart.mp4")
    whole, _, _ = heard(shared_data / "clips" / "lecture_laion400m_slides.mp4")

    assert 50 < len(samples) / RATE < 55
    assert np.array_equal(samples[: 50 * RATE], whole[: 50 * RATE])


def test_the_default_stream_is_heard(shared_data: Path) -> None:
    path = shared_data / "clips" / "nasa_webb_multistream.mp4"
    with open_media(path) as container:
        stream = heard_stream(describe(container, path))
        assert stream is not None
        assert stream.index == 1

    with open_media(shared_data / "clips" / "bikes_hard_cuts.mp4") as container:
        assert heard_stream(describe(container, path)) is None


def test_every_gap_is_as_much_silence_as_it_lasts(tmp_path: Path) -> None:
    write(tmp_path / "a.mkv", [(0.0, 0.5, 0.5), (1.0, 0.5, 0.5), (3.0, 0.5, 0.5)])

    samples, audio, _ = heard(tmp_path / "a.mkv")

    assert loud(samples) == [pytest.approx((start, start + 0.5), abs=0.03) for start in (0.0, 1.0, 3.0)]
    assert len(samples) == pytest.approx(3.5 * RATE, abs=100)
    assert not samples[round(1.6 * RATE) : round(2.9 * RATE)].any()
    assert audio.loss() == ""


def test_a_gap_of_less_than_a_twentieth_second_counts_as_rounding_until_several_add_up(tmp_path: Path) -> None:
    write(tmp_path / "one.mkv", [(0.0, 0.5, 0.5), (0.54, 0.5, 0.5)])
    write(tmp_path / "two.mkv", [(0.0, 0.5, 0.5), (0.54, 0.5, 0.5), (1.08, 0.5, 0.5)])

    assert len(heard(tmp_path / "one.mkv")[0]) == pytest.approx(1.0 * RATE, abs=100)
    assert len(heard(tmp_path / "two.mkv")[0]) == pytest.approx(1.58 * RATE, abs=100)


class _SetBack:
    """A container whose sound from one second on has earlier times."""

    def __init__(self, container: Any, seconds: float) -> None:
        self._container, self._seconds, self.streams = container, seconds, container.streams

    def demux(self, stream: Any) -> Iterator[Any]:
        for packet in self._container.demux(stream):
            if packet.pts is not None and packet.pts * packet.time_base >= 0.999:
                packet.pts -= round(self._seconds / packet.time_base)
            yield packet


def set_back(path: Path, seconds: float) -> tuple[np.ndarray, Audio]:
    with open_media(path) as container:
        stream = heard_stream(describe(container, path))
        assert stream is not None
        audio = Audio(_SetBack(container, seconds), stream)
        return np.concatenate(list(audio)), audio


def test_only_sound_that_lies_wholly_before_what_was_heard_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a.mkv", [(0.0, 1.5, 0.5)])  # in pieces of 0.1 s

    samples, audio = set_back(tmp_path / "a.mkv", 0.07)
    assert (len(samples), audio.backwards) == (pytest.approx(1.5 * RATE, abs=100), 0)
    samples, audio = set_back(tmp_path / "a.mkv", 0.27)
    assert (len(samples), audio.backwards) == (pytest.approx(1.3 * RATE, abs=100), 2)
    assert audio.loss() == "2 pieces of sound with decreasing times were left out"


def test_a_jump_beyond_the_longest_gap_is_damage_and_no_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlink.media.audio.LONGEST_GAP", 2.0)
    write(tmp_path / "a.mkv", [(0.0, 0.5, 0.5), (2.4, 0.5, 0.5), (5.0, 0.5, 0.5), (6.0, 0.5, 0.5)])

    samples, audio, _ = heard(tmp_path / "a.mkv")

    assert loud(samples) == [pytest.approx(span, abs=0.03) for span in ((0.0, 0.5), (2.4, 3.4), (3.9, 4.4))]
    assert audio.loss() == "1 jumps in the time of the sound were ignored"
    assert audio.seconds == len(samples) / RATE


def test_everything_that_was_lost_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.mkv", [(0.0, 0.2, 0.5)])
    _, audio, _ = heard(tmp_path / "a.mkv")
    audio.errors, audio.jumps, audio.backwards, audio.stopped = 1, 2, 3, "end"

    assert audio.loss() == (
        "1 packets of sound could not be decoded; 2 jumps in the time of the sound were ignored; "
        "3 pieces of sound with decreasing times were left out; reading the sound stopped (end)"
    )


def test_blocks_of_a_length_that_divides_the_sound_have_no_rest(tmp_path: Path) -> None:
    write(tmp_path / "a.mkv", [(0.0, 1.0, 0.5)], rate=16_000)

    for block in (4000, 8000, 16_000):
        assert heard(tmp_path / "a.mkv", block)[2] == [block] * (16_000 // block)
    assert heard(tmp_path / "a.mkv", 6000)[2] == [6000, 6000, 4000]


def test_the_default_stream_goes_before_the_first_and_one_without_a_decoder_is_none() -> None:
    def stream(index: int, kind: str = "audio", codec: str = "aac", default: bool = False) -> StreamInfo:
        return StreamInfo(index, kind, codec, "", default, cover=False, duration=None, start=None)

    def chosen(*streams: StreamInfo) -> int | None:
        found = heard_stream(Probe("x", "mp4", 0, None, streams, None))
        return None if found is None else found.index

    assert chosen(stream(0, "video", default=True), stream(1), stream(2, default=True), stream(3)) == 2
    assert chosen(stream(0, "video"), stream(1, codec="", default=True), stream(2), stream(3)) == 2
    assert chosen(stream(0, "video"), stream(1, codec="")) is None
