"""Cues that are shown at the same time keep their own times; signs and credits are no speech."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.subtitles.blocks import cue_of
from interlink.subtitles.cues import Cue
from interlink.subtitles.files import parse
from interlink.subtitles.lanes import lanes_of, one_language, script
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


# -- rules by value ----------------------------------------------------------------------------------------------------


def shown(start: float, end: float, text: str, **changes: object) -> Cue:
    found = cue_of(start, end, text)
    assert found is not None
    return replace(found, **changes)  # type: ignore[arg-type]


def laid(*found: Cue) -> tuple[list[list[tuple[float, float]]], list[str]]:
    lanes, others = lanes_of(sorted(found, key=lambda cue: cue.start))
    return [[(cue.start, cue.end) for cue in lane] for lane in lanes], [mark.kind for mark in others]


def test_a_cue_takes_the_lane_of_the_one_before_only_if_its_words_can_be_over() -> None:
    one = shown(0, 4, "abcdefghij")  # ten letters, 0.3 s at the fastest
    assert laid(one, shown(0.3, 5, "next")) == ([[(0, 0.3), (0.3, 5)]], [])
    assert laid(one, shown(0.29, 5, "next")) == ([[(0, 4)], [(0.29, 5)]], [])
    assert laid(one, shown(1, 4, "next")) == ([[(0, 1), (1, 4)]], [])
    assert laid(one, shown(1, 3.9, "next")) == ([[(0, 4)], [(1, 3.9)]], [])  # it ends within the other
    assert laid(one, shown(4, 5, "next")) == ([[(0, 4), (4, 5)]], [])
    assert laid(shown(0, 4, "a"), shown(0, 5, "b")) == ([[(0, 4)], [(0, 5)]], [])


def test_words_with_times_of_their_own_are_over_when_the_last_begins() -> None:
    timed = shown(0, 4, "one <00:00:02.000>two")
    assert laid(timed, shown(2, 5, "next")) == ([[(0, 2), (2, 5)]], [])
    assert laid(timed, shown(1.9, 5, "next")) == ([[(0, 4)], [(1.9, 5)]], [])


def test_of_two_open_lanes_the_one_of_the_same_style_and_script_is_taken() -> None:
    both = (shown(0, 2, "Peel it."), shown(0, 2, "Очистите."))
    assert laid(*both, shown(3, 4, "Нарежьте."), shown(3, 4, "Chop it.")) == (
        [[(0, 2), (3, 4)], [(0, 2), (3, 4)]],
        [],
    )
    lanes, _ = lanes_of([*both, shown(3, 4, "Нарежьте.")])
    assert [[cue.text for cue in lane] for lane in lanes] == [["Peel it."], ["Очистите.", "Нарежьте."]]
    styled = [shown(0, 2, "One.", group="a"), shown(0, 2, "Two.", group="b"), shown(3, 4, "Three.", group="b")]
    assert [[cue.text for cue in lane] for lane in lanes_of(styled)[0]] == [["One."], ["Two.", "Three."]]
    other = [*styled[:2], shown(3, 4, "Three.", group="c")]
    assert [[cue.text for cue in lane] for lane in lanes_of(other)[0]] == [["One.", "Three."], ["Two."]]


def test_more_than_eight_texts_at_once_are_no_speech() -> None:
    lanes, others = laid(*(shown(0, 2, f"text {n}") for n in range(9)))
    assert (len(lanes), others) == (8, ["overlay"])


@pytest.mark.parametrize(
    ("end", "text", "kinds"),
    [
        (20.0, "x" * 62, ["long"]),  # 62 letters need 4.96 s, a quarter of 20
        (20.0, "x" * 63, []),
        (19.9, "x", []),
        (20.0, "剥" * 20, ["long"]),  # 20 characters count as 60 letters
        (20.0, "剥" * 21, []),
        (20.0, "one <00:00:01.000>two", []),  # words with times need what they take
    ],
)
def test_a_cue_alone_is_long_from_twenty_seconds_and_four_times_its_need(
    end: float, text: str, kinds: list[str]
) -> None:
    assert laid(shown(0, end, text)) == ([[(0, end)]], kinds)


@pytest.mark.parametrize(
    ("end", "text", "over"),
    [
        (6.0, "x" * 25, True),  # 25 letters need 2 s, a third of 6
        (6.0, "x" * 26, False),
        (5.9, "x", False),
    ],
)
def test_a_cue_lies_over_others_from_six_seconds_and_three_times_its_need(end: float, text: str, over: bool) -> None:
    assert laid(shown(0, end, text), shown(2, 4, "Peel it."))[1] == (["overlay"] if over else [])


def test_a_cue_lies_over_others_that_are_half_as_long_and_within_it() -> None:
    for start, end, over in ((0, 3, True), (0, 3.1, False), (3, 6, True), (4, 6.1, False), (-1, 1, False)):
        kinds = laid(shown(0, 6, "x"), shown(start, end, "A fairly long line, which needs time."))[1]
        assert kinds == (["overlay"] if over else []), (start, end)


def test_placed_cues_over_plain_ones_and_styles_of_songs_are_marks() -> None:
    spoken = shown(2, 4, "Peel it.")
    assert laid(shown(1, 2.5, "Cafe", placed=True), spoken)[1] == ["overlay"]
    assert laid(shown(1, 2, "Cafe", placed=True), spoken)[1] == []
    assert laid(shown(4, 5, "Cafe", placed=True), spoken)[1] == []
    assert laid(shown(3, 5, "Cafe", placed=True), spoken, shown(1, 1.5, "Salt."))[1] == ["overlay"]
    assert laid(shown(1, 3, "la", aside="music"), spoken)[1] == ["music"]
    assert laid(shown(1, 3, "ad", aside="overlay"), spoken)[1] == ["overlay"]
    assert laid(shown(1, 3, "ad", aside="sound"), spoken)[1] == ["overlay"]
    assert laid(shown(1, 3, "la", aside="music"))[1] == []
    assert laid(shown(1, 3, "la", aside="music"), shown(5, 6, "Cafe", placed=True))[1] == ["music"]
    assert laid(shown(1, 3, "Cafe", placed=True), shown(1, 3, "Two", placed=True))[1] == []
    sung = shown(1, 3, "la", aside="music")
    assert laid(sung, shown(1, 3, "Cafe", placed=True), shown(5, 6, "Peel it."))[1] == ["music"]


def test_a_text_that_is_still_on_screen_is_said_once() -> None:
    again = [shown(0, 2, "Peel it."), shown(1, 3, "Peel it."), shown(2.9, 4, "Peel it."), shown(4, 5, "Peel it.")]
    assert laid(*again)[0] == [[(0, 2), (4, 5)]]
    moving = [shown(0, 2, "A", placed=True), shown(2, 3, "A", placed=True), shown(3.1, 4, "A", placed=True)]
    assert laid(*moving)[0] == [[(0, 2), (3.1, 4)]]
    long_and_short = [shown(0, 9, "A"), shown(1, 2, "A"), shown(5, 10, "A")]
    assert laid(*long_and_short)[0] == [[(0, 9)]]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Peel", "Latn"), ("123 ...", ""), ("…", ""), ("Äpfel", "Latn"), ("Лук a", "Cyrl"), ("λόγος", "Grek"),
        ("שלום", "Hebr"), ("سلام", "Arab"), ("नमस्ते", "Deva"), ("กิน", "Thai"), ("국수", "Kore"), ("ペン", "Jpan"),
        ("剥洋葱", "Hani"), ("先剥く", "Jpan"), ("これ is a pen", "Latn"), ("日本の ab", "Jpan"), ("の日 abc", "Latn"),
    ],
)  # fmt: skip
def test_a_text_is_in_the_script_of_most_of_its_letters(text: str, name: str) -> None:
    assert script(text) == name


def pairs(together: int, english: int, russian: int, shift: float = 0.0) -> list[Cue]:
    """Cues of 2 s: some of both languages together, and others alone."""
    found = []
    for n in range(together):
        found += [shown(10 * n, 10 * n + 2, f"Peel {n}."), shown(10 * n + shift, 10 * n + 2 + shift, f"Чисти {n}.")]
    found += [shown(1000 + 10 * n, 1002 + 10 * n, f"Salt {n}.") for n in range(english)]
    found += [shown(5000 + 10 * n, 5002 + 10 * n, f"Соль {n}.") for n in range(russian)]
    return found


@pytest.mark.parametrize(
    ("together", "english", "russian", "shift", "bilingual"),
    [
        (2, 9, 2, 0.0, True),  # half of the rarer one's
        (2, 9, 3, 0.0, False),
        (2, 2, 9, 0.0, True),
        (2, 0, 0, 1.0, True),  # half of their time together
        (2, 0, 0, 1.01, False),
    ],
)
def test_a_file_is_bilingual_if_half_of_the_rarer_scripts_cues_stand_with_another(
    together: int, english: int, russian: int, shift: float, bilingual: bool
) -> None:
    found = pairs(together, english, russian, shift)
    taken, language = one_language(found, ("en",))
    assert language == ("en" if bilingual else "")
    assert len(taken) == (together + english if bilingual else len(found))
    assert (taken == found) != bilingual


def test_a_wanted_language_that_is_not_there_or_is_written_in_both_scripts_is_passed_over() -> None:
    found = pairs(2, 0, 0)
    assert one_language(found, ("ja", "ko", "en"))[1] == "en"
    korean = [shown(n, n + 0.5, "국수를\n剥洋葱") for n in range(3)]
    assert one_language(korean, ("ko",)) == (korean, "")  # Korean may be written in both
    assert one_language(korean, ("ko", "zh"))[1] == "zh"


def test_stated_languages_are_told_apart_first_and_in_the_order_of_the_wish() -> None:
    found = [
        shown(0, 2, "Peel.", language="en-GB"),
        shown(0, 2, "Schäl.", language="de"),
        shown(3, 4, "x", language=""),
    ]
    assert [cue.text for cue in one_language(found, ("fr", "de", "en"))[0]] == ["Schäl."]
    assert one_language(found, ("fr", "en"))[1] == "en"
    assert [cue.text for cue in one_language(found, ("en-US",))[0]] == ["Peel."]
    assert one_language(found, ("fr",)) == (found, "")
    alone = [replace(cue, language="en") for cue in found]
    assert one_language(alone, ("de", "en")) == (alone, "")


def test_a_cues_lines_without_letters_go_with_the_wanted_ones() -> None:
    found = [shown(n, n + 0.5, f"Peel {n}.\n剥洋葱。\n{n}!") for n in range(3)]
    assert [cue.text for cue in one_language(found, ("en",))[0]] == [f"Peel {n}. {n}!" for n in range(3)]
    only = [*found, shown(9, 9.5, "剥"), shown(10, 10.5, "33")]
    assert len(one_language(only, ("en",))[0]) == 3
    japanese = [shown(n, n + 0.5, "ペンです\n日本") for n in range(3)]
    assert one_language(japanese, ("ja",)) == (japanese, "")  # kana and characters are one language
