"""Rolling captions give each word once; words become sentences."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from interlink.media.sentences import Word, sentences_of, words_of
from interlink.media.subtitles import Cue, cue_of, parse


def cues(*shown: tuple[float, float, str]) -> list[Cue]:
    return [cue for start, end, text in shown if (cue := cue_of(start, end, text)) is not None]


def said(found: list[Cue]) -> str:
    return " ".join(word.text for word in words_of(found))


def sentences(*shown: tuple[float, float, str]) -> list[str]:
    return [sentence.text for sentence in sentences_of(words_of(cues(*shown)))]


def test_youtubes_rolling_captions_give_the_known_words_in_order_of_time(shared_data: Path) -> None:
    folder = shared_data / "subtitles"
    words = words_of(parse((folder / "WAaKRUoY6Io.en.vtt").read_bytes()).cues)

    expected = (folder / "WAaKRUoY6Io.expected_plain.txt").read_text().replace("[Music]", " ").split()
    assert [word.text for word in words] == expected
    assert all(before.start <= after.start for before, after in pairwise(words))
    assert (words[1].text, words[1].start) == ("this", 0.179)


def test_auto_captions_become_pieces_short_enough_to_place(shared_data: Path) -> None:
    found = parse((shared_data / "subtitles" / "WAaKRUoY6Io.en.vtt").read_bytes()).cues
    pieces = sentences_of(words_of(found))

    assert 30 <= len(pieces) <= 90
    assert all(piece.end - piece.start <= 10 for piece in pieces)
    assert all(before.end <= after.start for before, after in pairwise(pieces))


def test_a_line_that_scrolls_up_is_said_once() -> None:
    rolling = cues((0, 1, "add the salt"), (1, 2, "add the salt\nand stir"), (2, 3, "and stir\nwell"))

    assert said(rolling) == "add the salt and stir well"


def test_a_line_that_grows_word_by_word_is_said_once() -> None:
    assert said(cues((0, 1, "add"), (1, 2, "add the"), (2, 3, "add the salt"), (3, 4, "add the salt now"))) == (
        "add the salt now"
    )


def test_people_may_say_the_same_twice() -> None:
    assert said(cues((0, 1, "No."), (1, 2, "No."), (2, 3, "Stir it."), (3, 4, "Taste it."), (5, 6, "Done."))) == (
        "No. No. Stir it. Taste it. Done."
    )


def test_marks_of_sound_are_dropped_and_an_open_bracket_is_not() -> None:
    assert said(cues((0, 1, "[upbeat music]"), (1, 2, "hello [Music] there"), (2, 3, "[ it goes on"))) == (
        "hello there [ it goes on"
    )


def test_punctuation_ends_a_sentence_but_abbreviations_initials_and_small_letters_do_not() -> None:
    assert sentences((0, 4, "Dr. Ann B. Cook is here. It is 3 p.m. today!"), (4, 6, "So... let's go? Yes")) == [
        "Dr. Ann B. Cook is here.",
        "It is 3 p.m. today!",
        "So... let's go?",
        "Yes",
    ]


def test_a_sentence_runs_over_cues_and_takes_their_times() -> None:
    (found,) = sentences_of(words_of(cues((1.0, 2.0, "Add the"), (2.0, 3.5, "salt."))))

    assert (found.text, found.start, found.end) == ("Add the salt.", 1.0, 3.5)


def test_another_speaker_begins_another_sentence() -> None:
    assert sentences((0, 2, ">> Is it hot"), (2, 4, ">> Yes. Very.")) == ["Is it hot", "Yes.", "Very."]


def test_text_without_punctuation_is_cut_at_pauses() -> None:
    assert sentences((0, 2, "cut the onion"), (4, 6, "now the pan")) == ["cut the onion", "now the pan"]


def test_chinese_and_japanese_are_joined_without_spaces() -> None:
    assert sentences((0, 1, "把洋葱"), (1, 2, "切成片。")) == ["把洋葱切成片。"]


@given(
    st.lists(st.tuples(st.text("ab.?! ", min_size=1, max_size=6), st.floats(0, 5), st.floats(0, 3)), max_size=120),
)
def test_no_word_is_lost_and_sentences_do_not_overlap(spoken: list[tuple[str, float, float]]) -> None:
    words, time = [], 0.0
    for text, gap, length in spoken:
        if text.strip():
            words.append(Word(text.replace(" ", "x"), time + gap, time + gap + length))
            time += gap

    found = sentences_of(words)

    assert " ".join(sentence.text for sentence in found) == " ".join(word.text for word in words)
    times = [time for sentence in found for time in (sentence.start, sentence.end)]
    assert times == sorted(times)
