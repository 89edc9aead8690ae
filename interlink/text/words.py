"""Words of a text for comparisons: folded words, content words, n-grams, shares. Costs a microsecond per word.

Only English function words are known; in other languages no words are removed, and the measures still work.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\d+(?:[.,]\d+)*")

# fmt: off
FUNCTION_WORDS = frozenset(
    [
        "a", "about", "after", "again", "all", "also", "am", "an", "and", "any", "are", "as", "at", "back",
        "be", "because", "been", "before", "being", "but", "by", "can", "could", "did", "do", "does", "doing",
        "don't", "down", "for", "from", "get", "gets", "getting", "go", "goes", "going", "gonna", "got", "had",
        "has", "have", "having", "he", "her", "here", "him", "his", "how", "i", "i'm", "if", "in", "into", "is",
        "it", "it's", "its", "just", "kind", "know", "let", "let's", "like", "little", "lot", "me", "more",
        "most", "my", "no", "not", "now", "of", "off", "ok", "okay", "on", "one", "only", "or", "other", "our",
        "out", "over", "really", "right", "say", "see", "she", "so", "some", "sort", "such", "than", "that",
        "that's", "the", "their", "them", "then", "there", "there's", "these", "they", "they're", "thing",
        "things", "this", "those", "to", "too", "up", "us", "very", "want", "was", "way", "we", "we're", "well",
        "were", "what", "when", "where", "which", "while", "who", "will", "with", "would", "yeah", "yes", "you",
        "you're", "your",
    ]
)
# fmt: on


def words(text: str) -> list[str]:
    """Folded words and numbers, in order, with plain apostrophes."""
    return [found.casefold().replace("’", "'") for found in _WORD.findall(text)]


def content_words(text: str) -> list[str]:
    """The words without function words, stemmed, in order."""
    return [stem(word) for word in words(text) if word not in FUNCTION_WORDS and len(word) > 1]


def stem(word: str) -> str:
    """A word without its most common English ending, so that `stirs`, `stirring` and `stirred` are equal."""
    for ending in ("ing", "ied", "ies", "ed", "es", "s"):
        least = 2 if ending in ("ied", "ies") else 3
        if word.endswith(ending) and len(word) - len(ending) >= least and not word.endswith("ss"):
            base = word[: -len(ending)]
            if ending in ("ied", "ies"):
                return base + "y"
            doubled = len(base) > 3 and base[-1] == base[-2] and base[-1] not in "aeiouls"
            if doubled and ending in ("ing", "ed"):
                base = base[:-1]
            return base.removesuffix("e") if len(base) > 3 else base
    return word.removesuffix("e") if len(word) > 4 else word


def ngrams(folded: Sequence[str], length: int) -> list[tuple[str, ...]]:
    """All runs of `length` words."""
    return [tuple(folded[n : n + length]) for n in range(len(folded) - length + 1)]


def copied_share(text: str, source: str, length: int = 5) -> float:
    """Share (0..1) of a text's words that are in a run of `length` words that also occurs in `source`."""
    own, other = words(text), set(ngrams(words(source), length))
    covered = bytearray(len(own))
    for place, gram in enumerate(ngrams(own, length)):
        if gram in other:
            covered[place : place + length] = b"\1" * length
    return sum(covered) / len(own) if own else 0.0


def repeated_share(text: str, length: int = 4) -> float:
    """Share (0..1) of a text's n-grams that repeat earlier ones."""
    grams = ngrams(words(text), length)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def agreement(text: str, speech: str) -> float | None:
    """Share (0..1) of the shorter side's content words that the other has too; None if a side has none."""
    a, b = set(content_words(text)), set(content_words(speech))
    return round(len(a & b) / min(len(a), len(b)), 4) if a and b else None
