"""Language tags and names in one form, and the labels in the names of subtitle files (`en`, `pt-BR.forced`, `English`).

Built on langcodes: BCP 47, ISO 639-2 and 639-3, withdrawn codes (`iw` is `he`), and names in English or in the language
itself. Costs 0.2 s for the first tag, microseconds after that.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from pydantic import BeforeValidator

UNKNOWN = frozenset(("und", "mul", "zxx", "mis"))  # codes that name no language
SIBLINGS = {
    "nb": "no",
    "nn": "no",
    "tl": "fil",
    "yue": "zh",
}  # matched as one language, as are those of one macrolanguage
FEWEST_SPEAKERS = 10_000  # of a language without a two-letter code: `one`, `raw`, `sub` are codes, but rather words
COMMON_LONG = frozenset(("fil", "yue", "cmn"))  # codes of three letters that are no words
FARTHEST = 1000  # a distance between tags beyond all of langcodes

# Words in the names of subtitle files that name no language -> the kind they state ("": nothing that matters here).
KINDS = {
    **dict.fromkeys(("forced", "foreign", "partial"), "forced"),
    **dict.fromkeys(("signs", "songs"), "signs"),
    **dict.fromkeys(("commentary", "commentaries", "directors", "director's"), "commentary"),
    **dict.fromkeys(("sdh", "cc", "hoh", "hearing", "impaired", "deaf"), "sdh"),
    **dict.fromkeys(("auto", "automatic", "generated", "asr", "translated"), "auto"),
    **dict.fromkeys(("chapters", "kapitel", "chapitres", "capitulos", "capítulos"), "chapters"),
    **dict.fromkeys(("metadata", "thumbnails", "thumbs", "storyboard", "sprites"), "metadata"),
    **dict.fromkeys(("descriptions", "description"), "descriptions"),
    **dict.fromkeys(("live_chat", "live-chat", "rechat", "danmaku"), "chat"),
    **dict.fromkeys(("default", "full", "orig", "original", "normal", "regular", "dialogue", "dialog", "only"), ""),
    **dict.fromkeys(("sub", "subs", "subtitle", "subtitles", "caption", "captions", "closed", "synced"), ""),
    **dict.fromkeys(("utf8", "utf-8"), ""),
}
GLUE = re.compile(r"and|for|of|the|s|track\d*")  # words that stand between the others
NEVER_SPEECH = frozenset(("chapters", "metadata", "descriptions", "chat"))
INCOMPLETE = frozenset(("forced", "signs", "commentary"))  # speech, but not the speech of the video

# Names that CLDR writes otherwise.
_MORE_NAMES = {
    "pt-BR": ("brazilian portuguese", "brazilian", "portuguese br", "português do brasil"),
    "pt-PT": ("european portuguese",),
    "zh-Hans": ("simplified chinese", "chinese simplified", "简体", "简中", "简体中文"),
    "zh-Hant": ("traditional chinese", "chinese traditional", "繁體", "繁体", "繁中", "繁體中文"),
    "zh": ("mandarin", "汉语", "漢語", "国语", "國語"),
    "yue": ("cantonese", "粤语", "粵語"),
    "es-419": ("latin american spanish", "latin spanish", "spanish latin america", "español latino", "latino"),
    "es": ("castilian", "castellano"),
    "fa": ("farsi",),
    "no": ("bokmal", "norwegian bokmal", "norwegian"),
    "fil": ("tagalog", "pilipino"),
    "nl-BE": ("flemish",),
    "en": ("eng us", "eng uk"),
}
_LOCALES = (
    *("en-US", "en-GB", "en-CA", "en-AU", "en-IN", "es-ES", "es-MX", "es-419", "pt-BR", "pt-PT", "fr-FR", "fr-CA"),
    *("de-DE", "de-AT", "de-CH", "zh-CN", "zh-TW", "zh-HK", "zh-Hans", "zh-Hant", "sr-Latn", "sr-Cyrl", "nl-BE"),
    *("fil", "yue", "cmn", "ceb", "haw", "ast", "gsw", "hsb", "kok", "mai", "mni", "sat", "nds", "scn", "vec"),
)
_TAG = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|\d{3}))?")
_SITE = re.compile(r"([A-Za-z]{2,3}(?:-[A-Za-z]{4})?(?:-[A-Z]{2}|-\d{3})?)-([\w-]{11}|orig|asr|auto)", re.ASCII)
_TOKEN = re.compile(r"[^\s_\-\[\](){}（）,&+]+")
_SEPARATOR = re.compile(r"[.\s_\-\[(（]")
_LONGEST_NAME = 4  # words


@dataclass(frozen=True)
class Label:
    """What a file's or a track's name states. language: a tag, or empty. kinds: values of KINDS, without ""."""

    language: str = ""
    kinds: frozenset[str] = frozenset()

    @property
    def never_speech(self) -> str:
        """The kind that makes it no speech at all, or ""."""
        return next(iter(sorted(self.kinds & NEVER_SPEECH)), "")

    @property
    def incomplete(self) -> str:
        """The kind that makes it only a part of the speech, or other speech; or ""."""
        return next(iter(sorted(self.kinds & INCOMPLETE)), "")


def _setting(value: object) -> object:
    """YAML reads `no` (Norwegian) as False, and one language need not be written as a list."""
    values = value if isinstance(value, list | tuple) else (value,)
    return tuple("no" if each is False else each for each in values)


Languages = Annotated[tuple[str, ...], BeforeValidator(_setting)]


@lru_cache(maxsize=4096)
def tag_of(text: str) -> str:
    """The standard tag of a code, tag or name (`eng`, `pt_br`, `iw`, `Deutsch`); empty if it names no language."""
    return _code(text.strip(), strict=False) or _names().get(" ".join(_TOKEN.findall(_folded(text))), "")


@lru_cache(maxsize=4096)
def language_of(text: str) -> str:
    """The language of a tag or name, without script and region, with two letters if possible; empty for `und`.

    An unknown code stays as it is.
    """
    primary = re.split("[-_]", tag_of(text) or text.strip().casefold())[0]
    return "" if primary in UNKNOWN else primary


@lru_cache(maxsize=4096)
def group_of(text: str) -> str:
    """The language of a tag, one for those that stand for one another: `nb`, `nn`, `no`; `cmn`, `yue`, `zh`."""
    import langcodes

    tag = tag_of(text)
    if not tag:
        return language_of(text)
    primary = str(langcodes.Language.get(langcodes.standardize_tag(tag, macro=True)).language)
    return SIBLINGS.get(primary, primary)


def distance(wanted: str, offered: str) -> int:
    """How far two tags of one language are apart: 0 for the same, more for other regions, scripts and siblings."""
    import langcodes

    first, second = tag_of(wanted), tag_of(offered)
    if not first or not second or first == second:
        return 0 if first == second else FARTHEST
    return 1 + int(langcodes.tag_distance(first, second))


@lru_cache(maxsize=256)
def script_of(text: str) -> str:
    """The usual script of a language (four letters, such as Latn or Cyrl); empty if it is not known."""
    import langcodes

    tag = tag_of(text)
    return str(langcodes.Language.get(tag).maximize().script or "") if tag else ""


@lru_cache(maxsize=65536)
def read_label(rest: str) -> Label | None:
    """The label that `rest` states: what follows the video's stem in a subtitle's name, without the suffix.

    None if any part of it is unknown: then the file belongs to something else. `hi` is Hindi, or, next to another
    language, for the hearing impaired.
    """
    rest = unicodedata.normalize("NFC", rest)
    if not rest:
        return Label()
    if not _SEPARATOR.match(rest):
        return None
    parts: list[Label] = []
    for number, segment in enumerate(rest.split(".")):
        if not segment.strip(" _-"):
            continue
        if segment.strip().isdigit() and parts:
            continue  # a number after a language tells two files apart
        found = _segment(segment.strip(), strict=number == 0 and not re.match(r"\s*[\[(（]", segment))
        if found is None:
            return None
        parts += found
    return _joined(parts) if parts else None


def label_of(name: str, stems: Iterable[str] = ()) -> Label:
    """The label in a file's or track's name. stems: names of the video, of which the longest is taken off.

    Without a stem that fits, the last words of the name that are labels count: `wwa_chapters_en` has a label.
    """
    base = unicodedata.normalize("NFC", name)
    for stem in sorted((unicodedata.normalize("NFC", stem) for stem in stems), key=len, reverse=True):
        if stem and base.startswith(stem):
            label = read_label(base[len(stem) :])
            if label is not None:
                return label
    parts: list[Label] = []
    for token in reversed(re.split(r"[.\s_\[\](){}]+", base)):
        if not token:
            continue
        found = _segment(token, strict=True)
        if found is None:
            break
        parts += found
    return _joined(parts)


def _joined(parts: Sequence[Label]) -> Label:
    tags = [part.language for part in parts if part.language]
    kinds = {kind for part in parts for kind in part.kinds}
    others = [tag for tag in tags if tag != "hi"]
    if others and "hi" in tags:
        kinds.add("sdh")
    return Label((others or tags or [""])[0], frozenset(kinds))


def _segment(segment: str, strict: bool) -> list[Label] | None:
    """The labels of one part of a name; None if it has an unknown word. strict: rare codes are words."""
    bare = segment.strip("_-[]() ")
    known = _one(bare, strict)
    if known is not None:
        return [known]
    site = _SITE.fullmatch(bare)
    if site and (tag := _code(site[1], strict)):
        return [Label(tag, frozenset(("auto",)) if site[2] in ("asr", "auto") else frozenset())]
    tokens = _TOKEN.findall(bare)
    found: list[Label] = []
    at = 0
    while at < len(tokens):
        for count in range(min(_LONGEST_NAME, len(tokens) - at), 0, -1):
            label = _one("-".join(tokens[at : at + count]), strict)
            if label is not None:
                found.append(label)
                at += count
                break
        else:
            if not ((tokens[at].isdigit() and found) or GLUE.fullmatch(_folded(tokens[at]))):
                return None
            at += 1
    return found


def _one(text: str, strict: bool) -> Label | None:
    """The label of a kind's word, a tag or a language's name; None if it is none of them."""
    folded = _folded(text)
    if folded in KINDS:
        kind = KINDS[folded]
        return Label("", frozenset((kind,)) if kind else frozenset())
    if re.split("[-_]", folded)[0] in UNKNOWN and len(folded) == 3:
        return Label()
    tag = _code(text, strict) or _names().get(" ".join(_TOKEN.findall(folded)), "")
    return Label(tag) if tag else None


def _code(text: str, strict: bool) -> str:
    """The standard tag of a BCP 47 tag with a known language; else empty."""
    import langcodes

    text = text.replace("_", "-")
    if not _TAG.fullmatch(text):
        return ""
    language = langcodes.Language.get(text)
    primary = str(language.language or "")
    if not primary or primary in UNKNOWN or not language.is_valid():
        return ""
    rare = len(primary) == 3 and primary not in COMMON_LONG
    if rare and (strict or _folded(text) == "new" or language.speaking_population() < FEWEST_SPEAKERS):
        return ""
    return str(language.to_tag())


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """Names of languages, in English and in themselves, as folded words -> tag."""
    import langcodes

    letters = "abcdefghijklmnopqrstuvwxyz"
    tags = [tag for tag in (a + b for a in letters for b in letters) if langcodes.tag_is_valid(tag)]
    found: dict[str, str] = {}
    for tag in (*tags, *_LOCALES):
        language = langcodes.Language.get(tag)
        standard = str(language.to_tag())
        for name in (language.display_name("en"), language.autonym(), *_MORE_NAMES.get(tag, ())):
            for spelling in (_folded(name), _folded(_plain(name))):
                if _TAG.fullmatch(spelling):
                    continue  # langcodes repeats the code where it knows no name
                found.setdefault(" ".join(_TOKEN.findall(spelling)), standard)
    return found


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _plain(text: str) -> str:
    """The text without accents."""
    return "".join(each for each in unicodedata.normalize("NFD", text) if not unicodedata.combining(each))
