"""Finds and masks e-mail addresses and telephone numbers in text. Costs microseconds per clip.

It uses patterns, so names and postal addresses are not found. A number counts as a telephone number if it is written
like one (a plus, brackets or separators, 8 to 15 digits), so that years, sizes and times stay.
"""

from __future__ import annotations

import re

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.UNICODE)
# A number after "+", or separated groups of digits; written so that it cannot backtrack over long text.
_PHONE = re.compile(r"(?<![\w.,:/-])(?:\+\d[\d().\-\s]{6,20}\d|\(?\d{2,4}\)?[\s.-]\d{3,4}[\s.-]\d{3,4})(?![\w:/-])")

MARKS = {"email": "<EMAIL>", "phone": "<PHONE>"}


def scrub(text: str) -> tuple[str, int]:
    """The text with `<EMAIL>` and `<PHONE>` in place of matches, and the number of matches."""
    if "@" not in text and not any(character.isdigit() for character in text):
        return text, 0
    text, emails = _EMAIL.subn(MARKS["email"], text)
    phones = 0

    def mask(match: re.Match[str]) -> str:
        nonlocal phones
        if not 8 <= sum(character.isdigit() for character in match[0]) <= 15:
            return match[0]
        phones += 1
        return MARKS["phone"]

    return _PHONE.sub(mask, text), emails + phones


def count(text: str) -> int:
    """Number of addresses and telephone numbers that `scrub` would mask."""
    return scrub(text)[1]
