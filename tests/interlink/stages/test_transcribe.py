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
        (found,) = Transcribe(TranscribeSettings(**settings), context).run(iter([item]))
        return found

    return run


def vtt(text: str) -> bytes:
    return f"WEBVTT\n\n00:01.000 --> 00:02.000\n{text}\n".encode()


def texts(row: Row) -> list[str]:
    return [sentence["text"] for sentence in row.fields["sentences"]]


def test_the_wanted_language_is_taken_with_its_region_or_without(run: Run) -> None:
    files = [("a.de.vtt", "de", vtt("Hallo.")), ("a.en.vtt", "en-US", vtt("Hello."))]

    row = run(Path("/nowhere.mp4"), *files)

    assert (row.status, row.partial) == ("ok", False)
    assert row.fields == {
        "source": "sidecar",
        "language": "en-US",
        "name": "a.en.vtt",
        "sentences": [{"text": "Hello.", "start": 1.0, "end": 2.0}],
    }
    assert texts(run(Path("/nowhere.mp4"), *files, languages=("fr", "de"))) == ["Hallo."]


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
    assert texts(row)[0].startswith("NAR: This is the optical and science segment of the Webb space telescope")
    assert (row.fields["sentences"][0]["start"], row.fields["sentences"][0]["end"]) == (0.21, 12.47)


def test_what_is_damaged_is_partial_and_named(run: Run) -> None:
    damaged = vtt("One.") + b"\n00:0x.000 --> 00:03.000\nlost\n\n00:03.000 --> 00:04.000\nThree.\n"

    row = run(Path("/nowhere.mp4"), ("a.en.vtt", "en", damaged))

    assert texts(row) == ["One.", "Three."]
    assert row.partial
    assert row.message == "a.en.vtt: line 6: a time line that is none"


def test_a_sidecar_without_cues_gives_way_to_the_next_and_is_named(run: Run) -> None:
    row = run(Path("/nowhere.mp4"), ("a.en.vtt", "en", b"<html>"), ("a.de.vtt", "de", vtt("Hallo.")))

    assert texts(row) == ["Hallo."]
    assert row.partial
    assert row.message == "a.en.vtt: no cue could be read"


def test_a_broken_container_has_the_class_that_keyframes_gives_it(run: Run, shared_data: Path) -> None:
    row = run(shared_data / "clips" / "zero_bytes.mp4")

    assert (row.status, row.error_class) == ("failed", "unreadable")


def test_every_real_subtitle_file_becomes_a_row(run: Run, shared_data: Path) -> None:
    for path in sorted((shared_data / "subtitles").glob("*.[vs][tr]t")):
        row = run(
            Path("/nowhere.mp4") if "chapters" not in path.name else shared_data / "clips" / "bikes_hard_cuts.mp4",
            (path.name, "en", path.read_bytes()),
        )
        assert row.status == "ok", (path.name, row.message)
        assert row.fields["sentences"] or "chapters" in path.name, path.name


@pytest.mark.parametrize(
    ("container", "codec", "text"),
    [("mkv", "subrip", "Stir <i>well</i>."), ("mkv", "ass", "Stir {\\i1}well."), ("mp4", "mov_text", "Stir well.")],
)
def test_text_tracks_of_other_containers(run: Run, tmp_path: Path, container: str, codec: str, text: str) -> None:
    path = tmp_path / f"video.{container}"
    _write_with_track(path, codec, text)

    row = run(path)

    assert (row.fields["source"], texts(row)) == ("embedded", ["Stir well."])
    assert row.fields["sentences"][0]["start"] == 1.0


def _write_with_track(path: Path, codec: str, text: str) -> None:
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
        str(path),
    ]
    call(command, check=True)
