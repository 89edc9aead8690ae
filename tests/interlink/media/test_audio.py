"""A sample's number tells its time, whatever the container does to the sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from subprocess import run

import numpy as np
import pytest

from interlink.media.audio import RATE, Audio, heard_stream
from interlink.media.probe import describe, open_media


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
