"""What stands in captions without being spoken: [Music], (laughs), *sighs*, sung lines, and names of speakers.

Names are taken off only where they can hardly be prose: see `speakers`. Costs microseconds per cue.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from interlink.subtitles.cues import Cue

Kind = Literal["music", "sound", "speaker", "overlay", "long"]
MARK_WORDS = 8  # most words of a mark of sound
NOTE = re.compile("[\u2669-\u266c]+|\U0001f3b5|\U0001f3b6")
SUNG = re.compile(rf"^[-–—#\s]*(?:{NOTE.pattern})|^#\s.+\s#$")
ENDS_SUNG = re.compile(rf"(?:{NOTE.pattern})[\s.,!?#]*$")
ASIDE = re.compile(r"^[-–—\s]*[(（]([^()（）]*)[)）]$")
STARRED = re.compile(r"^[-–—\s]*\*([^*]*)\*$")
DASHES = re.compile(r"[-–—‐]+\s+(?=\S)|[-–—‐]+(?=[^\W\d_])")  # at the start of a line they open a turn
# Words for music in captions, in the languages of common sites.
MUSIC = re.compile(
    "music|musi[kq]|músic|singing|♪|музык|музик|音乐|音樂|音楽|음악|موسيقى|संगीत|nhạc|muzyka|zene|müzik|hudba|musica",
    re.IGNORECASE,
)
# English words for sounds and ways of speaking: with one of them, brackets inside a line are a mark too.
_VOICE = (
    "laugh|chuckl|giggl|snicker|sigh|gasp|cough|sneez|sniff|sniffl|groan|moan|grunt|scream|shout|yell|whisper|sob|weep|"
    "mumbl|mutter|humm|whistl|applaud|cheer|sing|exhal|inhal|snor|yawn|clapp|cry|beep|buzz|bark|meow|chirp|rumbl"
)
_THING = "ring|knock|slam|creak|click|pop|splash|clatter|bang|crash|sizzl|thunder|honk|tick|clink|crackl|rattl"
_NOISE = (
    "laughter|applause|music|silence|inaudible|indistinct|unintelligible|crosstalk|static|footsteps|cheers|cries|"
    "chatter|gunshot|gunfire|thunder|foreign|clears? throat"
)
_LANGUAGE = "english|french|spanish|german|italian|russian|japanese|chinese|mandarin|korean|arabic|hebrew|hindi|latin"
_UP_TO_3 = r"(?:[\w'’,-]+ ){0,3}"
SOUND = re.compile(
    rf"{_UP_TO_3}(?:(?:{_VOICE})(?:e?s|ing)|{_NOISE})(?: [\w'’,-]+){{0,3}}"
    rf"|(?:{_VOICE})e?|{_UP_TO_3}(?:{_THING})(?:e?s|ing)"
    rf"|(?:speak(?:s|ing) )?in (?:{_LANGUAGE})|speak(?:s|ing)(?: \w+){{1,3}}"
    r"|(?:on|over) (?:the )?(?:phone|radio|tv)|off[- ]?screen|voice[- ]?over|v\.?o\.?|o\.?s\.?",
    re.IGNORECASE,
)
NAME = re.compile(
    r"^((?:[-–—‐]+\s*|>>+\s*)*)"  # what stands before it
    r"([^\W\d_][\w.'’&/#-]*(?: [\w.'’&/#-]+){0,3}(?: \([^()]{1,20}\))?)\s*[:：](?=\s|$)"
)
JAPANESE_NAME = re.compile(r"（([^（）]{1,12})）(?=\S)")  # of speakers, in Japanese captions
LONGEST_NAME = 30  # characters
CAPITALS = 0.6  # share of capitals from which on a file is written in capitals, so that they do not mark a name


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


ROLES = _set(
    "narrator speaker man woman boy girl host interviewer interviewee announcer reporter presenter moderator guest "
    "voice voiceover child kid audience crowd professor teacher student chef doctor operator anchor"
)
# Words that stand before a colon in prose, also in capitals.
PROSE = _set(
    "note notes remember step steps tip tips warning caution important attention ingredients ingredient method first "
    "second third fourth fifth next then finally last also now so and but or ok okay question questions answer answers "
    "q a ps p.s fact facts example examples hint part chapter section day week option number no rule reminder optional "
    "update conclusion summary result results reason reasons time total today tomorrow one two three four five here "
    "this that these those it the an you i we they he she what why how where when who which say says said asks for in "
    "on at to if is yes well oh hey look listen see plus problem solution bonus disclaimer spoiler goal goals "
    "materials tools equipment temperature serves yield difficulty subtitles subtitle captions translated translation "
    "transcript synced source sources www http https danger diy faq todo pros cons price cost size color colour level "
    "pro key main big quick let's i'm it's don't my your our there hinweis achtung tipp schritt zutaten wichtig "
    "nota importante paso ingredientes recuerda consejo étape ingrédients remarque conseil astuce uwaga krok składniki "
    "внимание шаг совет важно примечание"
)


@dataclass(frozen=True)
class Mark:
    """What is not speech: the text, and its times in seconds.

    music, sound: from brackets, notes and styles. speaker: a name. overlay: a text on the picture, shown while others
    speak. long: speech whose cue stands far longer than its words need.
    """

    text: str
    start: float
    end: float
    kind: Kind


def sound(text: str, start: float, end: float) -> Mark:
    """The mark of a text in brackets."""
    return Mark(text, start, end, "music" if MUSIC.search(text) else "sound")


def speakers(cues: Sequence[Cue]) -> frozenset[str]:
    """The names of speakers in a file, as they stand before a colon at the start of a line.

    A name is in capitals (in a file that is not), or a role (Narrator), or follows `>>`, or is one of several that
    stand there again and again. Words such as Note, Step 1 and Remember are never names.
    """
    lines = [line.text for cue in cues for line in cue.lines]
    found = [(match[1], match[2]) for text in lines if (match := NAME.match(text)) and _may_be_name(match[2])]
    if not found:
        return frozenset()
    rest = [character for text in lines for character in NAME.sub("", text) if character.isalpha()]
    in_capitals = sum(character.isupper() for character in rest) > CAPITALS * len(rest)
    counts = Counter(name for _, name in found)
    often = {name for name, count in counts.items() if count > 1}
    names = often if len(often) > 1 else set()
    for lead, name in found:
        role = name.split()[0].casefold() in ROLES
        if role or ">>" in lead or (name.partition("(")[0].isupper() and (not in_capitals or lead)):
            names.add(name)
    return frozenset(names)


def _may_be_name(name: str) -> bool:
    words = name.partition("(")[0].split()
    return (
        len(name) <= LONGEST_NAME
        and words[0].casefold().strip(".") not in PROSE
        and all(word[0].isupper() or word[0].isdigit() or word[0] in "#&" for word in words)
    )


def opening(text: str, names: frozenset[str]) -> tuple[str, str]:
    """(what a line begins with that is not spoken, the speaker's name in it or ""): a name, or dashes."""
    if (match := NAME.match(text)) and match[2] in names:
        return text[: match.end()], match[2]
    if match := JAPANESE_NAME.match(text):
        return match[0], match[1]
    dashes = DASHES.match(text)
    return (dashes[0] if dashes else ""), ""


def sounds_in(tokens: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """(first token, last one excluded, text) of each bracket with a sound in a line."""
    number = 0
    while number < len(tokens):
        last = _bracket(tokens, number)
        if last:
            yield number, last, " ".join(tokens[number:last]).strip("-–—.,!? ").strip("()（）* ")
        number = last or number + 1


def _bracket(tokens: Sequence[str], first: int) -> int:
    """The end of a bracket with a sound that begins at a token; 0 if there is none."""
    opening = tokens[first].lstrip("-–—")[:1]
    closing = {"(": ")", "（": "）", "*": "*"}.get(opening)
    if closing is None:
        return 0
    for last in range(first + 1, min(len(tokens), first + MARK_WORDS) + 1):
        inside = " ".join(tokens[first:last]).strip("-–—.,!? ")
        if inside.endswith(closing) and len(inside) > 1:
            return last if SOUND.fullmatch(inside.strip("()（）* ")) else 0
    return 0
