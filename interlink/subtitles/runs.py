"""Sentences of cues that are shown at the same time: each run of words has its own. Costs what `sentences_of` costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from interlink.subtitles.sentences import Sentence, sentences_of
from interlink.subtitles.words import Word
from interlink.text.languages import group_of

LEAST_SHARE = 0.25  # of the words in a run that may be a language of its own


def sentences_of_runs(
    words: Sequence[Word], ends: Callable[[Sequence[str]], list[int]] | None = None
) -> list[Sentence]:
    """The sentences of all runs, sorted by start; those of different runs may overlap. ends: as of `sentences_of`."""
    runs: dict[int, list[Word]] = {}
    for word in words:
        runs.setdefault(word.run, []).append(word)
    found = [sentence for run in runs.values() for sentence in sentences_of(run, ends)]
    return sorted(found, key=lambda sentence: (sentence.start, sentence.end))


def wanted_runs(
    words: Sequence[Word], wanted: Sequence[str], detect: Callable[[str], tuple[str, float] | None]
) -> Sequence[Word]:
    """The words in the first wanted language, if large runs are in different ones; else all words."""
    runs: dict[int, list[str]] = {}
    for word in words:
        runs.setdefault(word.run, []).append(word.text)
    large = {run: " ".join(texts) for run, texts in runs.items() if len(texts) >= LEAST_SHARE * len(words)}
    found = {run: group_of(detected[0]) for run, text in large.items() if (detected := detect(text))}
    if len(set(found.values())) < 2:
        return words
    for language in wanted:
        if group_of(language) in found.values():
            return [word for word in words if found.get(word.run, group_of(language)) == group_of(language)]
    return words
