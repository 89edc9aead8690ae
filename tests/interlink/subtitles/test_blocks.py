"""SRT and VTT as people write them: what is missing or out of place costs nothing that can be read."""

from __future__ import annotations

import pytest

from interlink.subtitles.files import parse


def read(text: str) -> list[tuple[float, float, str]]:
    return [(cue.start, cue.end, cue.text) for cue in parse(text.encode()).cues]


TWO = [(1.0, 2.0, "Peel it."), (3.0, 4.0, "Chop it.")]


@pytest.mark.parametrize(
    "text",
    [
        "1\n00:00:01,000 --> 00:00:02,000\nPeel it.\n\n2\n00:00:03,000 --> 00:00:04,000\nChop it.\n",
        "1\n0:0:1,000 --> 0:0:2,000\nPeel it.\n\n2\n0:0:3,000 --> 0:0:4,000\nChop it.\n".replace("\n", "\r\r\n"),
        "1\n\n00:00:01,000 --> 00:00:02,000\n\nPeel it.\n\n\n\n2\n\n00:00:03,000 --> 00:00:04,000\n\nChop it.\n\n",
        "00:00:01,000 --> 00:00:02,000\nPeel it.\n\n00:00:03,000 --> 00:00:04,000\nChop it.\n",
        "1\n00:00:01,000 --> 00:00:02,000\nPeel it.\n2\n00:00:03,000 --> 00:00:04,000\nChop it.\n",
        "1\n00:00:01 --> 00:00:02\nPeel it.\n\n2\n00:00:03 --> 00:00:04\nChop it.\n",
        "1\n0:0:1,0 --> 0:0:2,00\nPeel it.\n\n2\n00:00:03.0000 --> 00:00:04.000000\nChop it.\n",
        "1\n00:01.000-->00:02.000\nPeel it.\n\n2\n00:03:000 --> 00:04:000\nChop it.\n",
        "1\n00:00:01,000 -> 00:00:02,000\nPeel it.\n\n2\n00:00:03, 000 --> 00:00:04, 000\nChop it.\n",
        "1\n00:00:01,000 --> 00:00:02,000 X1:1 X2:2\nPeel it.\n\n2\n00:00:03,000 --> 00:00:04,000\nChop it.\n",
        "1\n00:00:01,000 --> 00:00:02,000\nPeel\n\nit.\n\n2\n00:00:03,000 --> 00:00:04,000\nChop\n \nit.\n",
        "1\n00:00:01,000 --> 00:00:02,000\nPeel\n\nit.\n2\n00:00:03,000 --> 00:00:04,000\nChop it.\n",
    ],
)
def test_a_file_as_people_write_it_is_read_whole(text: str) -> None:
    assert read(text) == TWO
    assert parse(text.encode()).problems == []


def test_in_vtt_an_empty_line_ends_a_cue_and_what_follows_is_reported() -> None:
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\nPeel\n\nit and chop.\n\nid-2\n00:03.000 --> 00:04.000\nChop it.\n"

    assert read(text) == [(1.0, 2.0, "Peel"), (3.0, 4.0, "Chop it.")]
    assert parse(text.encode()).problems == ["line 6: text without a time line"]


def test_a_number_that_is_spoken_stays() -> None:
    assert read("00:00:01,000 --> 00:00:02,000\n5\n\n00:00:03,000 --> 00:00:04,000\nsix\n") == [
        (1.0, 2.0, "5"),
        (3.0, 4.0, "six"),
    ]


@pytest.mark.parametrize("kind", ["chapters", "metadata", "descriptions"])
def test_a_vtt_header_states_kind_and_language(kind: str) -> None:
    found = parse(f"WEBVTT\nKind: {kind}\nLanguage: de\n\n00:01.000 --> 00:02.000\nEins\n".encode())

    assert (found.kind, found.language) == (kind, "de")
    assert parse(b"WEBVTT\nKind: captions\n\n00:01.000 --> 00:02.000\nKind: chapters\n").kind == ""


@pytest.mark.parametrize("payload", ["sprite.jpg#xywh=0,0,160,90", '{"id": 1}'])
def test_data_is_metadata_without_a_header(payload: str) -> None:
    assert parse(f"WEBVTT\n\n00:01.000 --> 00:02.000\n{payload}\n".encode()).kind == "metadata"


def test_a_timestamp_map_states_the_clock_and_parts_have_their_own() -> None:
    part = "WEBVTT\nX-TIMESTAMP-MAP={}\n\n00:00:02.000 --> 00:00:03.000\nPeel it.\n\n"
    one = parse(part.format("MPEGTS:900000,LOCAL:00:00:00.000").encode())
    two = parse(
        (part.format("LOCAL:00:00:01.000,MPEGTS:900000") + part.format("MPEGTS:1800000,LOCAL:00:00:00")).encode()
    )

    assert (one.clock, [cue.start for cue in one.cues]) == (10.0, [2.0])
    assert (two.clock, [cue.start for cue in two.cues]) == (9.0, [2.0, 13.0])
    assert "X-TIMESTAMP-MAP" in parse(part.format("nonsense").encode()).problems[0]


def test_readings_of_ruby_are_dropped() -> None:
    ruby = "<ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>と<ruby>字<rt>じ</ruby>"

    assert [each for *_, each in read(f"WEBVTT\n\n00:01.000 --> 00:02.000\n{ruby}\n")] == ["漢字と字"]


@pytest.mark.parametrize(
    ("attributes", "stamp", "seconds"),
    [
        ('ttp:timeBase="smpte" ttp:dropMode="dropNTSC" ttp:frameRate="30"', "00:00:04:16", 4.534),
        ('ttp:timeBase="smpte" ttp:dropMode="dropNTSC" ttp:frameRate="30"', "00:00:20;02", 20.067),
        ('ttp:timeBase="smpte" ttp:dropMode="dropNTSC" ttp:frameRate="30"', "01:00:00:00", 3600.0),
        ('ttp:timeBase="smpte" ttp:dropMode="nonDrop" ttp:frameRate="30"', "01:00:00:00", 3603.6),
        ('ttp:timeBase="media" ttp:frameRate="30"', "01:00:00.000", 3600.0),
        ('ttp:frameRate="30"', "300f", 10.01),
        ('ttp:tickRate="10000000"', "15000000t", 1.5),
        ("", "00:00:01,500", 1.5),
    ],
)
def test_time_codes_of_ttml(attributes: str, stamp: str, seconds: float) -> None:
    scale = ' ttp:frameRateMultiplier="1000 1001"' if "frameRate" in attributes else ""
    text = f'<tt {attributes}{scale}><body><div><p begin="{stamp}" dur="1s">Peel it.</p></div></body></tt>'

    assert [start for start, *_ in read(text)] == [seconds]


def test_files_with_old_line_ends_have_a_format() -> None:
    found = parse(b"1\r00:00:01,000 --> 00:00:02,000\rPeel it.\r\r2\r00:00:03,000 --> 00:00:04,000\rChop it.\r")

    assert (found.format, [(cue.start, cue.end, cue.text) for cue in found.cues]) == ("srt", TWO)


def test_an_arrow_in_a_text_is_text() -> None:
    assert read("1\n00:00:01,000 --> 00:00:02,000\nA -> B and C --> D.\n") == [(1.0, 2.0, "A -> B and C --> D.")]


def test_a_cue_that_ends_before_it_begins_is_reported() -> None:
    found = parse(b"1\n00:00:05,000 --> 00:00:02,000\nPeel it.\n")

    assert [(cue.start, cue.end) for cue in found.cues] == [(5.0, 5.0)]
    assert found.problems == ["line 2: a cue that ends before it begins"]
