"""Names of speakers and sounds are marks; prose that looks like them is speech."""

from __future__ import annotations

import pytest

from interlink.subtitles.blocks import cue_of
from interlink.subtitles.words import Word, words_of


def read(*texts: str) -> tuple[list[Word], list[tuple[str, str]]]:
    cues = [cue for n, text in enumerate(texts) if (cue := cue_of(n * 3.0, n * 3.0 + 2, text)) is not None]
    words, marks = words_of(cues)
    return words, [(mark.text, mark.kind) for mark in marks]


def said(*texts: str) -> str:
    return " ".join(word.text for word in read(*texts)[0])


@pytest.mark.parametrize(
    ("text", "spoken", "name"),
    [
        ("JOHN: Peel the onion.", "Peel the onion.", "JOHN"),
        ("CHEF ANN: Peel it.", "Peel it.", "CHEF ANN"),
        ("JOHN:\nPeel it.", "Peel it.", "JOHN"),
        ("- JOHN: Peel it.", "Peel it.", "JOHN"),
        (">> John: Peel it.", "Peel it.", "John"),
        (">> JOHN SMITH: Peel it.", "Peel it.", "JOHN SMITH"),
        ("Narrator: Peel it.", "Peel it.", "Narrator"),
        ("Speaker 1: Peel it.", "Peel it.", "Speaker 1"),
        ("WOMAN (on phone): Peel it.", "Peel it.", "WOMAN (on phone)"),
        ("（太郎）むきます。", "むきます。", "太郎"),
        ("ИВАН: Очистите лук.", "Очистите лук.", "ИВАН"),
        ("<v Ann>Peel it.</v>", "Peel it.", "Ann"),
        ("<v.loud Ann Lee>Peel it.", "Peel it.", "Ann Lee"),
    ],
)
def test_names_of_speakers_are_marks(text: str, spoken: str, name: str) -> None:
    words, marks = read(text, "Then we chop it.")

    assert " ".join(word.text for word in words) == f"{spoken} Then we chop it."
    assert (words[0].start, words[0].opens_turn) == (0.0, True)
    assert marks == [(name, "speaker")]


@pytest.mark.parametrize(
    "text",
    [
        "Note: the pan is hot.",
        "NOTE: the pan is hot.",
        "Step 1: peel the onion.",
        "STEP 1: peel the onion.",
        "Remember: it is hot.",
        "It is 12:30 now.",
        "12:30 is lunch.",
        "Ingredients: salt and oil.",
        "So this is it: the soup.",
        "My advice: use butter.",
        "Salt: two spoons.",
        "WARNING: hot!",
        "Hinweis: heiß.",
        "The ratio is 1:2.",
        "Add salt (if you like) and oil.",
        "Add butter (about 50 g).",
        "(Optional) add salt.",
        "Use 2 * 3 cups * 4.",
        "It was -5 degrees.",
        "A well-known trick - really.",
    ],
)
def test_prose_stays(text: str) -> None:
    assert read(text, "Then we chop it.") == (read(text, "Then we chop it.")[0], [])
    assert said(text, "Then we chop it.") == f"{text} Then we chop it."


def test_prose_that_is_said_again_and_again_stays() -> None:
    texts = ("Remember: peel it.", "Note: it is hot.", "Remember: chop it.", "Note: use oil.")

    assert said(*texts) == " ".join(texts)


def test_small_names_that_take_turns_are_marks() -> None:
    words, marks = read("Anna: Peel it.", "Ben: Why?", "Anna: It is dry.", "Ben: I see.")

    assert " ".join(word.text for word in words) == "Peel it. Why? It is dry. I see."
    assert {name for name, _ in marks} == {"Anna", "Ben"}


def test_in_a_file_in_capitals_capitals_mark_no_name() -> None:
    texts = ("THE REASON FOR SALT: IT TASTES GOOD.", "NOW ADD THE OIL.", "AND STIR IT WELL.")

    assert said(*texts) == " ".join(texts)


@pytest.mark.parametrize("dash", ["- ", "-", "– ", "—"])
def test_dashes_at_the_start_of_lines_open_turns(dash: str) -> None:
    words, _ = read(f"{dash}Really?\n{dash}Yes.")

    assert [(word.text, word.opens_turn) for word in words] == [("Really?", True), ("Yes.", True)]


@pytest.mark.parametrize(
    ("text", "spoken", "mark"),
    [
        ("- (laughs) Yes.", "Yes.", "laughs"),
        ("Yes. (door slams)", "Yes.", "door slams"),
        ("*sighs* Yes.", "Yes.", "sighs"),
        ("*sighs*", "", "sighs"),
        ("[door slams] Yes.", "Yes.", "door slams"),
        ("(in French) Oui.", "Oui.", "in French"),
        ("（laughs） Yes.", "Yes.", "laughs"),
        ("JOHN: (sighs) Yes.", "Yes.", "sighs"),
    ],
)
def test_sounds_are_marks(text: str, spoken: str, mark: str) -> None:
    words, marks = read(text)

    assert " ".join(word.text for word in words) == spoken
    assert (mark, "sound") in marks


def test_a_name_has_no_more_than_thirty_characters() -> None:
    for letters, is_name in ((30, True), (31, False)):
        name = f"ANNA {'B' * (letters - 5)}"
        assert len(name) == letters
        assert (read(f"{name}: Peel it.", "Then we chop it.")[1] == [(name, "speaker")]) == is_name


@pytest.mark.parametrize(
    ("rest", "is_name"),
    [
        ("AAAAAA bbbb", True),  # six of ten letters
        ("AAAAAAA bbbb", False),
    ],
)
def test_capitals_mark_a_name_unless_the_file_is_written_in_them(rest: str, is_name: bool) -> None:
    assert bool(read(f"JOHN: {rest}")[1]) == is_name
    assert read(f"- JOHN: {rest}")[1] == [("JOHN", "speaker")]  # after a dash it is one


def test_one_name_that_is_said_again_and_again_is_prose_and_two_are_speakers() -> None:
    assert said("Salt: two.", "Salt: three.") == "Salt: two. Salt: three."
    assert {name for name, _ in read("Salt: two.", "Oil: one.", "Salt: x.", "Oil: y.", "Zoe: z.")[1]} == {"Salt", "Oil"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [("[Music]", "music"), ("(upbeat música)", "music"), ("[door slams]", "sound"), ("♪ la la ♪", "music")],
)  # fmt: skip
def test_marks_of_music_and_of_sound_are_told_apart(text: str, kind: str) -> None:
    words, marks = read(text)
    assert words == [] and [found for _, found in marks] == [kind]
