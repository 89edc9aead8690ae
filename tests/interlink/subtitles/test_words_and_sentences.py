"""Rolling captions give each word once; words become sentences."""

from __future__ import annotations

import difflib
import json
import re
from itertools import accumulate, pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from interlink.subtitles.blocks import cue_of
from interlink.subtitles.cues import Cue
from interlink.subtitles.files import parse
from interlink.subtitles.sentences import sentences_of
from interlink.subtitles.words import Word, words_of


def cues(*shown: tuple[float, float, str]) -> list[Cue]:
    return [cue for start, end, text in shown if (cue := cue_of(start, end, text)) is not None]


def said(found: list[Cue]) -> str:
    return " ".join(word.text for word in words_of(found)[0])


def sentences(*shown: tuple[float, float, str]) -> list[str]:
    return [sentence.text for sentence in sentences_of(words_of(cues(*shown))[0])]


def test_rolling_captions_give_merlots_words_at_merlots_times_bar_marks_of_music(shared_data: Path) -> None:
    """MERLOT's own reading of the same file: 641 words with times. Its text lacks one word that was said."""
    words, marks = words_of(parse((shared_data / "subtitles" / "WAaKRUoY6Io.en.vtt").read_bytes()).cues)
    merlot = json.loads((shared_data / "metadata" / "WAaKRUoY6Io.grover.json").read_text())["subtitles"]

    ours = [(word.text, word.start) for word in words]
    extra = next(number for number, (text, _) in enumerate(ours) if text == "sweetness")
    del ours[extra]
    assert [text for text, _ in ours] == [each["word"] for each in merlot]
    assert max(abs(start - each["time"]) for (_, start), each in zip(ours, merlot, strict=True)) < 0.02
    assert all(before.start <= after.start for before, after in pairwise(words))
    assert [(mark.text, mark.kind, mark.start) for mark in marks] == [
        ("Music", "music", 120.73),
        ("Music", "music", 191.09),
        ("Music", "music", 250.24),
    ]


def test_rolling_captions_give_the_expected_text(shared_data: Path) -> None:
    folder = shared_data / "subtitles"
    words, _ = words_of(parse((folder / "WAaKRUoY6Io.en.vtt").read_bytes()).cues)

    expected = (folder / "WAaKRUoY6Io.expected_plain.txt").read_text().replace("[Music]", " ").split()
    assert [word.text for word in words] == expected
    assert sum(word.timed for word in words) > 0.95 * len(words)


def test_restored_sentences_end_where_merlots_cleaned_text_has_punctuation(shared_data: Path) -> None:
    """F1 of sentence ends: 0.42; cutting at pauses of 0.6 s and halving what is long gives 0.19."""
    words, _ = words_of(parse((shared_data / "subtitles" / "WAaKRUoY6Io.en.vtt").read_bytes()).cues)
    told = json.loads((shared_data / "metadata" / "WAaKRUoY6Io.grover.json").read_text())["denoised"]
    clean = " ".join(part["cleanasr"] for part in (json.loads(told) if isinstance(told, str) else told)).split()

    def bare(text: str) -> str:
        return re.sub(r"[^a-z0-9']", "", text.lower())

    match = difflib.SequenceMatcher(None, [bare(t) for t in clean], [bare(w.text) for w in words], autojunk=False)
    place = {a + n: b + n for a, b, size in match.get_matching_blocks() for n in range(size)}
    true = {place[n] for n, text in enumerate(clean) if re.search(r"[.!?][\"']?$", text) and n in place}
    ends = set(accumulate(len(sentence.words) for sentence in sentences_of(words)))
    found = {end - 1 for end in ends}
    precision, recall = len(found & true) / len(found), len(found & true) / len(true)

    assert 2 * precision * recall / (precision + recall) > 0.38


def test_auto_captions_become_pieces_short_enough_to_place(shared_data: Path) -> None:
    found = parse((shared_data / "subtitles" / "WAaKRUoY6Io.en.vtt").read_bytes()).cues
    pieces = sentences_of(words_of(found)[0])

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


def test_marks_of_sound_are_kept_apart_and_an_open_bracket_is_none() -> None:
    words, marks = words_of(cues((0, 1, "[upbeat music]"), (1, 2, "hello [Applause] there"), (2, 3, "[ it goes on")))

    assert " ".join(word.text for word in words) == "hello there [ it goes on"
    assert [(mark.text, mark.kind) for mark in marks] == [("upbeat music", "music"), ("Applause", "sound")]
    assert (marks[0].start, marks[0].end) == (0, 1)


def test_round_brackets_are_a_mark_only_on_a_line_of_their_own() -> None:
    words, marks = words_of(cues((0, 2, "(door slams)\n- Who (if anyone) is there?"), (3, 4, "(laughter)")))

    assert " ".join(word.text for word in words) == "Who (if anyone) is there?"
    assert [(mark.text, mark.start, mark.end) for mark in marks][1] == ("laughter", 3, 4)
    assert marks[0].text == "door slams"


def test_sung_lines_are_marks_with_their_words() -> None:
    words, marks = words_of(cues((0, 2, "♪ la la ♪"), (2, 3, "done")))

    assert [word.text for word in words] == ["done"]
    assert [(mark.text, mark.kind, mark.start, mark.end) for mark in marks] == [("♪ la la ♪", "music", 0, 2)]


def test_only_words_with_a_time_of_their_own_are_timed() -> None:
    words, _ = words_of(cues((0, 2, "now<00:00:00.500> add salt"), (2, 3, "and stir")))

    assert [(word.text, word.timed) for word in words] == [
        ("now", True),
        ("add", True),
        ("salt", False),
        ("and", False),
        ("stir", False),
    ]


def test_punctuation_ends_a_sentence_but_abbreviations_initials_and_small_letters_do_not() -> None:
    assert sentences((0, 4, "Dr. Ann B. Cook is here. It is 3 p.m. today!"), (4, 6, "So... let's go? Yes")) == [
        "Dr. Ann B. Cook is here.",
        "It is 3 p.m. today!",
        "So... let's go?",
        "Yes",
    ]


def test_a_sentence_runs_over_cues_and_takes_their_times() -> None:
    (found,) = sentences_of(words_of(cues((1.0, 2.0, "Add the"), (2.0, 3.5, "salt.")))[0])

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
