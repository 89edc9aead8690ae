"""Restores sentence boundaries in speech without punctuation, by dynamic programming over possible cuts.

A cut scores higher at a pause, at a new cue, and before words that begin a sentence ("okay", "we're …", "add …"); lower
after a word that cannot end one ("the", "of", "if …"). A piece scores lower if it is very short, long, has a clause
that is only begun ("if you want" without what follows), or no verb where another clause follows.
Costs O(words × longest piece): 3 ms per minute of speech. The word lists (`lexicon`) are English; other languages are
cut only by pauses, cues and length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from interlink.subtitles import lexicon as lex
from interlink.subtitles.words import Word

MOST_WORDS, MOST_CHARACTERS = 34, 220  # limits of a piece; beyond them a cut is forced
MOST_SECONDS, MOST_UNTIMED = 10.0, 16.0  # limits of a piece of words with and without times
SURE_PAUSE = 2.5  # seconds of pause that always cut
LONGEST_PAUSE = 1.5  # longest pause that counts, seconds
ENGLISH_SHARE = 0.25  # least share of words in the lists for English speech


@dataclass(frozen=True)
class Weights:
    """What a cut is worth, by what stands around it. Set by hand on three files (docs/explanation/speech.md)."""

    cut: float = -1.6
    pause: float = 1.8  # per second
    cue: float = 1.0  # a cue whose words have no times: a person divided it …
    rolling: float = 0.4  # … a cue of timed words: its lines end anywhere
    opens: float = 1.6
    may_open: float = 1.7
    subject: float = 0.9  # "we're", after a noun or an adverb
    points: float = 1.0  # "this is", "here we go"
    settled: float = 0.6  # more for either after a word that often ends a clause
    parallel: float = 0.4  # two words that were said a few words ago
    comments: float = 1.0  # "maybe"
    closes: float = 1.6  # after "here we go"
    purpose: float = -0.5  # "so it can"
    determines: float = 0.5  # "the", after a noun
    instructs: float = 0.8  # "add", after a noun
    asks: float = -0.1
    questions: float = 1.6  # "what do we"
    leading: float = 1.1  # "if"
    trailing: float = -0.3  # "because"
    joins: float = 0.0  # "and", "but" …
    joined: float = 0.8  # … before a word that begins a clause
    continues: float = -1.5
    dangles: float = -3.0
    may_end: float = -1.0
    leads: float = -2.0  # after "okay"
    says: float = -1.2  # after "think", before a clause
    half: float = -3.0  # a piece that begins with "if" and has one clause
    verbless: float = -1.6  # a piece without a verb before a piece that begins with a subject
    short: float = -0.1  # for each word below three
    long: float = -0.08  # for each word above sixteen


WEIGHTS = Weights()
SHORT_WORDS, LONG_WORDS = 3, 16
PARALLEL = 8  # words back in which a repeated beginning is looked for
_MODALS = frozenset(["can", "could", "will", "would", "don't", "doesn't", "won't"])


def cuts(words: Sequence[Word], weights: Weights = WEIGHTS) -> list[int]:
    """Indices of the words that begin a sentence, without the first."""
    if not words:
        return []
    scores = _Scores(words, weights)
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
                or words[end - 1].end - words[begin].start > (MOST_SECONDS if words[begin].timed else MOST_UNTIMED)
            )
            if too_long and length > 1:
                break
            total = best[begin] + scores.cut[begin] + scores.piece(begin, end)
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


class _Scores:
    """What cuts and pieces of a text are worth. cut: before each word."""

    def __init__(self, words: Sequence[Word], weights: Weights) -> None:
        self._w = weights
        self._tokens = [word.text.casefold().replace("’", "'").strip(",;:\"'“”()") for word in words]
        english = sum(token in lex.FUNCTION for token in self._tokens) >= ENGLISH_SHARE * len(words)
        self._english = english
        self._verbs = list(accumulate((lex.is_verb(token) for token in self._tokens), initial=0))
        self._clauses = list(accumulate((self._begins_clause(n) for n in range(len(words))), initial=0))
        self.cut = [0.0] + [self._worth(words, at) for at in range(1, len(words))]

    def piece(self, begin: int, end: int) -> float:
        """What the piece of words [begin, end) is worth."""
        w, length = self._w, end - begin
        value = w.short * max(0, SHORT_WORDS - length) + w.long * max(0, length - LONG_WORDS)
        if not self._english:
            return value
        first = begin
        while first + 1 < end and self._tokens[first] in lex.LEADS | lex.JOINS:
            first += 1
        if self._tokens[first] in lex.SUBORDINATES and self._clauses[end] - self._clauses[first + 1] < 2:
            value += w.half
        if end < len(self._tokens) and self._verbs[end] == self._verbs[begin] and self._begins_clause(end):
            value += w.verbless
        return value

    def _begins_clause(self, at: int) -> bool:
        """Whether a subject begins here: a pronoun, or a word that points and has a verb after it."""
        here, after = self._tokens[at], self._token(at + 1)
        if here in ("here", "there") and after in lex.SUBJECT:
            return True
        return here in lex.SUBJECT or (here in lex.POINTS and (lex.is_verb(here) or lex.is_verb(after)))

    def _token(self, at: int) -> str:
        return self._tokens[at] if 0 <= at < len(self._tokens) else ""

    def _worth(self, words: Sequence[Word], at: int) -> float:
        w, pause = self._w, max(0.0, _pause(words, at))
        value = w.cut + w.pause * min(pause, LONGEST_PAUSE)
        if words[at].opens_cue:
            value += w.rolling if words[at].timed else w.cue
        if not self._english:
            return value
        value += self._opening(at)
        return value + self._closing(at)

    def _closing(self, at: int) -> float:
        """What the word before a cut is worth."""
        w, here, before, earlier = self._w, self._tokens[at], self._tokens[at - 1], self._token(at - 2)
        if before == "that" and earlier not in lex.ENDS_WITH_THAT and self._clause_follows(at):
            return w.dangles
        if before in lex.POINTS and (here in lex.SUBJECT if before in ("here", "there") else lex.is_nominal(here)):
            return w.dangles
        if (earlier, before) in lex.CLOSES and self._token(at - 3) in ("here", "there"):
            return w.closes
        if before == "do" and earlier not in lex.ASKS and self._begins_clause(at):
            return 0.0
        if before in lex.DANGLES:
            return w.may_end if before in lex.MAY_END else w.dangles
        if before in lex.LEADS or (earlier, before) in lex.PHRASES:
            return w.leads
        follows = self._clause_follows(at) or here in lex.LEADS
        return w.says if before in lex.SAYS and follows else 0.0

    def _clause_follows(self, at: int) -> bool:
        here = self._tokens[at]
        return self._begins_clause(at) or here in lex.DETERMINES or here in lex.ASKS or here == "if"

    def _opening(self, at: int) -> float:
        """What the word after a cut is worth."""
        w, here, after, before = self._w, self._tokens[at], self._token(at + 1), self._tokens[at - 1]
        settled = lex.is_nominal(before) or before.endswith("ly") or before in lex.POINTS or before in lex.MAY_END
        if here in lex.OPENS or (here, after) == ("all", "right") or (here, after) in lex.PHRASES:
            return w.opens
        if here == "so" and (after == "that" or (after in lex.SUBJECT | lex.POINTS and self._token(at + 2) in _MODALS)):
            return w.purpose
        if here in lex.MAY_OPEN:
            return w.may_open if not lex.is_nominal(after) or here in ("now", "then") else 0.0
        if self._begins_clause(at):
            again = any(self._tokens[n : n + 2] == [here, after] for n in range(max(0, at - PARALLEL), at - 1))
            more = w.settled * settled + w.parallel * again
            return (w.points if here in lex.POINTS else w.subject) + more
        if here in lex.JOINS:
            return w.joined if after in lex.JOINED_BY else w.joins
        if here in lex.CONTINUES:
            return w.continues
        if here in lex.SUBORDINATES:
            return w.leading if here in lex.LEADING else w.trailing
        if here in lex.ASKS:
            return w.questions if after in lex.AUXILIARY and before not in lex.SAYS else w.asks
        if here in lex.COMMENTS and settled:
            return w.comments
        if here in lex.INSTRUCTS and settled:
            return w.instructs
        return w.determines if here in lex.DETERMINES and settled else 0.0


def _pause(words: Sequence[Word], at: int) -> float:
    return words[at].start - words[at - 1].end
