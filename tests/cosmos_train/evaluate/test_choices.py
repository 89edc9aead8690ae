"""What an answer says: letters, numbers and words, by rules."""

from __future__ import annotations

import pytest

from cosmos_train.evaluate.choices import is_right, letter_of, numbers
from cosmos_train.evaluate.readers.folder import Example, Media

CHOICES = ("red", "dark red", "a small dog", "5")


@pytest.mark.parametrize(
    ("said", "letter"),
    [
        ("B", "B"),
        (" (c). ", "C"),
        ("b", "B"),
        ("B. dark red", "B"),
        ("(C) because it barks", "C"),
        ("A: red", "A"),
        ("The answer is C.", "C"),
        ("I first thought the answer is (A), but the correct answer is (D).", "D"),
        ("Answer: B", "B"),
        ("It looks like (B) or maybe (C)", "C"),
        ("It is dark red", "B"),
        ("It is red", "A"),
        ("five", "D"),
        ("The small dog.", "C"),
        ("A man with a hat", ""),
        ("E", ""),
        ("red, and 5 dogs", ""),
        ("", ""),
        ("the answer is a mystery", ""),
    ],
)
def test_the_letter_that_an_answer_names(said: str, letter: str) -> None:
    assert letter_of(said, CHOICES) == letter


def example(wanted: str, exact: str = "") -> Example:
    return Example("1", Media("1.jpg"), answers=((wanted,),), exact=exact)


@pytest.mark.parametrize(
    ("said", "wanted", "exact", "right"),
    [
        ("The total is 1,024.", "1024", "integer", True),
        ("3 + 4 = 7", "7", "integer", True),
        ("7 or 8", "7", "integer", False),  # the last number counts
        ("It is 7.9", "7", "integer", True),  # int(float(x)), as MathVista's scorer
        ("It is 7.9", "8", "integer", False),
        ("about 1.24", "1.2", "1", True),
        ("1.26", "1.2", "1", False),
        ("none", "1.2", "1", False),
        ("It is [1, 2].", "[1, 2]", "list", True),
        ("[2, 1]", "[1, 2]", "list", False),
        ("no list", "[1, 2]", "list", False),
        ("[x(1)]", "[1]", "list", False),
        ("It is the Left ventricle, I think.", "left ventricle", "", True),
        ("the right one", "left ventricle", "", False),
        ("It costs $8.40", "8.4", "", True),
        ("It costs 84", "8.4", "", False),
        ("", "8.4", "", False),
    ],
)
def test_numbers_lists_and_words(said: str, wanted: str, exact: str, right: bool) -> None:
    assert is_right(said, example(wanted, exact)) == right


def test_numbers_as_people_write_them() -> None:
    assert numbers("-3, .5 and 1,200.25 in 2024") == [-3, 0.5, 1200.25, 2024]


def test_choices_are_compared_by_letter() -> None:
    one = Example("1", Media("1.jpg"), choices=CHOICES, label="C")
    assert is_right("C. a small dog", one)
    assert not is_right("a cat", one)
