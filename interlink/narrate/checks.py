"""Finds faults in answers of a language model, by rules that cost microseconds. No rule proves an answer right."""

from __future__ import annotations

import re

from interlink.engines.language import LanguageDetector
from interlink.narrate.settings import CheckSettings
from interlink.shards.document import count_tokens
from interlink.text.sentences import split
from interlink.text.words import copied_share, repeated_share, stem, words

# By flag: the problem in a repeated request. Part of a prompt: a change needs a new prompt version.
PROBLEMS = {
    "empty": "it was empty",
    "length": "it was cut off, so it must be shorter",
    "short": "it was too short",
    "long": "it was too long",
    "repetition": "it repeated itself",
    "copied": "it copied the speech word for word",
    "names": "it named someone or something that nothing tells of",
    "refusal": "it was a refusal",
    "refused": "it was refused",
    "language": "it was in another language",
}

_REFUSAL = re.compile(
    r"\bas an? (?:\w+ )?(?:ai|language model|assistant)\b"
    r"|\bi(?:['’]m| am) (?:sorry|unable|not able|afraid)\b"
    r"|\bi (?:can(?:['’]t|not|not)|am not able to|do not have (?:access|enough))\b"
    r"|\b(?:cannot|can['’]t) (?:assist|help) with\b"
    r"|\bplease provide (?:the|more|a)\b"
    r"|\bno (?:information|evidence|caption|speech) (?:is|was) (?:provided|given|available)\b",
    re.I,
)
_CAPITALISED = re.compile(r"[^\W\d_][^\W_]*(?:['’-][^\W_]+)*")
_WRAPPING = re.compile(r"^(?:(?:answer|description|caption|merged|clip \d+)\s*:\s*)+", re.I)
_QUOTES = (('"', '"'), ("“", "”"), ("'", "'"), ("«", "»"))


def tidy(answer: str) -> str:
    """The answer on one line, without a leading label or enclosing quotes."""
    text = _WRAPPING.sub("", " ".join(answer.split()))
    for opening, closing in _QUOTES:
        if len(text) > 1 and text.startswith(opening) and text.endswith(closing) and opening not in text[1:-1]:
            text = text[1:-1].strip()
    return text


class Checker:
    """Checks answers by the rules of one build."""

    def __init__(self, settings: CheckSettings) -> None:
        self.settings = settings
        self._language = LanguageDetector() if settings.language else None

    def open(self) -> None:
        """Raises UserError where a language is required and the package that detects it is missing."""
        if self._language is not None:
            self._language.open()

    def faults(self, text: str, speech: str, evidence: str) -> list[str]:
        """Flags, the most serious first. evidence: everything that the model was given about this video."""
        rules = self.settings
        if not text:
            return ["empty"]
        found = []
        if rules.refusal and _REFUSAL.search(text):
            found.append("refusal")
        if self._language is not None and (detected := self._language.detect(text)) and detected[0] != rules.language:
            found.append("language")
        if rules.names and unfounded_names(text, evidence):
            found.append("names")
        if repeated_share(text) > rules.repetition:
            found.append("repetition")
        if speech and copied_share(text, speech) > rules.copied:
            found.append("copied")
        tokens = count_tokens(text)
        if tokens < rules.least_tokens:
            found.append("short")
        if rules.most_tokens and tokens > rules.most_tokens:
            found.append("long")
        return found


def unfounded_names(text: str, evidence: str) -> list[str]:
    """Capitalised words inside sentences that do not occur in the evidence (in any case), in order.

    A sentence's first word is not checked. Nothing is found in scripts without capitals.
    """
    known = {stem(word.removesuffix("'s")) for word in words(evidence)}
    found = []
    for sentence in split(text):
        for place, match in enumerate(_CAPITALISED.finditer(sentence)):
            word = match[0]
            if place == 0 or not word[0].isupper() or word == "I":
                continue
            own = words(word.removesuffix("'s").removesuffix("’s"))
            if own and not any(stem(part) in known for part in own):
                found.append(word)
    return found
