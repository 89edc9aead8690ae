"""The letters and the legacy encodings of languages: how well a text decoded in one of them looks like the language.

A wrong encoding shows: letters of another alphabet or case inside words, symbols between letters, rare letters.
Costs about a microsecond per character.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from functools import lru_cache

_PUNCTUATION = frozenset("“”‘’‚„«»‹›…–—―·•¿¡°²³€£™½¼¾×−№♪♫♬\xa0、。，．・：；？！「」『』（）【】〈〉《》〜～ー％　")
_RARE = frozenset("¥§©®÷")
_INSIDE = frozenset("’·-‐–ー")  # may stand between two letters
_COMMON_SHARE = 0.7  # of a text's letters are among the common ones of its language
_DENSE = 0.35  # most letters beyond ASCII, of all letters, in a language written in Latin letters
_RARE_FAULT, _CAPITAL_FAULT, _DASH_FAULT = 0.25, 0.05, 0.1
_CAPITALS, _CAPITALS_FAULT = 0.6, 0.08  # share of capitals in a text that is written in capitals
_ENOUGH = 8  # letters from which on shares of letters count


@dataclass(frozen=True)
class Script:
    """One language, or several that share encodings. letters: those beyond ASCII, small; empty: see `east_asian`.

    common: its most frequent letters, for alphabets that have the same places in several encodings. needed: letters
    that make up at least `share` of any text.
    """

    name: str
    encodings: tuple[str, ...]
    letters: frozenset[str] = frozenset()
    common: frozenset[str] = frozenset()
    east_asian: bool = False
    needed: frozenset[str] = frozenset()
    share: float = 0.0

    def faults(self, text: str) -> float:
        """Faults per character beyond ASCII, and for letters that are too rare or too many."""
        foreign = [number for number, character in enumerate(text) if character > "\x7f"]
        if not foreign:
            return 0.0
        padded = f" {text} "
        faults = sum(self._fault(*padded[number : number + 3]) for number in foreign) / len(foreign)
        return faults + self._unlikely([text[number] for number in foreign], text)

    def _fault(self, before: str, character: str, after: str) -> float:
        if character in _RARE:
            return _RARE_FAULT
        if not self._fits(character):
            return 1.0
        if self.east_asian:
            return 0.0
        if not character.isalpha():
            if before.isalpha() and after.isalpha() and character not in _INSIDE:
                return 0.0 if unicodedata.combining(character) else 1.0
            return _DASH_FAULT if character in "—–…" and after.isalpha() else 0.0
        if self.common and (_latin(before) or _latin(after)):
            return 1.0  # letters of two alphabets in one word
        if not character.isupper():
            return 0.0
        return 1.0 if before.islower() else _CAPITAL_FAULT * (not self.common)

    def _unlikely(self, foreign: list[str], text: str) -> float:
        """How unlikely the letters are together, 0 to 1."""
        letters = [each for each in foreign if each.isalpha()]
        if len(letters) < _ENOUGH:
            return 0.0
        if self.needed:
            missing = self.share - sum(each in self.needed for each in letters) / len(letters)
            if missing > 0:
                return min(1.0, missing / self.share)
        if self.common:
            rare = max(0.0, _COMMON_SHARE - sum(_bare(each) in self.common for each in letters) / len(letters))
            capitals = sum(each.isupper() for each in letters) > _CAPITALS * len(letters)
            return rare + _CAPITALS_FAULT * capitals
        share = len(letters) / (len(letters) + sum(_latin(each) for each in text))
        return share if self.latin and share > _DENSE else 0.0

    @property
    def latin(self) -> bool:
        """Whether the language is written in Latin letters."""
        return not self.east_asian and all(ord(each) < 0x370 for each in self.letters)

    def _fits(self, character: str) -> bool:
        if character in _PUNCTUATION:
            return True
        if self.east_asian:
            return _east_asian(character, self.name)
        return character.casefold() in self.letters or character.lower() in self.letters


def _latin(character: str) -> bool:
    return character.isascii() and character.isalpha()


@lru_cache(maxsize=4096)
def _bare(character: str) -> str:
    """The small letter without accents."""
    return unicodedata.normalize("NFD", character.lower())[0]


@lru_cache(maxsize=16384)
def _east_asian(character: str, name: str) -> bool:
    """Whether a character is common in Chinese, Japanese or Korean: of the first level of its national standard."""
    code = ord(character)
    if 0x3040 <= code < 0x3100:
        return name == "ja"
    if 0xAC00 <= code < 0xD7A4:
        return name == "ko" and _lead(character, "euc_kr") >= 0xB0
    if name == "ja":
        return 0x30 <= _lead(character, "euc_jp") - 0x80 < 0x50
    if name == "ko":
        return False
    return 0xB0 <= _lead(character, "gb2312") <= 0xD7 or 0xA4 <= _lead(character, "big5") <= 0xC6


def _lead(character: str, encoding: str) -> int:
    """The first byte of a character in an encoding; 0 if it has none or is not of two bytes."""
    try:
        data = character.encode(encoding)
    except UnicodeError:
        return 0
    return data[0] if len(data) == 2 else 0


_CYRILLIC = ("cp1251", "koi8_r", "koi8_u", "cp866", "iso8859_5", "mac_cyrillic")
_CENTRAL = ("cp1250", "iso8859_2", "cp852", "mac_latin2")
_WEST = ("cp1252", "iso8859_15", "mac_roman", "cp850")
_RUSSIAN = "абвгдежзийклмнопрстуфхцчшщъыьэюяё"
_ARABIC = "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىيًٌٍَُِّْـ؟،؛"
_HEBREW, _POINTS = "אבגדהוזחטיךכלםמןנסעףפץצקרשת", "".join(map(chr, range(0x5B0, 0x5C3)))
_LOAN = "éèêàçïñöüíáó"  # of English

# Language (two letters) -> encodings in use for it, the most common first; letters beyond ASCII; common letters.
# fmt: off
_ROWS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("en", _WEST, _LOAN, ""),
    ("fr", _WEST, "àâæçéèêëîïôœùûüÿ", ""),
    ("de", _WEST, "äöüßéèà", ""),
    ("es", _WEST, "áéíóúüñªº", ""),
    ("it", _WEST, "àèéìíîòóùú", ""),
    ("pt", _WEST, "áâãàçéêíóôõúüªº", ""),
    ("nl", _WEST, "éèëïóöüáàêĳ", ""),
    ("sv", _WEST, "åäöéà", ""), ("fi", _WEST, "äöåéšž", ""),
    ("no", _WEST, "æøåéèòôóêâ", ""), ("nb", _WEST, "æøåéèòôóêâ", ""), ("nn", _WEST, "æøåéèòôóêâ", ""),
    ("da", _WEST, "æøåéáó", ""), ("is", _WEST, "áðéíóúýþæö", ""),
    ("ga", _WEST, "áéíóú", ""), ("ca", _WEST, "àçèéíïòóúü·", ""),
    ("gl", _WEST, "áéíóúñü", ""), ("eu", _WEST, "ñçü", ""),
    ("af", _WEST, "áèéêëîïôöûü", ""), ("id", _WEST, "é", ""), ("ms", _WEST, "é", ""), ("sw", _WEST, "é", ""),
    ("fil", _WEST, "ñáéíóúâêîôû", ""),
    ("pl", _CENTRAL, "ąćęłńóśźżé", ""),
    ("cs", _CENTRAL, "áčďéěíňóřšťúůýž", ""), ("sk", _CENTRAL, "áäčďéíĺľňóôŕšťúýž", ""),
    ("hu", _CENTRAL, "áéíóöőúüű", ""),
    ("sl", _CENTRAL, "čšžćđé", ""), ("hr", _CENTRAL, "čćđšžé", ""), ("bs", _CENTRAL, "čćđšžé", ""),
    ("ro", (*_CENTRAL, "iso8859_16"), "ăâîșțşţé", ""), ("sq", (*_CENTRAL, *_WEST), "çëé", ""),
    ("tr", ("cp1254", "iso8859_9", "cp857"), "çğıiöşüâîûİ\u0307", ""), ("az", ("cp1254",), "çəğıöşü", ""),
    ("lt", ("cp1257", "iso8859_13", "iso8859_4"), "ąčęėįšųūž", ""),
    ("lv", ("cp1257", "iso8859_13", "iso8859_4"), "āčēģīķļņšūž", ""),
    ("et", ("cp1257", "iso8859_13", "iso8859_15"), "äõöüšž", ""),
    ("vi", ("cp1258",), "àáâãèéêìíòóôõùúýăđơư\u0300\u0301\u0303\u0309\u0323", ""),
    ("ru", _CYRILLIC, _RUSSIAN, "оеаинтсрвлкмдп"),
    ("uk", _CYRILLIC, "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя", "оаиніівтерслкдм"),
    ("be", _CYRILLIC, _RUSSIAN + "іў", "анаеіорстлкдыўя"),
    ("bg", _CYRILLIC, _RUSSIAN, "аеоинтрсвлкдпм"),
    ("mk", _CYRILLIC, "абвгдѓежзѕијклљмнњопрстќуфхцчџш", "аоеинтрсвлкдпј"),
    ("sr", (*_CYRILLIC, *_CENTRAL), "абвгдђежзијклљмнњопрстћуфхцчџшčćđšž", ""),
    ("el", ("cp1253", "iso8859_7", "cp737"), "αβγδεζηθικλμνξοπρστυφχψωςάέήίόύώϊϋΐΰ", "αοιετσνηυρκπμλ"),
    ("he", ("cp1255", "iso8859_8", "cp862"), _HEBREW + _POINTS, "יוהלאמרתבשםנחק"),
    ("yi", ("cp1255", "iso8859_8"), _HEBREW + "װױײ", "יוהלאמרתבשענ"),
    ("ar", ("cp1256", "iso8859_6", "cp864"), _ARABIC, "اليمنوتربةعدهكسف"),
    ("fa", ("cp1256",), _ARABIC + "پچژگکیۀ\u200c", "ایردنهومتسبشک"),
    ("ur", ("cp1256",), _ARABIC + "پچژگکیۀٹڈڑںھہےۓ\u200c", "ایرنوےہمکت"),
    ("th", ("cp874",), "".join(map(chr, (*range(0xE01, 0xE3B), *range(0xE3F, 0xE5C)))), ""),
)
# fmt: on
_BY_NAME = {
    name: Script(name, encodings, frozenset(letters), frozenset(common)) for name, encodings, letters, common in _ROWS
}
_BY_NAME["el"] = replace(_BY_NAME["el"], needed=frozenset("άέήίόύώ"), share=0.03)
_KANA = frozenset(map(chr, range(0x3041, 0x30FF)))
_BY_NAME |= {
    "ja": Script("ja", ("cp932", "euc_jp", "shift_jis_2004"), east_asian=True, needed=_KANA, share=0.2),
    "ko": Script("ko", ("cp949", "johab"), east_asian=True),
    "zh": Script("zh", ("gb18030", "big5", "big5hkscs"), east_asian=True),
}
_BY_NAME |= {"yue": _BY_NAME["zh"], "cmn": _BY_NAME["zh"], "tl": _BY_NAME["fil"]}
# One language for each set of encodings and letters, in the order in which equal readings are preferred.
_FIRST = (
    "fr",
    "de",
    "es",
    "pt",
    "sv",
    "en",
    "pl",
    "cs",
    "hu",
    "ro",
    "tr",
    "lt",
    "ja",
    "ko",
    "zh",
    "ru",
    "uk",
    "el",
    "he",
    "ar",
    "fa",
)
ORDER = tuple(_BY_NAME[name] for name in (*_FIRST, "th"))


def script_for(language: str) -> Script | None:
    """The letters and encodings of a language (two letters); None if they are not known."""
    return _BY_NAME.get(language)
