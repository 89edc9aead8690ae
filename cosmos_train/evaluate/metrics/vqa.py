"""The official accuracy of open-ended VQA (Antol et al. 2015): an answer is right if three of ten people gave it.

Answers are compared after the challenge's normalisation: case, punctuation, articles, number words, contractions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_ENOUGH = 3  # people who must agree for full marks
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {"none": "0"} | {word: str(value) for value, word in enumerate(_WORDS)}
_ARTICLES = frozenset(("a", "an", "the"))
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'

# Words that get their apostrophe back by the rules. Where that would give another word (its, well, wed) they do not.
_CONTRACTED = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""


def _without_one(word: str) -> list[str]:
    """The word with one of its apostrophes left out, for each of them."""
    return [word[:i] + word[i + 1 :] for i, letter in enumerate(word) if letter == "'"]


_CONTRACTIONS = {short: word for word in _CONTRACTED.split() for short in _without_one(word)}
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")


def normalise(answer: str) -> str:
    """An answer in the form in which it is compared."""
    text = " ".join(answer.split())
    number = _COMMA_IN_NUMBER.search(text)
    stripped = text
    for mark in _PUNCTUATION:
        beside_space = f"{mark} " in text or f" {mark}" in text
        stripped = stripped.replace(mark, "" if beside_space or number else " ")
    kept = (_NUMBERS.get(word, word) for word in _PERIOD.sub("", stripped).lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in kept if word not in _ARTICLES)


def accuracy(answer: str, people: Sequence[str | Sequence[str]]) -> float:
    """min(1, agreeing / 3), averaged over leaving out each of the people who answered. 0 to 1.

    For a single person's answer (the video QA sets): whether it is the same.

    people: the answer of each; several forms if they count alike (raw and stemmed). Raises ValueError if there are
    none.
    """
    if not people:
        raise ValueError("a question without answers cannot be scored")
    said = normalise(answer)
    agrees = [said in {normalise(form) for form in ((one,) if isinstance(one, str) else one)} for one in people]
    if len(people) == 1:  # leaving out the only answer would leave none
        return float(agrees[0])
    total = sum(agrees)
    return sum(min(1.0, (total - own) / min(_ENOUGH, len(people) - 1)) for own in agrees) / len(people)
