"""Speech is found where it is, whatever the blocks it comes in; the rest is silence or other sound."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("silero_vad", reason="silero-vad (the extra `speech`) is not installed")

from interlink.engines.listen import BLOCK, LONGEST, PAD, WINDOW, Listener, Shares
from interlink.engines.recogniser import Utterance
from interlink.media.audio import RATE, Audio, heard_stream
from interlink.media.probe import describe, open_media


@pytest.fixture(scope="module")
def listener() -> Listener:
    listener = Listener()
    listener.open()
    return listener


def samples_of(path: Path) -> np.ndarray:
    with open_media(path) as container:
        stream = heard_stream(describe(container, path))
        assert stream is not None
        return np.concatenate(list(Audio(container, stream)))


def listen(listener: Listener, samples: np.ndarray, block: int = BLOCK) -> tuple[list[Utterance], Shares]:
    hearing = listener.hear()
    blocks = (samples[first : first + block] for first in range(0, len(samples), block))
    return list(hearing.utterances(blocks, lambda: 10.0)), hearing.shares


def test_each_harvard_sentence_is_a_stretch_of_speech_where_the_aligner_hears_it(
    listener: Listener, shared_data: Path
) -> None:
    samples = samples_of(shared_data / "audio" / "harvard_sentences_list30.mp3")

    found, shares = listen(listener, samples)

    aligned = json.loads((shared_data / "audio" / "harvard_sentences_list30.gentle_aligned.json").read_text())["words"]
    times = [word["start"] for word in aligned if "start" in word]
    firsts = [time for before, time in zip([-9.0, *times], times, strict=False) if time - before > 1.5]
    assert len(found) == len(firsts) == 10
    for utterance, first in zip(found, firsts, strict=True):
        # silero hears a stretch within a third of a second of the aligner's first word
        assert utterance.start - 10.0 + PAD * WINDOW / RATE == pytest.approx(first, abs=0.35)
        begin = round((utterance.start - 10.0) * RATE)
        assert np.array_equal(utterance.samples, samples[begin : begin + len(utterance.samples)])
    assert shares.speech + shares.silence + shares.other == pytest.approx(1.0, abs=0.001)
    assert 0.55 < shares.speech < 0.75


def test_the_size_of_the_blocks_changes_nothing(listener: Listener, shared_data: Path) -> None:
    samples = samples_of(shared_data / "audio" / "harvard_sentences_list30.mp3")

    large, shares = listen(listener, samples, BLOCK)
    small, same_shares = listen(listener, samples, 7 * WINDOW)

    assert [(u.start, len(u.samples)) for u in large] == [(u.start, len(u.samples)) for u in small]
    assert shares == same_shares


def test_long_speech_is_cut_into_stretches_that_a_recogniser_can_take_and_none_of_it_is_lost(
    listener: Listener, shared_data: Path
) -> None:
    once = samples_of(shared_data / "audio" / "librispeech_1272-128104-0000.flac")[: 5 * RATE]
    samples = np.tile(once, 14)  # 70 s

    found, shares = listen(listener, samples)

    assert len(found) >= 3
    assert all(len(utterance.samples) <= LONGEST * WINDOW for utterance in found)
    assert all(after.start - before.end < 1.2 for before, after in pairwise(found))
    assert found[-1].end > 78
    assert shares.speech > 0.85


def test_silence_and_noise_are_told_apart_and_are_no_speech(listener: Listener) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 10 * RATE).astype(np.float32)
    silence = np.zeros(30 * RATE, dtype=np.float32)

    found, shares = listen(listener, np.concatenate([noise, silence]))

    assert found == []
    assert shares == Shares(40.0, 0.0, pytest.approx(0.75, abs=0.01), pytest.approx(0.25, abs=0.01))


def test_no_sound_has_no_shares(listener: Listener) -> None:
    assert listen(listener, np.zeros(0, dtype=np.float32)) == ([], Shares())
