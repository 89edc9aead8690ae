"""Finds and masks e-mail addresses and telephone numbers in text. Costs microseconds for text without long numbers.

Telephone numbers are judged by the numbering plans of the countries in which the text's language is spoken
(phonenumbers): a plan says which numbers exist and how they are written, so that amounts, sizes and times stay. Names
and postal addresses are not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

# Two shapes: ann@example.org, and ann (at) example (dot) org. Written so that they cannot backtrack over long text.
_DOT = r"(?:\.|\s{0,2}[(\[{]\s{0,2}(?:dot|punkt|punto|point|\.)\s{0,2}[)\]}]\s{0,2})"
_AT = r"(?:@|\s{0,2}[(\[{]\s{0,2}(?:at|@|ät|arroba|chiocciola)\s{0,2}[)\]}]\s{0,2})"
_EMAIL = re.compile(rf"(?<![\w.+-])[\w.+-]{{1,64}}{_AT}[\w-]{{1,63}}(?:{_DOT}[\w-]{{1,63}}){{1,8}}", re.IGNORECASE)
_EMAIL_SIGN = re.compile(r"@|[(\[{]\s{0,2}(?:at|ät|arroba|chiocciola)\b", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"\d(?:[\s().\-/–‐]{0,3}\d){6}")  # seven digits

# Language -> countries whose numbers its texts hold most often.
_COUNTRIES = {
    "ar": "EG SA AE MA", "cs": "CZ", "da": "DK", "de": "DE AT CH", "el": "GR", "en": "US GB IN AU IE NZ ZA",
    "es": "ES MX AR CO CL PE", "fi": "FI", "fr": "FR BE CH CA", "he": "IL", "hi": "IN", "hu": "HU", "id": "ID",
    "it": "IT CH", "ja": "JP", "ko": "KR",
    "nb": "NO", "nl": "NL BE", "no": "NO", "pl": "PL", "pt": "BR PT", "ro": "RO", "ru": "RU", "sv": "SE", "th": "TH",
    "tr": "TR", "uk": "UA", "vi": "VN", "zh": "CN TW HK",
}  # fmt: skip
_ANY = "US GB DE FR ES IT BR IN JP CN RU NL"  # where the language is unknown
_NORTH_AMERICA = re.compile(r"(?:1[ .-]?)?(?:\(\d{3}\) ?|\d{3}-)\d{3}[-.]\d{4}")
_CONTEXT = re.compile(
    r"(?:\b(?:call|phone|tel|telephone|mobile|cell|fax|whatsapp|text|sms|dial|ring|hotline|telefon|handy|anruf\w*|"
    r"rufnummer|téléphone|appel\w*|portable|teléfono|llam\w+|móvil|telefono|chiam\w+|cellulare|telefone|ligue|celular|"
    r"numer|bel|тел|телефон|звони\w*)\b|电话|手机|電話|전화)[^\d+]{0,20}$",
    re.IGNORECASE,
)
_UNIT = re.compile(
    r"\s?(?:°|%|g|kg|mg|ml|cl|dl|l|oz|lb|lbs|cm|mm|m|km|w|kw|kcal|kj|cal|cups?|grams?|degrees|hours?|minutes?|min|"
    r"seconds?|sec|times|steps|pieces|people|views|subscribers|dollars|euros?|x)\b|\s?[€$£¥]",
    re.IGNORECASE,
)

MARKS = {"email": "<EMAIL>", "phone": "<PHONE>"}


def scrub(text: str, language: str = "") -> tuple[str, int]:
    """The text with `<EMAIL>` and `<PHONE>` in place of matches, and the number of matches.

    language: of the text (BCP 47), which says whose national numbers to look for; empty if unknown.
    """
    found = 0
    if _EMAIL_SIGN.search(text):
        text, found = _EMAIL.subn(MARKS["email"], text)
    if _LONG_NUMBER.search(text):
        for start, end in reversed(_phones(text, language)):
            text = f"{text[:start]}{MARKS['phone']}{text[end:]}"
            found += 1
    return text, found


def count(text: str, language: str = "") -> int:
    """Number of addresses and telephone numbers that `scrub` would mask."""
    return scrub(text, language)[1]


def _phones(text: str, language: str) -> list[tuple[int, int]]:
    """The spans of telephone numbers, in order, without overlaps."""
    known = _COUNTRIES.get(language.lower().replace("_", "-").split("-")[0])
    shortest = 9 if known else 10
    spans = sorted({span for region in (known or _ANY).split() for span in _of_region(text, region, shortest)})
    kept: list[tuple[int, int]] = []
    for start, end in spans:
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
        else:
            kept[-1] = (kept[-1][0], max(end, kept[-1][1]))
    return kept


def _of_region(text: str, region: str, shortest: int) -> Iterator[tuple[int, int]]:
    import phonenumbers

    matcher = phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.POSSIBLE, max_tries=100)
    strict = None
    for match in matcher:
        if match.raw_string.startswith("+"):
            good = True
        elif match.raw_string.startswith("00"):
            good = bool(re.search(r"\D", match.raw_string)) and phonenumbers.is_valid_number(match.number)
        elif _UNIT.match(text, match.end):
            good = False
        elif _CONTEXT.search(text, max(0, match.start - 40), match.start):
            good = len(_digits(match.raw_string)) >= 7
        elif region == "US" and _NORTH_AMERICA.fullmatch(match.raw_string):
            good = True
        else:
            strict = _strict(text, region) if strict is None else strict
            good = (match.start, match.end) in strict and _looks_written(match.raw_string, shortest)
        if good:
            yield match.start, match.end


@lru_cache(maxsize=64)
def _strict(text: str, region: str) -> frozenset[tuple[int, int]]:
    """The spans of numbers that exist in the region and are grouped as they are written there."""
    import phonenumbers

    leniency: Any = phonenumbers.Leniency.STRICT_GROUPING
    matcher = phonenumbers.PhoneNumberMatcher(text, region, leniency=leniency, max_tries=100)
    return frozenset((match.start, match.end) for match in matcher)


def _looks_written(raw: str, shortest: int) -> bool:
    """Whether it is written as a number to dial, not as a row of amounts: those are round, or have decimals.

    shortest: digits of a number without a trunk zero, brackets or hyphens.
    """
    digits, groups = _digits(raw), re.findall(r"\d+", raw)
    if len(groups) > 1 and all(len(group) <= 4 and group.endswith("0") for group in groups):
        return False
    if "." in raw and " " in raw:
        return False
    marked = digits.startswith("0") or "(" in raw or "-" in raw
    return len(digits) >= (8 if marked else shortest)


def _digits(raw: str) -> str:
    return "".join(character for character in raw if character.isdigit())
