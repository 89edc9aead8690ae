"""Cues that are shown at the same time: signs and credits are taken out, and the rest is laid into lanes.

In a lane, cues follow one another. No cue moves another, and none leaves its own time: where the next cue of a lane
begins before the last one ends, as in scrolling captions, the words of the last are taken to be spoken before.
Costs microseconds per cue.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from interlink.subtitles.cues import Cue
from interlink.subtitles.marks import Mark
from interlink.text.languages import group_of, script_of

MOST_LANES = 8  # more texts at once are no speech
STRETCH_OVER, STRETCH = 3.0, 4.0  # times longer than a cue's words need: over other cues, and alone
OVERLAY_SECONDS, LONG_SECONDS = 6.0, 20.0  # shortest cue that is taken for one: over others, and alone
NEED, NEED_FAST = 0.08, 0.03  # seconds a letter: of calm speech, of the fastest
WIDE = 3.0  # letters that a Chinese, Japanese or Korean character counts as
SIMULTANEOUS = 0.5  # share of the shorter cue that two simultaneous ones have in common
BILINGUAL = 0.5  # share of the rarer script's cues that stand together with another
MOST_LOOKS = 1000  # cues under a long one that are looked at

_WIDE = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff]")
_SCRIPTS = (
    ("Latn", re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")),
    ("Cyrl", re.compile("[\u0400-\u052f]")),
    ("Grek", re.compile("[\u0370-\u03ff]")),
    ("Hebr", re.compile("[\u0590-\u05ff]")),
    ("Arab", re.compile("[\u0600-\u06ff\u0750-\u077f]")),
    ("Deva", re.compile("[\u0900-\u097f]")),
    ("Thai", re.compile("[\u0e00-\u0e7f]")),
    ("Kore", re.compile("[\uac00-\ud7a3\u1100-\u11ff]")),
    ("Jpan", re.compile("[\u3040-\u30ff]")),
    ("Hani", re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")),
)
_WRITTEN = {"Hans": ("Hani",), "Hant": ("Hani",), "Jpan": ("Jpan", "Hani"), "Kore": ("Kore", "Hani")}


@dataclass
class _Lane:
    """Cues that follow one another; the end of the last may still be cut."""

    cues: list[Cue]

    @property
    def key(self) -> tuple[str, str]:
        return self.cues[-1].group, script(self.cues[-1].text)

    def takes(self, cue: Cue) -> bool:
        last = self.cues[-1]
        if cue.start >= last.end:
            return True
        stamps = [token.time for line in last.lines for token in line.tokens if token.time is not None]
        return (
            last.end <= cue.end
            and cue.start - last.start >= _letters(last) * NEED_FAST
            and cue.start > last.start
            and cue.start >= max(stamps, default=0.0)
        )

    def add(self, cue: Cue) -> None:
        last = self.cues[-1]
        self.cues[-1] = replace(last, end=min(last.end, cue.start))
        self.cues.append(cue)


def lanes_of(cues: Sequence[Cue]) -> tuple[list[list[Cue]], list[Mark]]:
    """The spoken cues in lanes, and the marks of the others. cues: sorted by start.

    Left out as overlays: cues of an aside style, and placed ones or far too long ones over other cues. Without
    others, they are kept.
    """
    kept, marks = _without_overlays(_once(cues))
    lanes: list[_Lane] = []
    for cue in kept:
        key = (cue.group, script(cue.text))
        open_ = [lane for lane in lanes if lane.takes(cue)]
        lane = next((lane for lane in open_ if lane.key == key), open_[0] if open_ else None)
        if lane is not None:
            lane.add(cue)
        elif len(lanes) < MOST_LANES:
            lanes.append(_Lane([cue]))
        else:
            marks.append(Mark(cue.text, cue.start, cue.end, "overlay"))
    marks += [
        Mark(cue.text, cue.start, cue.end, "long")
        for lane in lanes
        for cue in lane.cues
        if cue.end - cue.start >= LONG_SECONDS and _stretched(cue, STRETCH)
    ]
    return [lane.cues for lane in lanes], marks


def one_language(cues: Sequence[Cue], wanted: Sequence[str]) -> tuple[list[Cue], str]:
    """The cues, or lines, in the first wanted language of a file with two at the same time, and that language.

    Languages are told apart as the file states them, or by their scripts. All cues and "" if that does not work.
    """
    stated = {group_of(cue.language) for cue in cues}
    if len(stated) > 1:
        for language in wanted:
            if group_of(language) in stated:
                return [cue for cue in cues if group_of(cue.language) == group_of(language)], language
    scripts = _bilingual(cues)
    for language in wanted if scripts else ():
        own = script_of(language)
        written = set(_WRITTEN.get(own, (own,)))
        if scripts & written and scripts - written:
            return [cut for cue in cues if (cut := _written_in(cue, written))], language
    return list(cues), ""


def script(text: str) -> str:
    """The script of most letters of a text; Japanese if it has kana; empty without letters."""
    counts = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS}
    if counts["Jpan"] and counts["Jpan"] + counts["Hani"] > counts["Latn"]:
        return "Jpan"
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else ""


def _bilingual(cues: Sequence[Cue]) -> set[str]:
    """The scripts of a file in which two stand together most of the time; empty for other files."""
    alone: Counter[str] = Counter()
    together: Counter[frozenset[str]] = Counter()
    for cue in cues:
        found = {name for line in cue.lines if (name := script(line.text))}
        alone.update(found)
        if len(found) == 2:
            together[frozenset(found)] += 1
    for before, cue in pairwise(cues):
        pair = {script(before.text), script(cue.text)} - {""}
        shared = min(before.end, cue.end) - cue.start
        if len(pair) == 2 and shared >= SIMULTANEOUS * min(before.end - before.start, cue.end - cue.start) > 0:
            together[frozenset(pair)] += 1
    for scripts, count in together.most_common(1):
        if count >= BILINGUAL * min(alone[name] for name in scripts) and not scripts <= {"Jpan", "Hani"}:
            return set(scripts)
    return set()


def _written_in(cue: Cue, scripts: set[str]) -> Cue | None:
    """The cue with its lines in these scripts, or without letters; None if no line is left."""
    lines = tuple(line for line in cue.lines if script(line.text) in scripts or not script(line.text))
    return replace(cue, lines=lines) if any(script(line.text) for line in lines) else None


def _once(cues: Sequence[Cue]) -> list[Cue]:
    """The cues without those that show the text of an earlier one while it is on screen (layers, moving signs)."""
    kept: list[Cue] = []
    until: dict[str, float] = {}
    for cue in cues:
        before = until.get(cue.text)
        repeats = before is not None and (cue.start < before or (cue.placed and cue.start <= before))
        until[cue.text] = max(before or 0.0, cue.end)
        if not repeats:
            kept.append(cue)
    return kept


def _without_overlays(cues: Sequence[Cue]) -> tuple[list[Cue], list[Mark]]:
    plain = [cue for cue in cues if not cue.aside and not cue.placed]
    spoken = any(not cue.aside for cue in cues)
    starts = [cue.start for cue in plain]
    ends = list(accumulate((cue.end for cue in plain), max))
    normal = [cue for cue in plain if not _may_lie_over(cue)]
    normal_starts = [cue.start for cue in normal]
    kept, marks = [], []
    for cue in cues:
        kind = ""
        if cue.aside and spoken:
            kind = cue.aside
        elif cue.placed:
            before = bisect_left(starts, cue.end)
            kind = "overlay" if before and ends[before - 1] > cue.start else ""
        if not kind and _may_lie_over(cue) and _covers(cue, normal, normal_starts):
            kind = "overlay"
        if kind:
            marks.append(Mark(cue.text, cue.start, cue.end, "music" if kind == "music" else "overlay"))
        else:
            kept.append(cue)
    return kept, marks


def _covers(cue: Cue, normal: Sequence[Cue], starts: Sequence[float]) -> bool:
    """Whether a much shorter cue lies within this one."""
    first = bisect_left(starts, cue.start)
    last = min(bisect_right(starts, cue.end), first + MOST_LOOKS)
    return any(
        other.end <= cue.end and other.end - other.start <= (cue.end - cue.start) / 2 for other in normal[first:last]
    )


def _may_lie_over(cue: Cue) -> bool:
    return cue.end - cue.start >= OVERLAY_SECONDS and _stretched(cue, STRETCH_OVER)


def _stretched(cue: Cue, times: float) -> bool:
    """Whether a cue stands far longer than its words need. Words with times of their own need what they take."""
    if any(token.time is not None for line in cue.lines for token in line.tokens):
        return False
    return cue.end - cue.start >= times * max(1.0, _letters(cue) * NEED)


def _letters(cue: Cue) -> float:
    text = cue.text
    return len(text) + (WIDE - 1) * len(_WIDE.findall(text))
