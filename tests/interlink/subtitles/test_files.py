"""Subtitle files become cues; whatever is malformed costs only itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlink.subtitles import files
from interlink.subtitles.blocks import cue_of
from interlink.subtitles.files import parse
from interlink.subtitles.sentences import sentences_of
from interlink.subtitles.words import words_of


def texts(data: bytes) -> list[str]:
    return [" ".join(line.text for line in cue.lines) for cue in parse(data).cues]


def test_vtt_and_srt_give_the_same_cues() -> None:
    vtt = b"WEBVTT\n\nintro\n00:01.500 --> 00:00:02.000 line:80%\nHello <b>there</b>\n"
    srt = b"1\r\n00:00:01,500 --> 00:00:02,000\r\nHello <i>there</i>\r\n"

    assert parse(vtt).cues == parse(srt).cues
    assert (parse(vtt).cues[0].start, parse(vtt).cues[0].end) == (1.5, 2.0)


def test_notes_styles_tags_entities_and_overrides_are_not_read_as_speech() -> None:
    data = (
        b"WEBVTT\nKind: captions\n\nNOTE not\nthis\n\nSTYLE\n::cue { color: red }\n\n"
        b"1\n00:00:01.000 --> 00:00:02.000\n<v Ann>Salt &amp; pepper</v> {\\i1}now \xe2\x99\xaa\n"
    )

    assert texts(data) == ["Salt & pepper now ♪"]  # a mark of sound: words_of takes it apart


def test_a_less_than_sign_is_text() -> None:
    assert texts(b"1\n00:00:01,000 --> 00:00:02,000\na < b and (<) and 3 > 2\n") == ["a < b and (<) and 3 > 2"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_encodings_are_recognised(encoding: str) -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\nCrème brûlée\n"

    assert texts(text.encode(encoding)) == ["Crème brûlée"]


def test_a_malformed_time_line_costs_its_own_cue_and_is_named() -> None:
    data = b"WEBVTT\n\n00:01.000 --> 00:02.000\none\n\n00:1x.000 --> 00:03.000\ntwo\n\n00:03.000 --> 00:04.000\nthree\n"

    assert texts(data) == ["one", "three"]
    assert parse(data).problems == ["line 6: an invalid time line"]


def test_a_cue_without_a_time_line_is_named(shared_data: Path) -> None:
    found = parse((shared_data / "subtitles" / "missing_timeframe.srt").read_bytes())

    assert len(found.cues) == 4
    assert found.problems == ["line 5: a cue without a time line"]


def test_cues_whose_blank_lines_were_lost_are_told_apart() -> None:
    data = b"1\n00:00:01,000 --> 00:00:02,000\none\n2\n00:00:02,000 --> 00:00:03,000\ntwo\n"

    assert texts(data) == ["one", "two"]


def test_words_take_their_own_times_and_times_outside_the_cue_are_not_believed() -> None:
    cue = cue_of(1.0, 3.0, "now<00:00:01.500><c> add</c><00:00:09.000><c> salt</c>")

    assert cue is not None
    assert [(token.text, token.time) for token in cue.lines[0].tokens] == [("now", None), ("add", 1.5), ("salt", None)]


def test_a_time_inside_a_word_does_not_split_it() -> None:
    cue = cue_of(1.0, 3.0, "car<00:00:01.500>rot soup")

    assert cue is not None
    assert cue.lines[0].text == "carrot soup"


def test_every_real_file_gives_cues(shared_data: Path) -> None:
    for path in sorted((shared_data / "subtitles").iterdir()):
        if path.suffix in (".vtt", ".srt"):
            assert parse(path.read_bytes()).cues, path.name


REAL = ("youtube_dl_styled.vtt", "popcorn_unit.srt", "sintel-en.vtt", "blocks4all_captions_ko.vtt")


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(REAL),
    edits=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4), st.integers(0, 12)), min_size=1, max_size=6),
)
def test_mutated_files_never_raise_and_times_never_go_back(
    shared_data: Path, name: str, edits: list[tuple[float, bytes, int]]
) -> None:
    data = (shared_data / "subtitles" / name).read_bytes()
    for place, inserted, removed in edits:
        at = int(place * len(data))
        data = data[:at] + inserted + data[at + removed :]

    sentences = sentences_of(words_of(parse(data).cues)[0])

    assert all(sentence.text.strip() for sentence in sentences)
    times = [time for sentence in sentences for time in (sentence.start, sentence.end)]
    assert times == sorted(times)


def test_what_precedes_the_damage_is_kept(shared_data: Path) -> None:
    data = (shared_data / "subtitles" / "itaccess_captions_en.vtt").read_bytes()
    whole = parse(data).cues

    for cut in range(len(data) // 10, len(data), 97):
        complete = data[:cut].decode(errors="ignore").rpartition("\n\n")[0].count("-->")
        found = parse(data[:cut]).cues
        assert found[: min(complete, len(found))] == whole[: min(complete, len(found))]
        assert len(found) >= len([cue for cue in whole[:complete] if cue.lines])


SAID = "00:00:01,000 --> 00:00:02,000\nsalt\n"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("WEBVTT\n\n" + SAID.replace(",", "."), "vtt"),
        ("1\n" + SAID, "srt"),
        (" " * 101 + "WEBVTT\n" + SAID, "srt"),
        ('{"tStartMs": 1000, "dDurationMs": 1000, "segs": [{"utf8": "salt"}]}', "json3"),
        ('{"events": []} <tt>', "json3"),
        ('<p begin="1s" end="2s">salt</p>', "ttml"),
        ('<tt:tt xmlns:tt="x"><tt:body><tt:p begin="1s" end="2s">salt</tt:p></tt:body></tt:tt>', "ttml"),
        ('<transcript><text start="1" dur="1">salt</text></transcript>', "srv1"),
        ('<timedtext format="3"><body><p t="1000" d="1000">salt</p></body></timedtext>', "srv3"),
        ("dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,salt\n", "ssa"),
        ("0:00:01.000,0:00:02.000\nsalt\n", "sbv"),
        ("salt\n", ""),
        ("", ""),
    ],
)
def test_a_format_is_known_by_its_content(text: str, form: str) -> None:
    assert parse(text.encode()).format == form
    assert texts(text.encode()) == (["salt"] if form and "events" not in text else [])


def test_cues_come_in_order_of_their_start() -> None:
    data = "1\n00:00:03,000 --> 00:00:04,000\nlater\n\n2\n00:00:01,000 --> 00:00:02,000\nearlier\n"

    assert texts(data.encode()) == ["earlier", "later"]


def test_cues_beyond_the_most_are_left_out_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    data = "".join(f"00:00:0{n},000 --> 00:00:0{n},500\nw{n}\n\n" for n in range(4)).encode()

    monkeypatch.setattr(files, "MOST_CUES", 4)
    assert (texts(data), parse(data).problems) == (["w0", "w1", "w2", "w3"], [])
    monkeypatch.setattr(files, "MOST_CUES", 3)
    assert (texts(data), parse(data).problems) == (["w0", "w1", "w2"], ["more than 3 cues"])
