"""Decodes text files of unknown encoding, and says whether the result is certain.

Order: byte order mark, UTF-16 by its zero bytes, UTF-8, the declared encoding, the encodings of the language in the
file's name, and last those of all languages, whose result is certain only if a likely language reads it best.
Costs one pass for UTF-8; 10 to 100 ms for the first 64 kB of other files.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from interlink.alphabets import ORDER, Script, script_for

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MOST, _SAMPLE = 1 << 20, 1500  # bytes of the file, and of its lines beyond ASCII, that a guess reads
_CLEAR, _USUAL = 0.12, 0.003  # a reading this much better than the next is certain; … if it is the usual encoding
_SURE = 3  # faults in all by which a reading of a longer text must be better
_GOOD, _POOR = 0.1, 0.5  # most faults per letter of a certain reading, and of one that is used at all
_FEW = 4  # letters beyond ASCII that prove nothing


@dataclass(frozen=True)
class Decoded:
    """The text of a file without its byte order mark. encoding: a codec's name; doubt: why it may be wrong, or ""."""

    text: str
    encoding: str
    doubt: str = ""


@dataclass(frozen=True)
class _Reading:
    """A sample read in one encoding. faults: per character beyond ASCII; 0 for a perfect text of the language.

    usual: it is the most common encoding of the language.
    """

    faults: float
    encoding: str
    text: str
    language: str
    usual: bool


def decode(data: bytes, declared: str = "", language: str = "", likely: Sequence[str] = ()) -> Decoded:
    """Decodes the bytes of a text file. Never raises; bytes that do not decode become U+FFFD, and `doubt` says so.

    declared: the encoding that the file names (XML, HTML), or empty. language: two letters from the file's name.
    likely: languages to expect if there is none in the name.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _damaged(data[len(mark) :], encoding)
    if encoding := _wide(data):
        return _damaged(data, encoding)
    if b"\x1b$" in data and (text := _strict(data, "iso2022_jp")) is not None:
        return Decoded(text, "iso2022_jp")
    if (text := _strict(data, "utf-8")) is not None:
        return Decoded(text, "utf-8")
    if declared and (text := _strict(data, declared)) is not None:
        return Decoded(text, codecs.lookup(declared).name)
    damaged = _damaged(data, "utf-8")
    lost = damaged.text.count("\ufffd")
    if sum(character > "\x7f" for character in damaged.text) - lost > lost:  # in other encodings nearly all is lost
        return damaged
    return _legacy(data, language, likely)


def _legacy(data: bytes, language: str, likely: Sequence[str]) -> Decoded:
    """Text in an encoding of one script: the reading with the fewest faults."""
    sample = _sample(data)
    expected = [script for name in ((language,) if language else likely) if (script := script_for(name))]
    readings = _readings(sample, expected)
    sure = bool(readings) and _certain(readings)
    if not readings or readings[0].faults > _POOR or not language:
        # Without a language in the name, a likely one must read the text better than all others do.
        everything = _readings(sample, [*expected, *(script for script in ORDER if script not in expected)])
        sure = sure and not language and _certain(everything) and everything[0].language == readings[0].language
        readings = everything
    if sure and (text := _strict(data, readings[0].encoding)) is not None:
        return Decoded(text, readings[0].encoding)
    encoding = readings[0].encoding if readings and readings[0].faults < _POOR else _guess(sample)
    return Decoded(data.decode(encoding, "replace"), encoding, f"its encoding is not stated; read as {encoding}")


def _sample(data: bytes) -> bytes:
    """The first lines with bytes beyond ASCII, without the rest of the file."""
    lines, size = [], 0
    for line in data[:_MOST].split(b"\n"):
        if not line.isascii():
            lines.append(line)
            size += len(line)
            if size > _SAMPLE:
                break
    if len(lines) == 1 and size > _SAMPLE:
        return lines[0]
    return b"\n".join(lines[:-1] if size > 2 * _SAMPLE else lines)


def _readings(sample: bytes, scripts: Sequence[Script]) -> list[_Reading]:
    """The sample in all encodings of the scripts that fit, the best first; with equal faults in the given order."""
    found = []
    for script in scripts:
        for number, encoding in enumerate(script.encodings):
            text = _strict(sample, encoding)
            if text is not None:
                found.append(_Reading(round(script.faults(text), 4), encoding, text, script.name, number == 0))
    few = sum(byte > 0x7F for byte in sample) < _FEW  # then they are rather accents in Latin letters
    scores = {script.name: _POOR * (few and len(scripts) > 1 and not script.latin) for script in scripts}
    return sorted(found, key=lambda reading: reading.faults + scores[reading.language])


def _certain(readings: Sequence[_Reading]) -> bool:
    """Whether the first reading is good, and every other text clearly worse."""
    best = readings[0]
    letters = sum(character > "\x7f" and character.isalpha() for character in best.text)
    if not letters or (not best.usual and letters < _FEW):
        return False
    count = sum(character > "\x7f" for character in best.text)
    margin = min(_USUAL if best.usual else _CLEAR, _SURE / max(1, count))
    text = unicodedata.normalize("NFC", best.text)
    return best.faults <= _GOOD and all(
        other.faults >= best.faults + margin or unicodedata.normalize("NFC", other.text) == text
        for other in readings[1:]
    )


def _wide(data: bytes) -> str:
    """UTF-16 without a mark: the upper byte of Latin letters, digits and line ends is zero, and no lower one is."""
    head = data[:4096]
    if len(head) < 4 or b"\0" not in head:
        return ""
    even, odd = (part.count(0) / len(part) for part in (head[::2], head[1::2]))
    if max(even, odd) < 0.1 or min(even, odd) > 0.05:
        return ""
    return "utf-16-be" if even > odd else "utf-16-le"


def _strict(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeError, LookupError):
        return None


def _damaged(data: bytes, encoding: str) -> Decoded:
    text = data.decode(encoding, "replace")
    lost = text.count("\ufffd") - data.count("\ufffd".encode(encoding))
    return Decoded(text, encoding, f"{lost} damaged characters in {encoding}" if lost > 0 else "")


def _guess(sample: bytes) -> str:
    """charset-normalizer's choice, for scripts that interlink.alphabets does not know."""
    from charset_normalizer import from_bytes

    found = from_bytes(sample).best()
    return "cp1252" if found is None else str(found.encoding)
