"""Decodes text files of unknown encoding, and says whether the result is certain.

Order: byte order mark, UTF-16 by its zero bytes, UTF-8, the declared encoding, the encodings of the language in the
file's name (charset-normalizer chooses among them), and last charset-normalizer's guess, which is never certain.
Costs one pass for UTF-8; about 10 ms for the first 64 kB of other files.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

# fmt: off
_WESTERN = (
    "en", "fr", "de", "es", "it", "pt", "nl", "sv", "no", "nb", "nn", "da", "fi", "is", "ga", "ca", "gl", "eu", "af",
    "id", "ms", "sw",
)
# fmt: on
# Language (two letters) -> the legacy encodings in use for it, the most common first.
LEGACY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("ru", "uk", "be", "bg", "mk"), ("cp1251", "koi8_r", "cp866", "iso8859_5", "mac_cyrillic")),
    **dict.fromkeys(("pl", "cs", "sk", "hu", "sl", "hr", "bs", "ro", "sq"), ("cp1250", "iso8859_2", "cp852")),
    "sr": ("cp1251", "cp1250", "iso8859_5", "iso8859_2"),
    "ja": ("cp932", "euc_jp", "shift_jis_2004"),
    "ko": ("cp949", "johab"),
    "zh": ("gb18030", "big5", "big5hkscs"),
    "el": ("cp1253", "iso8859_7", "cp737"),
    "tr": ("cp1254", "iso8859_9", "cp857"),
    "he": ("cp1255", "iso8859_8", "cp862"),
    "yi": ("cp1255", "iso8859_8"),
    **dict.fromkeys(("ar", "fa", "ur"), ("cp1256", "iso8859_6", "cp864")),
    **dict.fromkeys(("lt", "lv", "et"), ("cp1257", "iso8859_13", "iso8859_4")),
    "vi": ("cp1258",),
    "th": ("cp874", "iso8859_11"),
    **dict.fromkeys(_WESTERN, ("cp1252", "iso8859_15", "mac_roman", "cp850")),
}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE = 65536  # bytes that a guess reads


@dataclass(frozen=True)
class Decoded:
    """The text of a file without its byte order mark. encoding: a codec's name; doubt: why it may be wrong, or ""."""

    text: str
    encoding: str
    doubt: str = ""


def decode(data: bytes, declared: str = "", language: str = "") -> Decoded:
    """Decodes the bytes of a text file. Never raises; bytes that do not decode become U+FFFD, and `doubt` says so.

    declared: the encoding that the file names (XML, HTML), or empty. language: two letters from the file's name.
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
    if (encoding := _best(data, LEGACY.get(language, ()))) and (text := _strict(data, encoding)) is not None:
        return Decoded(text, encoding)
    encoding = _best(data, ()) or "cp1252"
    text = data.decode(encoding, "replace")
    return Decoded(text, encoding, f"its encoding is not stated; read as {encoding}")


def _wide(data: bytes) -> str:
    """UTF-16 without a mark: every second byte of Latin letters, digits and line ends is zero."""
    head = data[:4096]
    if len(head) < 4 or b"\0" not in head:
        return ""
    even, odd = (part.count(0) / len(part) for part in (head[::2], head[1::2]))
    if max(even, odd) < 0.3 or min(even, odd) > 0.05:
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


def _best(data: bytes, encodings: tuple[str, ...]) -> str:
    """The most plausible encoding, among these if there are any; empty if none fits."""
    from charset_normalizer import from_bytes

    found = from_bytes(data[:_SAMPLE], cp_isolation=list(encodings) or None).best()
    return "" if found is None else str(found.encoding)
