"""Speech is found where it is, whatever the blocks it comes in; the rest is silence or other sound."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("silero_vad", reason="silero-vad (the extra `speech`) is not installed")

from interlink.engines.listen import BLOCK, LONGEST, PAD, WINDOW, Hearing, Listener, Shares, pause_of
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


@pytest.mark.parametrize(
    ("likely", "cut"),
    [
        ([0.9, 0.9, 0.1, 0.9, 0.3, 0.3, 0.3, 0.3, 0.3, 0.9], 6),  # longer goes before deeper
        ([0.9, 0.4, 0.4, 0.4, 0.9, 0.0, 0.0, 0.9], 5),  # deeper goes before longer
        ([0.9, 0.8, 0.7, 0.8], 2),  # without a pause, the least likely window
        ([0.1, 0.1, 0.9, 0.1, 0.1], 3),  # with ties, the later one
    ],
)
def test_the_longest_and_deepest_pause_is_found(likely: list[float], cut: int) -> None:
    assert pause_of(likely) == cut


class Played:
    """Answers with given probabilities of speech."""

    def __init__(self, likely: list[float]) -> None:
        self._likely = likely

    def run(self, names: list[str], given: dict[str, np.ndarray]) -> list[np.ndarray]:
        count = len(given["input"])
        now, self._likely = self._likely[:count], self._likely[count:]
        return [np.array(now), given["h"], given["c"]]


def heard(likely: list[float]) -> list[tuple[int, int]]:
    """(first window, window after the last) of each stretch."""
    samples = np.ones(len(likely) * WINDOW, dtype=np.float32)
    hearing = Hearing(Played(likely))
    blocks = (samples[first : first + BLOCK] for first in range(0, len(samples), BLOCK))
    found = list(hearing.utterances(blocks, lambda: 0.0))
    return [(round(one.start * RATE / WINDOW), round(one.end * RATE / WINDOW)) for one in found]


def test_long_speech_is_cut_in_a_pause_and_no_sound_is_heard_twice() -> None:
    likely = [0.95] * 2000
    likely[600] = 0.01  # a stop consonant
    likely[700:715] = [0.2] * 15  # a breath between two sentences
    likely[1300:1320] = [0.3] * 20

    found = heard(likely)

    assert found == [(0, 708), (708, 1310), (1310, 2000)]


def test_a_quiet_start_belongs_to_the_stretch() -> None:
    likely = [0.05] * 50 + [0.3] * 10 + [0.9] * 50 + [0.05] * 100

    assert heard(likely) == [(50 - PAD, 110 + PAD)]


def test_a_breath_of_a_second_does_not_divide_a_stretch() -> None:
    likely = [0.9] * 60 + [0.05] * 40 + [0.9] * 60 + [0.05] * 60 + [0.9] * 60 + [0.05] * 60

    assert heard(likely) == [(0, 160 + PAD), (220 - PAD, 280 + PAD)]


def test_real_speech_is_cut_between_its_sentences(listener: Listener, shared_data: Path) -> None:
    samples = samples_of(shared_data / "audio" / "harvard_sentences_list30.mp3")
    aligned = json.loads((shared_data / "audio" / "harvard_sentences_list30.gentle_aligned.json").read_text())["words"]
    words = [(word["start"], word["end"]) for word in aligned if "start" in word]
    # Pauses shortened to 0.6 s, so that the ten sentences are one stretch of 35 s.
    spans = [(words[0][0], words[0][1])]
    for start, end in words[1:]:
        spans = [*spans[:-1], (spans[-1][0], end)] if start - spans[-1][1] < 0.9 else [*spans, (start, end)]
    quiet = np.zeros(round(0.3 * RATE), dtype=np.float32)
    pieces = [np.concatenate([quiet, samples[round(a * RATE) : round(b * RATE)], quiet]) for a, b in spans]
    edges = np.cumsum([len(piece) for piece in pieces]) / RATE

    found, _ = listen(listener, np.concatenate(pieces))

    assert len(found) == 2
    assert min(abs(found[1].start - 10.0 - edge) for edge in edges) < 0.3
