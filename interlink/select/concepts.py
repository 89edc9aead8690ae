"""Finds concepts in a text: entries of a list, matched as runs of stemmed words."""

from __future__ import annotations

from collections.abc import Sequence

from interlink.text.words import content_words, stem, words

MOST = 64  # most concepts of a video if no list is given


class Concepts:
    """An indexed list of concepts; the cost of a lookup does not depend on its length."""

    def __init__(self, entries: Sequence[str]) -> None:
        self._entries = {tuple(map(stem, words(entry))): entry for entry in entries if words(entry)}
        self._lengths = sorted({len(key) for key in self._entries})

    def of(self, text: str) -> list[str]:
        """The concepts in a text, sorted and unique."""
        if not self._entries:
            return sorted(set(content_words(text)))[:MOST]
        own = [stem(word) for word in words(text)]
        return sorted(
            {
                entry
                for begin in range(len(own))
                for length in self._lengths
                if (entry := self._entries.get(tuple(own[begin : begin + length])))
            }
        )
