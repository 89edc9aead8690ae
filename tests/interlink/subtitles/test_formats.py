"""Every format gives the words and times that it holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlink.subtitles.files import parse
from interlink.subtitles.ttml import Rates, seconds
from interlink.subtitles.words import Word, words_of
from subtitle_files import WRITERS

SAID = [
    (0.5, 2.0, "Add salt & pepper"),
    (2.25, 4.5, "then stir\nfor two minutes."),
    (3661.07, 3663.0, 'It is "done" – a < b!'),
]


def shown(data: str | bytes) -> list[tuple[float, float, list[str]]]:
    found = parse(data.encode() if isinstance(data, str) else data)
    return [(cue.start, cue.end, [line.text for line in cue.lines]) for cue in found.cues]


def starts(data: str) -> list[tuple[str, float]]:
    return [(word.text, word.start) for word in words_of(parse(data.encode()).cues)[0]]


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_written_is_read(name: str) -> None:
    found = parse(WRITERS[name](SAID).encode())

    assert (found.format, found.problems) == (name, [])
    assert shown(WRITERS[name](SAID)) == [(start, end, text.split("\n")) for start, end, text in SAID]


WORDS = st.lists(st.text("abcdeäß’,.", min_size=1, max_size=8), min_size=1, max_size=5).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(
    said=st.lists(st.tuples(st.integers(1, 900), st.integers(1, 500), WORDS), min_size=1, max_size=12),
    name=st.sampled_from(sorted(WRITERS)),
)
def test_any_captions_survive_any_format(said: list[tuple[int, int, str]], name: str) -> None:
    captions, time = [], 0
    for gap, length, text in said:  # hundredths of a second
        captions.append(((time + gap) / 100, (time + gap + length) / 100, text))
        time += gap + length

    assert shown(WRITERS[name](captions)) == [(start, end, [text]) for start, end, text in captions]


def test_the_derived_json3_gives_the_words_of_the_rolling_vtt_at_the_same_times(shared_data: Path) -> None:
    folder = shared_data / "subtitles"

    def spoken(name: str) -> tuple[list[Word], list[tuple[str, float]]]:
        words, marks = words_of(parse((folder / name).read_bytes()).cues)
        return words, [(mark.text, mark.start) for mark in marks]

    rolling, rolling_marks = spoken("WAaKRUoY6Io.en.vtt")
    events, event_marks = spoken("WAaKRUoY6Io.en.derived.json3")

    assert [word.text for word in events] == [word.text for word in rolling]
    assert max(abs(ours.start - theirs.start) for ours, theirs in zip(events, rolling, strict=True)) < 0.01
    assert [text for text, _ in event_marks] == [text for text, _ in rolling_marks] == ["Music"] * 3


def test_json3_events_that_scroll_end_where_the_next_begins() -> None:
    data = json.dumps(
        {
            "events": [
                {"tStartMs": 0, "dDurationMs": 5000, "segs": [{"utf8": "one"}]},
                {"tStartMs": 2000, "dDurationMs": 5000, "segs": [{"utf8": "two"}]},
            ]
        }
    )

    assert shown(data) == [(0.0, 2.0, ["one"]), (2.0, 7.0, ["two"])]


def test_half_a_character_in_json3_becomes_one_that_can_be_written() -> None:
    data = '{"events": [{"tStartMs": 0, "dDurationMs": 1000, "segs": [{"utf8": "salt \\ud83d and\\u0000 oil"}]}]}'

    assert shown(data) == [(0.0, 1.0, ["salt \ufffd and oil"])]


@pytest.mark.parametrize("time", ["1e999", "NaN", "-5", "true", '"soon"', "9" * 5000, "null"])
def test_a_json3_time_that_is_none_costs_its_own_event(time: str) -> None:
    whole = '{"events": [{"tStartMs": 77, "segs": [{"utf8": "lost"}]}, {"tStartMs": 0, "segs": [{"utf8": "kept"}]}]}'
    data = whole.replace("77", time)

    assert [cue.lines[0].text for cue in parse(data.encode()).cues] == ["kept"]
    assert parse(data.encode()).problems


def test_srv3_words_have_their_own_times() -> None:
    data = (
        '<timedtext format="3"><body><w t="0" id="1"/>'
        '<p t="1000" d="4000" w="1"><s ac="0">now</s><s t="500" ac="0"> add</s><s t="900"> the</s></p>'
        '<p t="3000" d="1" w="1" a="1">\n</p><p t="3000" d="3000" w="1"><s>salt</s></p></body></timedtext>'
    )

    assert starts(data) == [("now", 1.0), ("add", 1.5), ("the", 1.9), ("salt", 3.0)]


def test_srv2_appends_words_to_the_line_of_their_window() -> None:
    data = (
        '<timedtext><text t="1000" d="800" w="1">now</text><text t="1500" d="300" w="1" append="1"> add</text>'
        '<text t="1900" w="1" d="100" append="1">\n</text><text t="3000" d="900" w="1">salt</text></timedtext>'
    )

    assert starts(data) == [("now", 1.0), ("add", 1.5), ("salt", 3.0)]


def test_srv1_was_escaped_twice() -> None:
    assert shown('<transcript><text start="1" dur="2">it&amp;#39;s &lt;b&gt;hot&lt;/b&gt;</text></transcript>') == [
        (1.0, 3.0, ["it's hot"])
    ]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("00:00:01.5", 1.5),
        ("01:00:00:15", 3600.5),
        ("1.5s", 1.5),
        ("1500ms", 1.5),
        ("2m", 120.0),
        ("0.5h", 1800.0),
        ("45f", 1.5),
        ("15000000t", 1.5),
        ("soon", None),
        ("-1s", None),
        ("999999h", None),
    ],
)
def test_ttml_time_expressions(expression: str, expected: float | None) -> None:
    assert seconds(expression, Rates(frames=30, ticks=10_000_000)) == expected


def test_ttml_nests_times_and_knows_its_frame_rate() -> None:
    data = (
        '<tt:tt xmlns:tt="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" '
        'ttp:frameRate="24" ttp:frameRateMultiplier="1000 1001"><tt:head><tt:metadata><p begin="0s">no</p>'
        '</tt:metadata></tt:head><tt:body begin="10s"><tt:div>'
        '<tt:p begin="00:00:01:00" dur="48f">one\n  line<tt:br/>and <tt:span tts:color="red">another</tt:span></tt:p>'
        '<tt:p><tt:span begin="4s" end="5s">each</tt:span> <tt:span begin="5s" end="6s">span</tt:span></tt:p>'
        '<tt:p begin="20s">open</tt:p></tt:div></tt:body></tt:tt>'
    )

    assert shown(data) == [
        (11.0, 13.002, ["one line", "and another"]),
        (14.0, 16.0, ["each span"]),
        (30.0, 35.0, ["open"]),
    ]
    assert starts(data)[4:6] == [("each", 14.0), ("span", 15.0)]


def test_ass_fields_karaoke_comments_and_drawings() -> None:
    data = (
        "[Events]\nFormat: Start, End, Text\n"
        "Dialogue: 0:00:01.00,0:00:03.00,{\\k50}sing {\\kf100}along, {\\i1}now{\\i0}\n"
        "Comment: 0:00:01.00,0:00:03.00,not said\n"
        "Dialogue: 0:00:04.00,0:00:05.00,{\\p1}m 0 0 l 100 0{\\p0}shape\n"
    )

    assert shown(data) == [(1.0, 3.0, ["sing along, now"]), (4.0, 5.0, ["shape"])]
    assert starts(data)[:2] == [("sing", 1.0), ("along,", 1.5)]


@pytest.mark.parametrize("name", ["srv3", "ttml"])
def test_a_document_type_is_refused_and_its_entities_are_never_expanded(name: str) -> None:
    bomb = '<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    whole = WRITERS[name]([(1.0, 2.0, "before"), (3.0, 4.0, "&b; after")]).replace("&amp;b;", "&b;")

    at_the_top = parse(whole.replace("?>", "?>" + bomb, 1).encode())
    last = whole.rindex("<p ")
    in_the_middle = parse((whole[:last] + bomb + whole[last:]).encode())

    assert not at_the_top.cues
    assert [cue.lines[0].text for cue in in_the_middle.cues] == ["before"]
    assert "document types are not allowed" in at_the_top.problems
    assert shown(whole)[1][2] == ["&b; after"]


def test_a_style_element_does_not_swallow_the_words_behind_it() -> None:
    data = '<tt><head><styling><style id="a"></head><body><p begin="1s" end="2s">words</p></body></tt>'

    assert shown(data) == [(1.0, 2.0, ["words"])]


def test_a_format_is_known_by_its_content_whatever_its_head_has_suffered() -> None:
    assert parse(WRITERS["ssa"](SAID)[20:].encode()).format == "ssa"
    assert len(parse(WRITERS["json3"](SAID)[45:].encode()).cues) == 3
    assert len(parse(WRITERS["ttml"](SAID)[90:].encode()).cues) == 3
