"""transcribe: the best subtitles there are become sentences; every item gets its row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interlink.stage import Context, Item, Row
from interlink.stages.transcribe import Transcribe, TranscribeSettings
from interlink.storage import Storage

Run = Callable[..., Row]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the stage on one video with sidecar files given as (name, language, bytes)."""
    root = Storage(str(tmp_path))

    def run(media: Path, *sidecars: tuple[str, str, bytes], **settings: Any) -> Row:
        blobs, subtitles = b"", []
        for name, language, data in sidecars:
            reference = {"blob": "part.tar", "offset": len(blobs), "size": len(data), "sha256": ""}
            subtitles.append({"name": name, "language": language, "data": reference})
            blobs += data
        root.write("tables/download/part.tar", blobs)
        row = {"media": str(media), "subtitles": subtitles, "size": 0, "info": ""}
        context = Context(root)
        item = Item("video", "0", {"collect": {}, "download": row}, {"download": "tables/download"}, context)
        stage = Transcribe(TranscribeSettings(**settings), context)
        stage.open()
        (found,) = stage.run(iter([item]))
        stage.close()
        return found

    return run


@pytest.fixture
def clip(tmp_path: Path, tiny_clip: bytes) -> Path:
    """A second of video without sound or subtitles, whose clock begins at 0."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(tiny_clip)
    return path


def vtt(text: str) -> bytes:
    return f"WEBVTT\n\n00:01.000 --> 00:02.000\n{text}\n".encode()


def texts(row: Row) -> list[str]:
    return [sentence["text"] for sentence in row.fields["sentences"]]


def test_the_wanted_language_is_taken_with_its_region_or_without(run: Run, clip: Path) -> None:
    files = [("a.de.vtt", "de", vtt("Hallo.")), ("a.en.vtt", "en-US", vtt("Hello. [Music]"))]

    row = run(clip, *files)

    assert (row.status, row.partial) == ("ok", False)
    assert row.fields == {
        "source": "sidecar",
        "name": "a.en.vtt",
        "format": "vtt",
        "language": "en-US",
        "detected": None,
        "clock_offset": 0.0,
        "sentences": [
            {
                "text": "Hello.",
                "start": 1.0,
                "end": 1.462,
                "words": [{"text": "Hello.", "start": 1.0, "end": 1.462, "timed": False}],
            }
        ],
        "marks": [{"text": "Music", "kind": "music", "start": 1.462, "end": 2.0}],
        "heard": [],
        "sound": None,
        "engine": "",
        "model": "",
        "revision": "",
        "parameters": "",
    }
    assert texts(run(clip, *files, languages=("fr", "de"))) == ["Hallo."]


def test_the_row_fits_its_table(run: Run, clip: Path) -> None:
    import pyarrow as pa

    from interlink.tables import SCHEMAS

    for row in (run(clip, ("a.vtt", "", vtt("Hello [Music]"))), run(clip)):
        assert set(row.fields) | {"id", "status", "reason", "error_class", "message", "partial"} == set(
            SCHEMAS["transcribe"].names
        )
        pa.Table.from_pylist([row.fields], pa.schema([SCHEMAS["transcribe"].field(name) for name in row.fields]))


def test_another_language_is_taken_only_where_that_is_allowed(run: Run, shared_data: Path) -> None:
    clip = shared_data / "clips" / "bikes_hard_cuts.mp4"
    german = ("a.de.vtt", "de", vtt("Hallo."))

    assert texts(run(clip, german)) == ["Hallo."]
    assert run(clip, german, any_language=False).fields["source"] == "none"


def test_chapters_are_not_speech(run: Run, shared_data: Path) -> None:
    chapters = (shared_data / "subtitles" / "wwa_chapters_en.vtt").read_bytes()

    row = run(shared_data / "clips" / "bikes_hard_cuts.mp4", ("wwa_chapters_en.vtt", "en", chapters))

    assert (row.status, row.fields["source"], row.fields["sentences"]) == ("ok", "none", [])


def test_a_track_inside_the_container_is_read_where_there_is_no_sidecar(run: Run, shared_data: Path) -> None:
    row = run(shared_data / "clips" / "nasa_webb_multistream.mp4")

    assert (row.fields["source"], row.fields["language"], row.fields["name"]) == ("embedded", "en", "stream 2")
    assert texts(row)[0].startswith("This is the optical and science segment of the Webb space telescope")
    assert (row.fields["marks"][0]["text"], row.fields["marks"][0]["kind"]) == ("NAR", "speaker")
    assert (row.fields["sentences"][0]["start"], row.fields["sentences"][0]["end"]) == (0.21, 12.47)


def test_what_is_damaged_is_partial_and_named(run: Run, clip: Path) -> None:
    damaged = vtt("One.") + b"\n00:0x.000 --> 00:03.000\nlost\n\n00:03.000 --> 00:04.000\nThree.\n"

    row = run(clip, ("a.en.vtt", "en", damaged))

    assert texts(row) == ["One.", "Three."]
    assert row.partial
    assert row.message == "a.en.vtt: line 6: an invalid time line"


def test_a_sidecar_without_cues_gives_way_to_the_next_and_is_named(run: Run, clip: Path) -> None:
    row = run(clip, ("a.en.vtt", "en", b"<html>"), ("a.de.vtt", "de", vtt("Hallo.")))

    assert texts(row) == ["Hallo."]
    assert row.partial
    assert row.message == "a.en.vtt: no cue could be read"


def test_a_broken_container_has_the_class_that_keyframes_gives_it(run: Run, shared_data: Path) -> None:
    row = run(shared_data / "clips" / "zero_bytes.mp4")

    assert (row.status, row.error_class) == ("failed", "unreadable")


def test_every_real_subtitle_file_becomes_a_row(run: Run, clip: Path, shared_data: Path) -> None:
    for path in sorted((shared_data / "subtitles").iterdir()):
        if path.suffix == ".txt":
            continue
        row = run(clip, (path.name, "en", path.read_bytes()))
        assert row.status == "ok", (path.name, row.message)
        assert row.fields["sentences"] or "chapters" in path.name, path.name


def test_a_sidecar_counts_from_where_a_player_begins_and_a_track_has_the_clock_of_its_container(
    run: Run, tmp_path: Path
) -> None:
    """The same words beside and inside a file whose clock begins at 5 s come out at the same times."""
    from interlink.media.probe import open_media

    path = tmp_path / "late.mkv"
    _write_with_track(path, "subrip", "Stir well.", "-output_ts_offset", "5")
    with open_media(path) as container:
        assert container.start_time == 5_000_000

    beside = run(path, ("late.vtt", "en", vtt("Stir well.")))
    inside = run(path)

    assert (beside.fields["source"], inside.fields["source"]) == ("sidecar", "embedded")
    assert (beside.fields["clock_offset"], inside.fields["clock_offset"]) == (5.0, 0.0)
    assert beside.fields["sentences"] == inside.fields["sentences"]
    assert (beside.fields["sentences"][0]["start"], beside.fields["sentences"][0]["end"]) == (6.0, 7.0)


def test_words_beside_a_file_that_does_not_open_are_kept_and_their_clock_is_doubted(run: Run) -> None:
    row = run(Path("/nowhere.mp4"), ("a.en.vtt", "en", vtt("Hello.")))

    assert (texts(row), row.partial) == (["Hello."], True)
    assert "the clock of the media file is unknown" in row.message


def test_a_file_of_unknown_language_is_chosen_by_its_text(run: Run, clip: Path, shared_data: Path) -> None:
    pytest.importorskip("py3langid", reason="py3langid (the extra `language`) is not installed")
    files = [(name, "", (shared_data / "subtitles" / name).read_bytes()) for name in ("sintel-de.vtt", "sintel-es.vtt")]

    row = run(clip, *files, languages=("es",), detect_language=True)

    assert (row.fields["name"], row.fields["language"]) == ("sintel-es.vtt", "es")
    assert row.fields["detected"]["language"] == "es"
    assert row.fields["detected"]["probability"] > 0.9


def test_a_stated_language_stays_and_what_the_text_is_in_is_kept_beside_it(
    run: Run, clip: Path, shared_data: Path
) -> None:
    pytest.importorskip("py3langid", reason="py3langid (the extra `language`) is not installed")
    mislabelled = (shared_data / "subtitles" / "sintel-de.vtt").read_bytes()

    row = run(clip, ("a.en.vtt", "en", mislabelled), detect_language=True)

    assert (row.fields["language"], row.fields["detected"]["language"]) == ("en", "de")


@pytest.mark.parametrize(
    ("container", "codec", "text"),
    [
        ("mkv", "subrip", "Stir <i>well</i>."),
        ("mkv", "ass", "Stir {\\i1}well."),
        ("mkv", "webvtt", "Stir <b>well</b>."),
        ("mp4", "mov_text", "Stir well."),
    ],
)
def test_text_tracks_of_other_containers(run: Run, tmp_path: Path, container: str, codec: str, text: str) -> None:
    path = tmp_path / f"video.{container}"
    _write_with_track(path, codec, text)

    row = run(path)

    assert (row.fields["source"], texts(row)) == ("embedded", ["Stir well."])
    assert row.fields["sentences"][0]["start"] == 1.0


def _write_with_track(path: Path, codec: str, text: str, *options: str) -> None:
    """A short grey video with one cue from 1 s to 2 s in a subtitle track of `codec`."""
    from subprocess import run as call

    import imageio_ffmpeg

    subtitles = path.with_suffix(".srt")
    subtitles.write_text(f"1\n00:00:01,000 --> 00:00:02,000\n{text}\n")
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-nostdin",
        "-f",
        "lavfi",
        "-i",
        "color=gray:s=64x48:d=3",
        "-i",
        str(subtitles),
        "-c:v",
        "mpeg4",
        "-c:s",
        codec,
        *options,
        str(path),
    ]
    call(command, check=True)
