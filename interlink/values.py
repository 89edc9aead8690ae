"""Turns values of foreign tables and JSON files into text. A missing value gives no text, never "nan" or "None".

`text_of` and `texts_of` keep every text, for answers and speech, where "None" may be a word. `known_text` and
`known_texts` also leave out the spelling of a missing value, for cells of tables: ids, titles, captions.
Costs less than a microsecond per value.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

from interlink.encodings import decode

# How writers of tables spell a missing value (pandas, R, MySQL, spreadsheets), in lower case.
MISSING = frozenset(
    ("nan", "-nan", "none", "null", "n/a", "#n/a", "<na>", "#na", "nat", "\\n", "undefined", "1.#qnan", "-1.#ind")
)
MISSING_AS_WRITTEN = frozenset(("NA",))  # in lower case it is a word
_EXACT = 2**53  # a float holds every whole number up to here


def text_of(value: Any) -> str:
    """The text of one value, stripped; empty for a missing one (None, NaN, pandas.NA, NaT).

    Bytes are decoded, whole floats lose their `.0`, a list of one value is that value. Raises ValueError for other
    lists, objects and booleans (their text would be Python's notation), for bytes of an unknown encoding, and for
    floats too large to be exact. NUL characters and byte order marks are removed.
    """
    return _single(texts_of(value))


def texts_of(value: Any) -> list[str]:
    """The texts of a value that may be a list (or array) of texts: those that are not missing. Raises ValueError."""
    if hasattr(value, "tolist"):  # numpy, torch: arrays and scalars
        value = value.tolist()
    values = value if isinstance(value, list | tuple) else (value,)
    return [text for text in map(_one, values) if text]


def known_text(value: Any) -> str:
    """As `text_of`; empty also for the spelling of a missing value. Raises ValueError."""
    return _single(known_texts(value))


def known_texts(value: Any) -> list[str]:
    """As `texts_of`, without those that spell a missing value. Raises ValueError."""
    return [text for text in texts_of(value) if not is_missing(text)]


def is_missing(text: str) -> bool:
    """Whether a text is the spelling of a missing value, as tables write it: `nan`, `None`, `NULL`, `N/A`."""
    text = text.strip()
    return text.casefold() in MISSING or text in MISSING_AS_WRITTEN


def plain(value: Any) -> Any:
    """A value as JSON can hold it: what is missing and bytes become None, dates and decimals their text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, bytes | bytearray | memoryview) or _is_pandas_missing(value):
        return None
    return str(value)


def _single(texts: list[str]) -> str:
    if len(texts) > 1:
        raise ValueError(f"holds {len(texts)} texts where one is expected")
    return texts[0] if texts else ""


def _one(value: Any) -> str:
    if value is None or _is_pandas_missing(value):
        return ""
    if isinstance(value, bytes | bytearray | memoryview):
        decoded = decode(bytes(value))
        if decoded.doubt:
            raise ValueError(f"is not certain to be read right: {decoded.doubt}")
        value = decoded.text
    if isinstance(value, str):
        return value.replace("\0", "").replace("\ufeff", "").strip()
    if isinstance(value, bool | Mapping | list | tuple | set | frozenset):
        raise ValueError(f"is a {type(value).__name__}, not a text")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, numbers.Real):
        return _number(float(value), value)
    return str(value)


def _number(number: float, value: numbers.Real) -> str:
    if math.isnan(number):
        return ""
    if not math.isfinite(number) or number != int(number):
        return str(value)
    if abs(number) > _EXACT:
        raise ValueError(f"is {number:g}, a float too large to be exact: write whole numbers as integers or text")
    return str(int(number))


def _is_pandas_missing(value: Any) -> bool:
    return type(value).__name__ in ("NAType", "NaTType")  # of pandas, which need not be installed
