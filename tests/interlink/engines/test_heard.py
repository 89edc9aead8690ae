"""Pieces of a recogniser become words as the engine marks them; invented text is left out."""

from __future__ import annotations

import pytest

from interlink.engines.heard import Heard, KeepSettings, Piece, cue_of, joined, judge, row_of, tokens_of


def shown(*pieces: str) -> str:
    return joined(tokens_of([(piece, None, None) for piece in pieces], 0.0, 10.0))


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ((" above", " 0", ".3.", " We"), "above 0.3. We"),
        ((" the", " 10", ",000", " nearest"), "the 10,000 nearest"),
        ((" about", " 60", "%", " of"), "about 60% of"),
        ((" create", " domain", "-specific", " data"), "create domain-specific data"),
        (("And", " so", ",", " my"), "And so, my"),
        (("今天", "我们", "做", "面", "。", "先", "烧", "水"), "今天我们做面。先烧水"),
        (("これ", "は", "ペン", "です", "。"), "これはペンです。"),
        (("ก", "ิ", "น", " ข", "้", "าว"), "กิน ข้าว"),
        ((" 用", " Python", "写"), "用 Python写"),
        ((" 오늘은", " 국수를", " 만들어요."), "오늘은 국수를 만들어요."),
    ],
)
def test_pieces_are_joined_as_the_engine_marks_them(pieces: tuple[str, ...], text: str) -> None:
    assert shown(*pieces) == text


def test_a_joined_word_has_the_first_start_and_the_last_end() -> None:
    pieces: list[Piece] = [(" 10", 1.0, 1.2), (",", 1.2, 1.3), ("000", 1.3, 1.9), (" of", 2.0, 2.1)]

    words = tokens_of(pieces, 5.0, 9.0)

    assert [(word.text, word.time, word.end) for word in words] == [("10,000", 6.0, 6.9), ("of", 7.0, 7.1)]


def test_words_of_scripts_without_spaces_keep_their_own_times() -> None:
    words = tokens_of([("先", 0.0, 0.3), ("烧", 0.3, 0.5), ("水", 0.5, 0.9), ("。", 0.9, 0.9)], 0.0, 2.0)

    assert [(word.text, word.time, word.glued) for word in words] == [
        ("先", 0.0, False),
        ("烧", 0.3, True),
        ("水。", 0.5, True),
    ]


def test_times_that_cannot_be_are_not_believed() -> None:
    pieces = [(" a", 0.5, 0.7), (" b", 0.1, 0.2), (" c", 9.0, 9.5), (" ", 1.0, 1.1), (" d", 1.5, 99.0)]

    cue = cue_of(pieces, 10.0, 12.0)

    assert cue is not None
    assert [(token.text, token.time, token.end) for token in cue.lines[0].tokens] == [
        ("a", 10.5, 10.7),
        ("b", None, None),
        ("c", None, None),
        ("d", 11.5, 12.0),
    ]
    assert cue_of([], 10.0, 12.0) is None


def heard(text: str, no_speech: float | None, logprob: float | None) -> Heard:
    cue = cue_of([(f" {word}", None, None) for word in text.split()], 0.0, 5.0)
    return Heard(0.0, 5.0, cue, no_speech, logprob)


# Measured with tiny.en on silence, noise, music, effects, and speech.
@pytest.mark.parametrize(
    ("text", "no_speech", "logprob", "reason"),
    [
        ("you", 0.937, -0.86, "no_speech"),
        ("You", 0.784, -1.49, "no_speech"),
        (".", 0.95, -1.27, "no_speech"),
        ("Thank you.", 0.331, -0.35, "stock_phrase"),
        ("Thanks for watching!", 0.55, -0.4, "stock_phrase"),
        ("Thank you. Thank you. It is my set.", 0.045, -0.42, "stock_phrase"),
        ("the", 0.353, -2.99, "stock_phrase"),
        ("I'm not going to do it!", 0.373, -1.53, "low_confidence"),
        ("and then " * 40, 0.1, -0.2, "repetitive"),
        ("go go go go go", 0.1, -0.2, "repetitive"),
        ("I've got that.", 0.407, -0.52, ""),
        ("Ask not!", 0.258, -0.64, ""),
        ("Thank you.", 0.02, -0.1, ""),
        ("Turn left. Turn left. And then turn left again.", 0.1, -0.3, ""),
        ("We thank you for watching the pot boil.", 0.1, -0.4, ""),
    ],
)
def test_invented_text_is_left_out_and_speech_is_kept(text: str, no_speech: float, logprob: float, reason: str) -> None:
    assert judge(heard(text, no_speech, logprob), KeepSettings()) == reason


def test_an_engine_without_measures_is_believed_unless_it_loops() -> None:
    assert not judge(heard("Thank you.", None, None), KeepSettings())
    assert judge(heard("na " * 30, None, None), KeepSettings()) == "repetitive"


def test_a_row_shows_the_measures_and_the_reason() -> None:
    one = heard("the the the the", 0.9, -2.0)

    assert row_of(one, judge(one, KeepSettings())) == {
        "text": "the the the the",
        "start": 0.0,
        "end": 5.0,
        "no_speech": 0.9,
        "logprob": -2.0,
        "compression": pytest.approx(15 / 13, abs=0.3),
        "repetition": 0.75,
        "kept": False,
        "reason": "no_speech",
    }
