"""Telephone numbers and addresses of many countries are found, and lines full of amounts stay as they are."""

from __future__ import annotations

import itertools
import time

import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from interlink.text.personal import count, scrub

LANGUAGES = {"US": "en", "GB": "en", "IN": "en", "DE": "de", "FR": "fr", "ES": "es", "IT": "it", "BR": "pt", "JP": "ja",
             "CN": "zh", "RU": "ru", "NL": "nl"}  # fmt: skip
KINDS = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE)
FORMATS = (PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.E164)
ADDRESSES = [
    *("ann@example.org", "jo.b+x@mail.example.co.uk", "ann (at) example.org", "ann [at] example [dot] org"),
    *("ANN@EXAMPLE.ORG", "müller@beispiel.de", "jean(at)exemple.fr", "info{at}example{dot}com", "a_b-c@d-e.example"),
    *("chef (at) kitchen (dot) example (dot) com", "maria [arroba] ejemplo.es", "hans [ät] beispiel.de"),
    *(
        "ivan@пример.рф",
        "hana@例え.jp",
        "vendas@loja.example.com.br",
        "first.last@firma.example.de",
        "o'neil@example.ie",
    ),
    *("x@example.io", "user@xn--bcher-kva.example", "info (at) example.co.jp", "priya (AT) example (DOT) in"),
    *("kontakt [at] firma.example.de", "jan (at) voorbeeld (punt) nl", "contact(at)exemple(point)fr"),
    *("info [at] esempio [punto] it", "ivan (собака) example.ru", "li@example.com.cn", "no-reply@example.travel"),
]
# Lines of how-to videos: every {} is a number.
LINES = (
    "oven {}0 {}0 {}0",
    "bake at {}0 for {}-{} minutes",
    "mix {}0 g of flour, {}5 ml milk and {} eggs",
    "in {}98, {}99 and 2004",
    "{},000,000 views and {}0,000 likes",
    "a ratio of {}:{}:{}",
    "cut it {} x {} x {} mm",
    "steps {} {} {} {} {} {} {}",
    "part number {}3-{}56",
    "{}.5 {}.25 {}.75",
    "from 20{}-01-15 to 20{}-02-15",
    "at {}:30, {}:45 and {}:15",
    "{}000 km in {}00 days",
    "sizes {}0-{}2-{}4-{}6-{}8",
    "{}00 200 300 400 500",
    "rgb {}5 128 064",
    "{} {} {} {} in a row, then {}",
    "score {}-{}, {}-{}, {}-{}",
    "{}000000 dollars",
    "pages {}0-{}9, 130-145",
)
NUMBERS = ("12", "18", "20", "24", "33", "45", "57", "60", "72", "81")


def harmless() -> list[str]:
    numbers = itertools.cycle(NUMBERS)
    return [line.format(*(next(numbers) for _ in range(line.count("{}")))) for line in LINES for _ in range(10)]


def numbers_of(region: str) -> list[str]:
    examples = [phonenumbers.example_number_for_type(region, kind) for kind in KINDS]
    return [phonenumbers.format_number(one, how) for one in examples if one is not None for how in FORMATS]


@pytest.mark.parametrize("language", ["en", "de", "es", ""])
def test_lines_full_of_amounts_stay(language: str) -> None:
    lines = harmless()
    changed = [line for line in lines if count(line, language)]

    assert len(lines) == 200
    assert len(changed) <= 0.02 * len(lines), changed


def test_numbers_and_addresses_of_twelve_countries_are_found() -> None:
    personal = [(text, language) for region, language in LANGUAGES.items() for text in numbers_of(region)]
    personal += [(address, "") for address in ADDRESSES]
    missed = [
        (text, language) for text, language in personal if scrub(f"write to {text}, today", language)[0].count("<") != 1
    ]

    assert len(personal) >= 100
    assert len(missed) <= 0.1 * len(personal), missed


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("call 212 555 0123 or ann (at) example.org", "call <PHONE> or <EMAIL>"),
        ("ruf 030 901820 an", "ruf <PHONE> an"),
        ("mix (at room temperature) 500 g", "mix (at room temperature) 500 g"),
    ],
)
def test_only_what_is_personal_is_masked(text: str, scrubbed: str) -> None:
    assert scrub(text, "de" if "ruf" in text else "en")[0] == scrubbed


def test_long_texts_take_linear_time() -> None:
    began = time.process_time()
    scrub("call 020 7946 0958 now and stir 200 g. " * 300, "en")
    scrub("a (at) " * 20_000)
    assert time.process_time() - began < 4
