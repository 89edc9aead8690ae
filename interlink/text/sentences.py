"""Splits text without times into sentences, and cuts it to a token budget. Costs about a microsecond per word."""

from __future__ import annotations

import re

from interlink.shards.document import count_tokens

_END = re.compile(r"[.!?…]+[\"'”’)\]]*\s+(?=[^a-z])|(?<=[。！？])")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:mr|mrs|ms|dr|prof|st|vs|jr|sr|approx|e\.g|i\.e|no|fig|[a-z])\.$", re.I)


def split(text: str) -> list[str]:
    """The sentences of a text, in order. Joined by spaces they give the text again, up to white space."""
    found: list[str] = []
    begin = 0
    for end in _END.finditer(text):
        piece = text[begin : end.end()].strip()
        if not piece or _ABBREVIATION.search(piece):
            continue
        found.append(piece)
        begin = end.end()
    rest = text[begin:].strip()
    return [*found, rest] if rest else found


def within(text: str, tokens: int) -> str:
    """The longest start of whole sentences with at most `tokens` tokens, or of words if the first sentence is longer.

    Empty only if the first word does not fit.
    """
    kept, room = [], tokens
    for sentence in split(text):
        room -= count_tokens(sentence)
        if room < 0:
            break
        kept.append(sentence)
    if kept:
        return " ".join(kept)
    room = tokens
    for word in text.split():
        room -= count_tokens(word)
        if room < 0:
            break
        kept.append(word)
    return " ".join(kept)
