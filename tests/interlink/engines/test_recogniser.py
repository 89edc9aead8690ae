"""Recognisers are real engines on tiny random checkpoints: what they say is nonsense, how they say it is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from interlink.engines.captioner import Identity
from interlink.engines.heard import Heard, cue_of
from interlink.engines.recogniser import RecogniserSettings, Utterance, make_recogniser, recognise
from interlink.errors import StageError, UserError
from interlink.subtitles.cues import Cue

RATE = 16_000


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`words` has alignment heads, `phrases` has none, `english` knows one language."""
    from tiny_whisper import save_whisper

    folder = tmp_path_factory.mktemp("whisper")
    save_whisper(folder / "words")
    save_whisper(folder / "phrases", word_times=False)
    save_whisper(folder / "english", multilingual=False)
    return folder


@pytest.fixture(scope="module")
def converted(checkpoints: Path) -> Path:
    pytest.importorskip("faster_whisper", reason="faster-whisper (the extra `speech`) is not installed")
    from tiny_whisper import convert

    return convert(checkpoints / "words", checkpoints / "converted")


@pytest.fixture(scope="module")
def spoken(shared_data: Path) -> list[Utterance]:
    from interlink.media.audio import Audio, heard_stream
    from interlink.media.probe import describe, open_media

    path = shared_data / "audio" / "harvard_sentences_list30.mp3"
    with open_media(path) as container:
        stream = heard_stream(describe(container, path))
        assert stream is not None
        samples = np.concatenate(list(Audio(container, stream)))
    return [Utterance(first, samples[first * RATE : (first + 4) * RATE]) for first in (1, 6, 12, 17, 22)]


def cues_of(heard: Sequence[Heard]) -> list[Cue]:
    return [one.cue for one in heard if one.cue is not None]


def said(heard: Sequence[Heard]) -> list[str]:
    return [token.text for cue in cues_of(heard) for token in cue.lines[0].tokens]


@pytest.mark.parametrize("name", ["words", "phrases", "english"])
def test_transformers_gives_cues_within_what_was_spoken(checkpoints: Path, spoken: list[Utterance], name: str) -> None:
    engine = make_recogniser("transformers", RecogniserSettings(model=str(checkpoints / name), batch_size=2))
    identity = engine.open()

    heard, language = recognise(engine, spoken)
    again, _ = recognise(engine, spoken)

    assert (identity.engine, identity.model) == ("transformers", name)
    assert identity.parameters["word_times"] == (name != "phrases")
    assert said(heard)
    assert heard == again
    assert language in ("en", "de")
    assert language == "en" or name != "english"
    _lies_within(heard, spoken)


@pytest.mark.slow
def test_transformers_says_the_same_in_batches_of_any_size(checkpoints: Path, spoken: list[Utterance]) -> None:
    def ask(batch_size: int) -> list[Heard]:
        settings = RecogniserSettings(model=str(checkpoints / "words"), batch_size=batch_size, language="en")
        engine = make_recogniser("transformers", settings)
        engine.open()
        return recognise(engine, spoken)[0]

    assert said(ask(1)) == said(ask(5))


def test_faster_whisper_gives_cues_within_what_was_spoken(converted: Path, spoken: list[Utterance]) -> None:
    engine = make_recogniser("faster-whisper", RecogniserSettings(model=str(converted), batch_size=2, beams=1))
    identity = engine.open()

    heard, language = recognise(engine, spoken)

    assert (identity.engine, identity.model, language) == ("faster-whisper", "converted", "en")
    assert identity.revision.startswith("folder-")
    assert said(heard)
    assert heard == recognise(engine, spoken)[0]
    _lies_within(heard, spoken)


def _lies_within(heard: Sequence[Heard], spoken: Sequence[Utterance]) -> None:
    for one in heard:
        assert one.logprob is not None and one.logprob < 0
        assert one.no_speech is not None and 0 <= one.no_speech <= 1
    for cue in cues_of(heard):
        (home,) = [each for each in spoken if each.start <= cue.start and cue.end <= each.end + 0.001]
        times = [time for token in cue.lines[0].tokens for time in (token.time, token.end) if time is not None]
        assert all(home.start <= time <= home.end for time in times)
        starts = [token.time for token in cue.lines[0].tokens if token.time is not None]
        assert starts == sorted(starts)


@pytest.mark.parametrize("engine", ["transformers", "faster-whisper"])
@pytest.mark.parametrize(
    ("model", "named"),
    [("", "no model"), ("/nowhere/whisper", "/nowhere/whisper"), ("nobody/nothing-of-this-name", "nobody/nothing")],
)
def test_a_model_that_is_not_there_is_named_with_the_setting_to_mend(engine: str, model: str, named: str) -> None:
    if engine == "faster-whisper":
        pytest.importorskip("faster_whisper", reason="faster-whisper (the extra `speech`) is not installed")

    with pytest.raises(UserError, match=named) as raised:
        make_recogniser(engine, RecogniserSettings(model=model)).open()

    assert "transcribe.speech.model" in raised.value.do


def test_a_folder_that_was_not_converted_is_refused_with_the_way_to_convert_it(checkpoints: Path) -> None:
    with pytest.raises(UserError, match=r"model\.bin") as raised:
        make_recogniser("faster-whisper", RecogniserSettings(model=str(checkpoints / "words"))).open()

    assert "ct2-transformers-converter" in raised.value.do


@pytest.mark.parametrize(("name", "known"), [("words", "de, en"), ("english", "en")])
def test_a_language_that_the_checkpoint_does_not_know_is_refused(checkpoints: Path, name: str, known: str) -> None:
    settings = RecogniserSettings(model=str(checkpoints / name), language="fr")

    with pytest.raises(UserError, match="'fr'") as raised:
        make_recogniser("transformers", settings).open()

    assert f"one of: {known};" in raised.value.do


def test_a_stated_language_is_not_asked_for(checkpoints: Path, spoken: list[Utterance]) -> None:
    engine = make_recogniser("transformers", RecogniserSettings(model=str(checkpoints / "words"), language="de"))
    engine.open()

    assert recognise(engine, spoken[:1])[1] == "de"


class Cramped:
    """An engine with room for so many utterances at once."""

    def __init__(self, room: int) -> None:
        self.batch_size, self.room = 8, room
        self.asked: list[int] = []

    def open(self) -> Identity:
        return Identity("cramped")

    def close(self) -> None: ...

    def language_of(self, utterances: Sequence[Utterance]) -> str:
        return "en"

    def recognise(self, utterances: Sequence[Utterance], language: str) -> list[list[Heard]]:
        self.asked.append(len(utterances))
        if len(utterances) > self.room:
            raise MemoryError
        cues = [cue_of([(f"{one.start:g}", 0.0, 0.1)], one.start, one.end) for one in utterances]
        return [[Heard(one.start, one.end, cue)] for one, cue in zip(utterances, cues, strict=True)]


def _silent(count: int) -> list[Utterance]:
    return [Utterance(float(number), np.zeros(RATE // 2, dtype=np.float32)) for number in range(count)]


def test_when_memory_runs_out_batches_are_halved_for_good_and_nothing_is_lost() -> None:
    engine = Cramped(room=3)

    heard, _ = recognise(engine, _silent(20))  # type: ignore[arg-type]

    assert said(heard) == [str(number) for number in range(20)]
    assert engine.batch_size <= 3
    assert engine.asked[:2] == [8, 4]


def test_one_utterance_that_does_not_fit_is_a_failure_of_memory() -> None:
    with pytest.raises(StageError, match="smaller model") as raised:
        recognise(Cramped(room=0), _silent(2))  # type: ignore[arg-type]

    assert raised.value.error_class == "memory"


class Hasty(Cramped):
    """An engine that stops after the first second of a stretch."""

    def recognise(self, utterances: Sequence[Utterance], language: str) -> list[list[Heard]]:
        self.loudest = max(float(np.abs(one.samples).max()) for one in utterances)
        cues = [cue_of([(f" {one.start:g}", 0.0, 1.0)], one.start, one.end) for one in utterances]
        return [[Heard(one.start, one.end, cue)] for one, cue in zip(utterances, cues, strict=True)]


def test_what_an_engine_passes_over_at_the_end_is_recognised_once_more() -> None:
    long, short = (np.full(seconds * RATE, 0.1, dtype=np.float32) for seconds in (6, 3))

    found, _ = recognise(Hasty(room=8), [Utterance(10.0, long), Utterance(20.0, short)])  # type: ignore[arg-type]

    assert said(found) == ["10", "11", "20"]


def test_quiet_speech_is_made_louder() -> None:
    engine = Hasty(room=8)

    recognise(engine, [Utterance(0.0, np.full(RATE, 0.1, dtype=np.float32))])  # type: ignore[arg-type]

    assert engine.loudest == pytest.approx(0.5)
