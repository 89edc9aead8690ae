"""transcribe without subtitles: what is heard becomes words with times, and shares of the sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from interlink.errors import UserError
from interlink.runtime.isolate import Child, StageSpec
from interlink.stage import Context, Item, Row
from interlink.stages.transcribe import Transcribe, TranscribeSettings
from interlink.storage import Storage

# A random model is never sure of its nonsense, so these tests keep whatever it says.
ALL = {"no_speech": 1.0, "logprob": -1e9, "compression": 1e9, "repetition": 1.0, "stock_logprob": -1e9}

pytest.importorskip("silero_vad", reason="silero-vad (the extra `speech`) is not installed")


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Whisper: what it says is nonsense, when it speaks is not."""
    from tiny_whisper import save_whisper

    return save_whisper(tmp_path_factory.mktemp("whisper") / "tiny")


def item_of(media: Path, root: Path, *sidecars: bytes, **download: Any) -> Item:
    storage = Storage(str(root))
    files = []
    for number, data in enumerate(sidecars):
        storage.write(f"tables/{number}.tar", data)
        reference = {"blob": f"{number}.tar", "offset": 0, "size": len(data), "sha256": ""}
        files.append({"name": f"{number}.vtt", "language": "en", "data": reference})
    row = {"media": str(media), "subtitles": files, "size": media.stat().st_size, "info": "{}"} | download
    return Item("video", "0", {"collect": {}, "download": row}, {"download": "tables"}, Context(storage))


def run(item: Item, **settings: Any) -> Row:
    stage = Transcribe(TranscribeSettings(**settings), item.context)
    stage.open()
    (row,) = stage.run(iter([item]))
    stage.close()
    return row


def test_speech_without_subtitles_is_recognised_where_it_is_heard(
    whisper: Path, shared_data: Path, tmp_path: Path
) -> None:
    media = shared_data / "audio" / "harvard_sentences_list30.mp3"

    row = run(
        item_of(media, tmp_path),
        recogniser="transformers",
        speech={"model": str(whisper), "batch_size": 4, "keep": ALL},
    )

    assert (row.status, row.fields["source"], row.fields["name"]) == ("ok", "recognised", "stream 0")
    assert (row.fields["engine"], row.fields["model"]) == ("transformers", "tiny")
    assert row.fields["revision"].startswith("folder-")
    assert json.loads(row.fields["parameters"])["word_times"] is True
    words = [word for sentence in row.fields["sentences"] for word in sentence["words"]]
    starts = [word["start"] for word in words]
    assert starts == sorted(starts)
    assert any(word["timed"] for word in words)
    # Words lie only in the ten sentences, as the aligner of the shared data heard them.
    aligned = json.loads((shared_data / "audio" / "harvard_sentences_list30.gentle_aligned.json").read_text())["words"]
    heard: list[list[float]] = []
    for word in aligned:
        if "start" in word:
            if not heard or word["start"] - heard[-1][1] > 0.9:
                heard.append([word["start"], word["end"]])
            heard[-1][1] = word["end"]
    assert len(heard) == 10
    for word in words:
        assert any(start - 0.5 <= word["start"] and word["end"] <= end + 0.5 for start, end in heard), word
    assert row.fields["sound"]["seconds"] == pytest.approx(53.6, abs=0.2)


@pytest.mark.processes
def test_the_stage_recognises_in_its_isolated_child(whisper: Path, shared_data: Path, tmp_path: Path) -> None:
    item = item_of(shared_data / "audio" / "jfk.flac", tmp_path)
    settings = {"recogniser": "transformers", "speech": {"model": str(whisper), "keep": ALL}}
    child = Child(StageSpec("interlink.stages.transcribe:Transcribe", settings, item.context), 4096)
    try:
        row = child.call(item, 120.0)
    finally:
        child.close()

    assert (row.status, row.fields["source"]) == ("ok", "recognised"), row.message
    assert row.fields == run(item, **settings).fields


def test_subtitles_go_before_a_recogniser_and_shares_are_measured_where_asked(
    whisper: Path, shared_data: Path, tmp_path: Path
) -> None:
    item = item_of(
        shared_data / "audio" / "jfk.flac", tmp_path, b"WEBVTT\n\n00:00.300 --> 00:10.000\nAnd so, my fellow\n"
    )
    settings = {"recogniser": "transformers", "speech": {"model": str(whisper), "keep": ALL}}

    row, measured = run(item, **settings), run(item, sound_shares=True)

    assert (row.fields["source"], row.fields["sound"], row.fields["model"]) == ("sidecar", None, "")
    assert measured.fields["sentences"] == row.fields["sentences"]
    assert measured.fields["sound"]["speech"] > 0.6


def test_a_video_without_sound_has_no_words_and_no_fault(whisper: Path, shared_data: Path, tmp_path: Path) -> None:
    item = item_of(shared_data / "clips" / "bikes_hard_cuts.mp4", tmp_path)

    row = run(item, recogniser="transformers", speech={"model": str(whisper), "keep": ALL})

    assert (row.status, row.partial, row.fields["source"], row.fields["engine"]) == ("ok", False, "none", "")
    assert row.fields["sound"] == {"seconds": 0.0, "speech": 0.0, "silence": 0.0, "other": 0.0}


def test_sound_in_which_nobody_speaks_is_not_given_to_the_model(
    whisper: Path, shared_data: Path, tmp_path: Path
) -> None:
    item = item_of(shared_data / "clips" / "flower_rot90_metadata.mp4", tmp_path)

    row = run(item, recogniser="transformers", speech={"model": str(whisper), "keep": ALL})

    assert (row.fields["source"], row.fields["sentences"]) == ("none", [])
    assert row.fields["sound"]["speech"] == 0.0
    assert row.fields["sound"]["seconds"] == pytest.approx(5.06, abs=0.05)


def test_a_missing_model_stops_the_build_and_names_the_folder(tmp_path: Path) -> None:
    settings = TranscribeSettings(recogniser="transformers", speech={"model": str(tmp_path / "absent")})

    with pytest.raises(UserError, match="absent") as raised:
        Transcribe(settings, Context(Storage(str(tmp_path)))).open()

    assert "transcribe.speech.model" in raised.value.do


@pytest.mark.processes
def test_the_child_hands_on_what_a_person_must_mend(shared_data: Path, tmp_path: Path) -> None:
    item = item_of(shared_data / "audio" / "jfk.flac", tmp_path)
    settings = {"recogniser": "faster-whisper", "speech": {"model": "/nowhere/whisper"}}
    child = Child(StageSpec("interlink.stages.transcribe:Transcribe", settings, item.context), 4096)

    with pytest.raises(UserError, match="/nowhere/whisper"):
        child.call(item, 60.0)


def test_damaged_sound_is_partial_and_what_could_be_heard_is_kept(
    whisper: Path, shared_data: Path, tmp_path: Path
) -> None:
    data = bytearray((shared_data / "audio" / "harvard_sentences_list30.mp3").read_bytes())
    data[60_000:62_000] = bytes(2000)
    (tmp_path / "broken.mp3").write_bytes(data)

    row = run(item_of(tmp_path / "broken.mp3", tmp_path), sound_shares=True)

    assert row.status == "ok"
    assert row.fields["sound"]["seconds"] > 50
    assert row.partial
    assert "sound could not be decoded" in row.message


def test_the_deadline_grows_with_what_there_is_to_hear(shared_data: Path, tmp_path: Path) -> None:
    media = shared_data / "audio" / "jfk.flac"
    context = Context(Storage(str(tmp_path)))
    reading = Transcribe(TranscribeSettings(), context)
    listening = Transcribe(TranscribeSettings(recogniser="transformers"), context)

    known = item_of(media, tmp_path, size=10_000_000, info='{"duration": 3600}')
    unknown = item_of(media, tmp_path, size=10_000_000)
    short = item_of(media, tmp_path, size=10_000_000, info='{"duration": 60}')

    assert reading.deadline(known) == pytest.approx(62)
    assert listening.deadline(known) == pytest.approx(62 + 3_000), "a stated length never extends the deadline"
    assert listening.deadline(short) == pytest.approx(62 + 600)
    assert listening.deadline(unknown) == pytest.approx(62 + 3_000)
    assert Transcribe.costly(listening.settings)
    assert not Transcribe.costly(reading.settings)
