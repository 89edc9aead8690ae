"""Subtitle files next to a video, from the folder to the row: what users of such tools have reported."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from subprocess import run as call
from typing import Any

import imageio_ffmpeg
import pytest

from interlink.media.clock import WRAP, Clock
from interlink.stage import Context, Item, Row
from interlink.stages.download import Download, DownloadSettings
from interlink.stages.transcribe import Transcribe, TranscribeSettings
from interlink.storage import Storage

Watch = Callable[..., Row]
SRT = (
    "1\n00:00:02,000 --> 00:00:06,000\nFirst peel the onion carefully.\n\n"
    "2\n00:00:07,000 --> 00:00:08,000\nThen chop it.\n"
)
OTHER = SRT.replace("First peel the onion carefully", "Something else").replace("Then chop it", "More")
SAID = ["First peel the onion carefully.", "Then chop it."]


def vtt(text: str, header: str = "") -> str:
    return f"WEBVTT\n{header}\n\n00:00:02.000 --> 00:00:06.000\n{text}\n"


@pytest.fixture
def watch(tmp_path: Path, tiny_clip: bytes) -> Watch:
    """Makes a folder with a video and these files (name=text or bytes), and returns the row of `transcribe`."""
    folder = tmp_path / "videos"
    folder.mkdir()
    root = Storage(str(tmp_path / "root"))
    context = Context(root)

    def watch(files: dict[str, str | bytes], video: str = "v.mp4", media: bytes = tiny_clip, **settings: Any) -> Row:
        (folder / video).write_bytes(media)
        for name, text in files.items():
            (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
        download = Download(DownloadSettings(proxy=""), context)
        download.open()
        source = {"kind": "file", "uri": str(folder / video), "title": "", "video_id": "id"}
        (fetched,) = download.run(iter([Item("id", "0", {"collect": source}, {}, context)]))
        download.close()
        row, blobs = dict(fetched.fields), b""
        stored = []
        for file in row["subtitles"]:
            data = file["data"].data
            reference = {"blob": "part.tar", "offset": len(blobs), "size": len(data), "sha256": ""}
            stored.append({**file, "data": reference})
            blobs += data
        root.write("tables/download/part.tar", blobs)
        rows = {"collect": source, "download": row | {"subtitles": stored}}
        stage = Transcribe(TranscribeSettings(**settings), context)
        stage.open()
        (found,) = stage.run(iter([Item("id", "0", rows, {"download": "tables/download"}, context)]))
        stage.close()
        found.fields["lost"] = fetched.message
        return found

    return watch


def texts(row: Row) -> list[str]:
    return [sentence["text"] for sentence in row.fields["sentences"]]


def marks(row: Row) -> list[tuple[str, str]]:
    return [(mark["text"], mark["kind"]) for mark in row.fields["marks"]]


# -- the cases ----------------------------------------------------------------------------------------------------


def test_a_credit_over_the_dialogue_moves_nothing(watch: Watch) -> None:
    credit = "1\n00:00:00,000 --> 00:00:58,000\nSubtitles by the Kitchen Crew at kitchencrew dot org\n\n"

    row = watch({"v.en.srt": credit + SRT})

    assert [(s["text"], s["start"], s["end"]) for s in row.fields["sentences"]] == [
        ("First peel the onion carefully.", 2.0, 6.0),
        ("Then chop it.", 7.0, 8.0),
    ]
    assert marks(row) == [("Subtitles by the Kitchen Crew at kitchencrew dot org", "overlay")]


@pytest.mark.parametrize(
    ("name", "encoding", "text"),
    [
        ("v.ru.srt", "cp1251", "Сначала аккуратно очистите лук."),
        ("v.ja.srt", "shift_jis", "まず玉ねぎの皮をむきます。"),
        ("v.pl.srt", "cp1250", "Najpierw obierz cebulę, żeby była gładka."),
    ],
)
def test_the_language_in_the_name_tells_the_encoding(watch: Watch, name: str, encoding: str, text: str) -> None:
    row = watch({name: SRT.replace("First peel the onion carefully.", text).encode(encoding)})

    assert texts(row)[0] == text
    assert not row.partial


def test_a_declared_encoding_counts(watch: Watch) -> None:
    text = '<?xml version="1.0" encoding="windows-1250"?><tt><body><p begin="2s" end="6s">cebulę, żeby</p></body></tt>'

    assert texts(watch({"v.ttml": text.encode("cp1250")})) == ["cebulę, żeby"]


def test_a_doubtful_encoding_makes_the_row_partial_and_is_named(watch: Watch) -> None:
    row = watch({"v.srt": SRT.replace("First", "Première").encode("cp1252")})

    assert row.partial
    assert row.message == "v.srt: its encoding is not stated; read as cp1252"


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("v.en-ehkg1hFWq8A.vtt", "en"),
        ("v.en.sdh.srt", "en"),
        ("v.sdh.srt", ""),
        ("v.English.srt", "en"),
        ("v [en].srt", "en"),
        ("v_en.SRT", "en"),
        ("v.hi.en.srt", "en"),
    ],
)
def test_the_label_of_a_file_gives_its_language(watch: Watch, name: str, language: str) -> None:
    row = watch({name: SRT})

    assert (texts(row), row.fields["language"], row.fields["name"]) == (SAID, language, name)


@pytest.mark.parametrize(
    ("wanted", "name"), [("he", "v.iw.srt"), ("no", "v.nb.srt"), ("ta", "v.tam.srt"), ("en", "v.English.srt")]
)
def test_old_three_letter_and_sibling_codes_match(watch: Watch, wanted: str, name: str) -> None:
    row = watch({"v.ar.srt": OTHER, name: SRT}, languages=(wanted,))

    assert (row.fields["name"], texts(row)) == (name, SAID)


def test_the_nearest_region_is_taken(watch: Watch) -> None:
    row = watch({"v.pt-PT.srt": OTHER, "v.pt-BR.srt": SRT}, languages=("pt-BR",))

    assert row.fields["language"] == "pt-BR"


def test_a_title_with_the_word_chapter_is_no_list_of_chapters(watch: Watch) -> None:
    title = "Chapter 3 - Baking bread"

    assert texts(watch({f"{title}.en.srt": SRT}, f"{title}.mp4")) == SAID
    assert texts(watch({"All chapters.en.srt": SRT}, "All chapters.mp4")) == SAID


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("v.vtt", "Kind: chapters"),
        ("v.vtt", "Kind: metadata"),
        ("v.vtt", "Kind: descriptions"),
        ("v.chapters.vtt", ""),
        ("v.en.chapters.vtt", ""),
        ("v.live_chat.vtt", ""),
    ],
)
def test_chapters_metadata_and_chats_are_never_speech(watch: Watch, name: str, header: str) -> None:
    row = watch({name: vtt("Introduction", header)})

    assert (row.status, row.fields["source"], texts(row)) == ("ok", "none", [])


def test_the_language_in_a_header_is_the_files(watch: Watch) -> None:
    row = watch({"v.vtt": vtt("Hallo.", "Kind: captions\nLanguage: de"), "v.en.srt": SRT}, languages=("de",))

    assert (row.fields["language"], texts(row)) == ("de", ["Hallo."])


def test_empty_files_are_named_and_nothing_is_invented(watch: Watch) -> None:
    row = watch({"v.de.srt": "", "v.en.vtt": "WEBVTT\n", "v.es.ass": b"\xef\xbb\xbf", "v.fr.ttml": "   \n"})

    assert (row.partial, texts(row)) == (True, [])
    assert row.message.count("no cue could be read") == 4


def test_speakers_sounds_and_songs_are_marks(watch: Watch) -> None:
    text = SRT.replace("First", "JOHN: First").replace("Then chop it.", "- (laughs) Then chop it.\n♪ la la ♪")

    row = watch({"v.en.srt": text})

    assert texts(row) == SAID
    assert marks(row) == [("JOHN", "speaker"), ("laughs", "sound"), ("♪ la la ♪", "music")]


# -- forced subtitles ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["forced", "signs", "commentary"])
def test_parts_of_the_speech_are_taken_only_alone_and_are_partial(watch: Watch, kind: str) -> None:
    alone = watch({f"v.en.{kind}.srt": OTHER})
    assert (alone.partial, texts(alone)) == (True, ["Something else.", "More."])
    assert f"{kind} subtitles, which hold only parts of the speech" in alone.message

    row = watch({f"v.en.{kind}.srt": OTHER, "v.en.srt": SRT})
    assert (row.partial, texts(row)) == (False, SAID)


def ffmpeg(*arguments: str) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *arguments]
    call(command, check=True)


def muxed(folder: Path, *tracks: tuple[str, tuple[str, ...]], name: str = "v.mkv") -> bytes:
    """A video with subtitle tracks (text of an SRT file, ffmpeg's options of the stream)."""
    inputs: list[str] = ["-f", "lavfi", "-i", "color=gray:s=32x32:d=9:r=5"]
    maps = ["-map", "0:v"]
    options: list[str] = []
    for number, (text, more) in enumerate(tracks):
        path = folder / f"{number}.srt"
        path.write_text(text)
        inputs += ["-i", str(path)]
        maps += ["-map", f"{number + 1}:s"]
        options += [option.replace("#", str(number)) for option in more]
    ffmpeg(*inputs, *maps, "-c:v", "mpeg4", "-c:s", "srt", *options, str(folder / name))
    return (folder / name).read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        ("-disposition:s:#", "default+forced"),
        ("-metadata:s:s:#", "title=Signs & Songs"),
        ("-metadata:s:s:#", "title=English (Forced)"),
        ("-metadata:s:s:#", "title=Director's Commentary"),
        ("-disposition:s:#", "default+comment"),
    ],
)
def test_the_full_track_is_taken_and_not_the_first_forced_one(
    watch: Watch, tmp_path: Path, options: tuple[str, ...]
) -> None:
    english = ("-metadata:s:s:#", "language=eng")
    media = muxed(tmp_path, (OTHER, (*english, *options)), (SRT, english))

    row = watch({}, "v.mkv", media)
    assert (row.fields["name"], texts(row), row.partial) == ("stream 2", SAID, False)

    alone = watch({}, "v.mkv", muxed(tmp_path, (OTHER, (*english, *options))))
    assert (texts(alone), alone.partial) == (["Something else.", "More."], True)


def test_a_full_track_goes_before_a_forced_file(watch: Watch, tmp_path: Path) -> None:
    row = watch({"v.en.forced.srt": OTHER}, "v.mkv", muxed(tmp_path, (SRT, ("-metadata:s:s:#", "language=eng"))))

    assert (row.fields["source"], texts(row)) == ("embedded", SAID)


def test_a_title_with_the_word_chapter_is_no_track_of_chapters(watch: Watch, tmp_path: Path) -> None:
    media = muxed(tmp_path, (SRT, ("-metadata:s:s:#", "title=Chapter 3 - Baking bread")))
    assert texts(watch({}, "v.mkv", media)) == SAID

    media = muxed(tmp_path, (SRT, ("-metadata:s:s:#", "title=Chapters")))
    assert watch({}, "v.mkv", media).fields["source"] == "none"


# -- clocks -------------------------------------------------------------------------------------------------------


def test_a_timestamp_map_puts_words_on_the_clock_of_the_stream(watch: Watch, tmp_path: Path) -> None:
    stream = ("-c:v", "mpeg2video", "-output_ts_offset", "8.6", "-muxdelay", "0", "-muxpreload", "0")
    ffmpeg("-f", "lavfi", "-i", "color=gray:s=32x32:d=9:r=25", *stream, str(tmp_path / "v.ts"))
    media = (tmp_path / "v.ts").read_bytes()

    mapped = watch({"v.en.vtt": vtt("Peel it.", "X-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000")}, "v.ts", media)
    plain = watch({"v.en.vtt": vtt("Peel it.")}, "v.ts", media)

    assert (mapped.fields["sentences"][0]["start"], mapped.partial) == (12.0, False)
    assert plain.fields["sentences"][0]["start"] == pytest.approx(10.6, abs=0.05)


def test_a_timestamp_map_next_to_a_file_with_another_clock_is_doubted(watch: Watch) -> None:
    row = watch({"v.en.vtt": vtt("Peel it.", "X-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000")})

    assert (row.fields["sentences"][0]["start"], row.partial) == (2.0, True)
    assert "X-TIMESTAMP-MAP" in row.message


def test_a_map_counts_on_where_the_clock_of_a_stream_begins_again() -> None:
    assert Clock(95_000.0, True).offset(95_001.0) == (95_001.0, "")
    assert Clock(WRAP + 5.0, True).offset(7.0) == (pytest.approx(WRAP + 7.0), "")
    assert Clock(12.0, False).offset(10.0) == (10.0, "")
    assert Clock(0.5, False).offset(None) == (0.5, "")


# -- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_match_in_either_form_of_unicode(watch: Watch, form: Any) -> None:
    other = "NFD" if form == "NFC" else "NFC"

    row = watch({unicodedata.normalize(form, "Crème.en.srt"): SRT}, unicodedata.normalize(other, "Crème.mp4"))

    assert texts(row) == SAID


def test_a_file_of_another_video_is_not_taken(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "videos" / "v.en.mp4").write_bytes(b"x")

    assert watch({"v.en.srt": SRT, "v.part.srt": SRT, "v2.srt": SRT}).fields["source"] == "none"


def test_what_is_no_regular_file_is_skipped_with_a_word(watch: Watch, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    os.mkfifo(folder / "v.en.srt")
    (folder / "v.de.srt").symlink_to("v.de.srt")

    row = watch({"v.fr.srt": SRT})

    assert texts(row) == SAID
    assert row.fields["lost"].startswith("v.de.srt: ")
    assert row.fields["lost"].endswith("v.en.srt: a named pipe, not a file")
