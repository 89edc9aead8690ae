"""Sentences of cues that are shown at the same time: each run of words has its own. Costs what `sentences_of` costs."""

from __future__ import annotations

from collections.abc import Sequence

from interlink.subtitles.sentences import Sentence, sentences_of
from interlink.subtitles.words import Word


def sentences_of_runs(words: Sequence[Word]) -> list[Sentence]:
    """The sentences of all runs, sorted by start; those of different runs may overlap."""
    runs: dict[int, list[Word]] = {}
    for word in words:
        runs.setdefault(word.run, []).append(word)
    found = [sentence for run in runs.values() for sentence in sentences_of(run)]
    return sorted(found, key=lambda sentence: (sentence.start, sentence.end))
