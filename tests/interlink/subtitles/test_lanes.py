"""Cues that are shown at the same time keep their own times; signs and credits are no speech."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.subtitles.blocks import cue_of
from interlink.subtitles.cues import Cue
from interlink.subtitles.files import parse
from interlink.subtitles.lanes import one_language
from interlink.subtitles.runs import sentences_of_runs
from interlink.subtitles.words import words_of

Shown = tuple[float, float, str]


def cues(*shown: Shown) -> list[Cue]:
    return sorted(
        (cue for start, end, text in shown if (cue := cue_of(start, end, text)) is not None), key=lambda cue: cue.start
    )


def sentences(found: list[Cue]) -> list[tuple[str, float, float]]:
    return [(each.text, each.start, each.end) for each in sentences_of_runs(words_of(found)[0])]


def marks(found: list[Cue]) -> list[tuple[str, str]]:
    return [(mark.text, mark.kind) for mark in words_of(found)[1]]


DIALOGUE = ((5, 8, "Peel the onion."), (20, 23, "Chop it finely."), (40, 43, "Fry it in butter."))
SAID = [("Peel the onion.", 5, 8), ("Chop it finely.", 20, 23), ("Fry it in butter.", 40, 43)]


@pytest.mark.parametrize(("start", "end"), [(0, 58), (4, 44), (0, 9), (5, 23)])
def test_a_credit_over_the_dialogue_is_a_mark_and_moves_nothing(start: float, end: float) -> None:
    found = cues((start, end, "Subtitles by Ann"), *DIALOGUE)

    assert sentences(found) == SAID
    assert marks(found) == [("Subtitles by Ann", "overlay")]


def test_a_long_cue_alone_is_kept_and_marked() -> None:
    found = cues((0, 58, "Subtitles by Ann."))

    assert " ".join(text for text, *_ in sentences(found)) == "Subtitles by Ann."
    assert marks(found) == [("Subtitles by Ann.", "long")]


def test_a_slow_sentence_with_a_short_answer_stays_speech() -> None:
    found = cues((0, 6, "Now we peel the onion and cut it into very small cubes."), (2, 3, "Okay."))

    assert sentences(found) == [
        ("Now we peel the onion and cut it into very small cubes.", 0, 6),
        ("Okay.", 2, 3),
    ]


def test_cues_that_scroll_are_one_run_and_their_words_come_before_the_next_cue() -> None:
    found = cues((0, 4, "so today we"), (2, 6, "are going to"), (4, 8, "make some soup"))

    words, _ = words_of(found)
    assert {word.run for word in words} == {0}
    assert " ".join(word.text for word in words) == "so today we are going to make some soup"
    assert [word.start for word in words if word.text in ("are", "make")] == [2.0, 4.0]


ENGLISH, RUSSIAN = "Peel the onion.", "Очистите лук."


def test_of_two_languages_the_wanted_one_is_taken_where_scripts_tell_them_apart() -> None:
    found = cues((1, 3, ENGLISH), (1, 3, RUSSIAN), (4, 6, "Chop it."), (4.1, 6, "Нарежьте."))

    taken, language = one_language(found, ("en",))
    assert ([cue.text for cue in taken], language) == ([ENGLISH, "Chop it."], "en")
    assert [cue.text for cue in one_language(found, ("ru",))[0]] == [RUSSIAN, "Нарежьте."]
    assert one_language(found, ("fr-Cyrl", "ja"))[1] != "ja"


def test_two_languages_in_one_cue_are_told_apart_by_lines() -> None:
    found = cues((1, 3, "Peel the onion.\n剥洋葱。"), (4, 6, "Chop it.\n切碎它。"))

    assert [cue.text for cue in one_language(found, ("en",))[0]] == ["Peel the onion.", "Chop it."]
    assert [cue.text for cue in one_language(found, ("zh",))[0]] == ["剥洋葱。", "切碎它。"]


def test_two_languages_of_one_script_are_both_kept_with_their_times() -> None:
    found = cues((1, 3, "Peel the onion."), (1, 3, "Schäl die Zwiebel."), (4, 6, "Chop it."), (4, 6, "Hack sie."))

    assert one_language(found, ("en",)) == (found, "")
    assert sorted(sentences(found)) == [
        ("Chop it.", 4, 6),
        ("Hack sie.", 4, 6),
        ("Peel the onion.", 1, 3),
        ("Schäl die Zwiebel.", 1, 3),
    ]


def test_languages_that_ttml_states_are_told_apart() -> None:
    body = "".join(
        f'<div xml:lang="{tag}"><p begin="1s" end="3s">{text}</p></div>'
        for tag, text in (("en", "Peel it."), ("de", "Schäl sie."))
    )
    found = parse(f"<tt><body>{body}</body></tt>".encode()).cues

    assert [cue.text for cue in one_language(found, ("de",))[0]] == ["Schäl sie."]


HEAD = "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"


def ass(*events: str) -> list[Cue]:
    return parse((HEAD + "\n".join(events)).encode()).cues


def event(start: int, end: int, style: str, text: str, layer: int = 0, kind: str = "Dialogue") -> str:
    return f"{kind}: {layer},0:00:{start:02d}.00,0:00:{end:02d}.00,{style},,0,0,0,,{text}"


@pytest.mark.parametrize("style", ["Sign", "Signs", "Title", "Credits", "Sign-Top", "OP", "ED-Romaji", "Opening"])
def test_styles_of_signs_and_songs_are_no_speech(style: str) -> None:
    found = ass(event(1, 9, style, "CAFE"), event(2, 4, "Default", "Peel it."))

    assert sentences(found) == [("Peel it.", 2, 4)]
    assert [text for text, _ in marks(found)] == ["CAFE"]


@pytest.mark.parametrize("codes", ["{\\pos(10,20)}", "{\\an8}", "{\\fs20\\an7\\b1}", "{\\move(1,2,3,4)}"])
def test_a_sign_with_a_place_is_no_speech_over_dialogue_and_speech_alone(codes: str) -> None:
    over = ass(event(1, 4, "Default", f"{codes}Cafe"), event(2, 4, "Default", "Peel it."))
    alone = ass(event(1, 3, "Default", f"{codes}Peel it."), event(4, 6, "Default", "Chop it."))

    assert sentences(over) == [("Peel it.", 2, 4)]
    assert marks(over) == [("Cafe", "overlay")]
    assert [text for text, *_ in sentences(alone)] == ["Peel it.", "Chop it."]


def test_comments_are_not_read_and_layers_say_a_text_once() -> None:
    found = ass(
        event(1, 3, "Default", "Never said.", kind="Comment"),
        event(2, 4, "Default", "Peel it.", layer=0),
        event(2, 4, "Default", "Peel it.", layer=1),
    )

    assert sentences(found) == [("Peel it.", 2, 4)]


def test_a_file_of_signs_only_is_kept() -> None:
    assert sentences(ass(event(1, 3, "Sign", "Peel it."))) == [("Peel it.", 1, 3)]


TEXTS = st.sampled_from(["Peel it.", "salt", "a long line of many words", "- Yes.", "JOHN: Go.", "剥洋葱", "♪ la"])
SHOWN = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 300), TEXTS), max_size=25)


@given(SHOWN)
def test_no_word_leaves_the_time_of_its_cue_and_starts_are_sorted(shown: list[tuple[int, int, str]]) -> None:
    # Each cue has words of its own, by which they are found again.
    named = [
        (start / 10, (start + length) / 10, " ".join(f"{word}{number}" for word in text.split()))
        for number, (start, length, text) in enumerate(shown)
    ]
    found = cues(*named)
    span = {number: (start, end) for number, (start, end, _) in enumerate(named)}

    words, _ = words_of(found)

    assert [word.start for word in words] == sorted(word.start for word in words)
    for word in words:
        number = int("".join(filter(str.isdigit, word.text)))
        assert span[number][0] <= word.start <= word.end <= span[number][1]
    starts = [sentence.start for sentence in sentences_of_runs(words)]
    assert starts == sorted(starts)


@given(SHOWN)
def test_no_word_is_lost_unless_it_is_a_mark(shown: list[tuple[int, int, str]]) -> None:
    named = [
        (start / 10, (start + length) / 10, f"w{number} {text}") for number, (start, length, text) in enumerate(shown)
    ]
    words, found = words_of(cues(*named))

    seen = {word.text for word in words} | {text for mark in found for text in mark.text.split()}
    assert {f"w{number}" for number in range(len(shown))} <= seen
