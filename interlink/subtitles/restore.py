"""Restores sentence boundaries in speech without punctuation, by dynamic programming over possible cuts.

A cut scores higher at a pause, before a word that opens a thought ("okay", "so", "we're …"), and at a new cue; lower
after a word that cannot end one ("the", "of", "if …"). Costs O(words × longest piece): 2 ms per minute of speech.
The word lists are English; other languages are cut only by pauses, cues and length.
"""

from __future__ import annotations

from collections.abc import Sequence

from interlink.subtitles.words import Word

MOST_WORDS, MOST_SECONDS, MOST_CHARACTERS = 24, 10.0, 160  # limits of a piece; beyond them a cut is forced
SURE_PAUSE = 2.5  # seconds of pause that always cut
PAUSE_WORTH, LONGEST_PAUSE = 2.0, 1.5  # score per second of pause; longest pause that counts, seconds
CUT = 1.1  # cost of a cut
CUE_WORTH = 0.2
SHORT_WORDS, SHORT_COST = 3, 0.35  # cost for each word below three
LONG_WORDS, LONG_COST = 12, 0.12  # cost for each word above twelve
ENGLISH_SHARE = 0.25  # least share of words in the lists below for English speech


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


OPENS = _set(
    "okay ok alright so now well next then first finally here here's let's look boom oh yeah hey hi hello remember"
)
SUBJECT = _set(
    "i we they he she i'm we're you're they're he's she's it's that's there there's we've i've you've they've we'll "
    "i'll you'll what's what how why don't do if when once because"
)
JOINS = _set("and but you it this these those")  # often not the first word of a thought
DANGLES = _set(
    "the a an of to in on at by with and or but is are was were am be been that if because very really before after my "
    "your our their his her its for from we're you're i'm they're it's that's gonna going which who whose when while "
    "as than so some any this these those what how why we i you they he she it not no can could will would should do "
    "does did have has had let's into onto over under about like just one more don't doesn't here's there's then now "
    "we've i've you've we'll i'll you'll also"
)
CONTINUES = _set(
    "of to than is are was were am be been for with in on at from that which who whose or not into by as have has had "
    "can could will would should does did gonna going"
)
FUNCTION = OPENS | SUBJECT | JOINS | DANGLES | CONTINUES
PENALTY = 3.0  # of a cut after a word that cannot end a thought; a third of it if the word may end a sentence
MAY_END = _set("so this these those that it you not no one more here now over under about then")


def cuts(words: Sequence[Word]) -> list[int]:
    """Indices of the words that begin a sentence, without the first."""
    if not words:
        return []
    tokens = [word.text.casefold().strip(",;:\"'“”()") for word in words]
    english = sum(token in FUNCTION for token in tokens) >= ENGLISH_SHARE * len(tokens)
    worth = [0.0] + [_worth(words, tokens, at, english) for at in range(1, len(words))]
    best = [0.0] + [float("-inf")] * len(words)  # over cuts of the first n words
    back = [0] * (len(words) + 1)
    for end in range(1, len(words) + 1):
        characters = 0
        for begin in range(end - 1, -1, -1):
            characters += len(words[begin].text) + 1
            length = end - begin
            too_long = (
                length > MOST_WORDS
                or characters > MOST_CHARACTERS
                or words[end - 1].end - words[begin].start > MOST_SECONDS
            )
            if too_long and length > 1:
                break
            total = best[begin] + worth[begin] - _length_cost(length)
            if total > best[end]:
                best[end], back[end] = total, begin
            if begin and (words[begin].opens_turn or _pause(words, begin) >= SURE_PAUSE):
                break
    found = []
    at = back[len(words)]
    while at:
        found.append(at)
        at = back[at]
    return found[::-1]


def _pause(words: Sequence[Word], at: int) -> float:
    return words[at].start - words[at - 1].end


def _worth(words: Sequence[Word], tokens: Sequence[str], at: int, english: bool) -> float:
    """The score of a cut before word `at`, minus the cost of a cut."""
    pause = max(0.0, _pause(words, at))
    value = PAUSE_WORTH * min(pause, LONGEST_PAUSE) + CUE_WORTH * words[at].opens_cue - CUT
    if not english:
        return value
    before, here = tokens[at - 1], tokens[at]
    following = tokens[at + 1] if at + 1 < len(tokens) else ""
    if here in OPENS or (here, following) == ("all", "right"):
        value += 1.5
    elif here in SUBJECT:
        value += 0.8
    elif here in JOINS:
        value += 0.3
    if here in CONTINUES:
        value -= PENALTY / 2
    if before in DANGLES:
        value -= PENALTY / 3 if before in MAY_END else PENALTY
    return value


def _length_cost(length: int) -> float:
    return SHORT_COST * max(0, SHORT_WORDS - length) + LONG_COST * max(0, length - LONG_WORDS)
