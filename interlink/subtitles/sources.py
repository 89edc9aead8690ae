"""The sources of a video's speech, and the choice among its subtitle files or tracks.

Costs the reading of the files that state no language, and of the chosen one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from interlink.text.languages import Label, distance, group_of

if TYPE_CHECKING:
    from interlink.subtitles.cues import Subtitles
    from interlink.subtitles.marks import Mark
    from interlink.subtitles.sentences import Sentence


@dataclass
class Found:
    """The result of one source of speech. offset: seconds added to its times. incomplete: why it lacks speech."""

    source: str
    name: str
    language: str
    subtitles: Subtitles
    offset: float = 0.0
    sentences: list[Sentence] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    detected: tuple[str, float] | None = None
    revision: str = ""
    incomplete: str = ""
    heard: list[dict[str, Any]] = field(default_factory=list)  # stretches of a recogniser, as the table holds them


@dataclass
class Source:
    """Subtitles that are read at most once, on demand. label: language and kinds, as stated."""

    label: Label
    load: Callable[[], Found]
    found: Found | None = None

    def get(self) -> Found:
        if self.found is None:
            self.found = self.load()
        return self.found


@dataclass(frozen=True)
class Wanted:
    """languages: in order of preference. others: whether another language is better than none."""

    languages: Sequence[str]
    others: bool

    def rank(self, language: str) -> tuple[int, int] | None:
        """(place of a language, distance of the tags), least first; None if it is not allowed."""
        for number, wanted in enumerate(self.languages):
            if language and group_of(wanted) == group_of(language):
                return number, distance(wanted, language)
        if not language:
            return len(self.languages), 0
        return (len(self.languages) + 1, 0) if self.others else None


def choose(
    sources: Sequence[Source], wanted: Wanted, language: Callable[[Source], str], lost: list[str]
) -> Found | None:
    """The first source with cues, in order of preference; None if no source has cues in an allowed language.

    Of one language: the nearest region or script, then those that are not automatic, then those without [sounds].
    language: of a source. What cannot be read is added to `lost`.
    """
    ranked: list[tuple[int, int, bool, bool, int]] = []
    for number, source in enumerate(sources):
        rank = wanted.rank(language(source))
        if rank is not None:
            ranked.append((*rank, "auto" in source.label.kinds, "sdh" in source.label.kinds, number))
    for *_, number in sorted(ranked):
        found = sources[number].get()
        if found.subtitles.kind:
            continue  # chapters and the like
        if found.subtitles.cues:
            return found
        if found.source == "sidecar":  # a subtitle file without cues is damaged; a track may be empty
            lost.append(f"{found.name}: no cue could be read")
        else:
            lost += [f"{found.name}: {problem}" for problem in found.subtitles.problems]
    return None
