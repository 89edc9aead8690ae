"""Assigns speech to clips: every word to one clip at most. Costs a few µs per word.

A sentence that lies in one clip goes there whole. A long sentence over several clips is divided by the times of its
words, so that every clip has what is said while it is shown.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from interlink.shards.document import join

OUTSIDE = -1  # in place of a clip: before the first and after the last one
EDGE_SECONDS = 1.0  # of a sentence that goes on outside all clips; where less of it is shown, it is left out
LEAST_SECONDS, ALONE_SECONDS = 0.3, 0.6  # of a part of a sentence of several words, and of a single word


@dataclass(frozen=True)
class Speech:
    """The speech of a clip. start, end: seconds, within the clip."""

    text: str = ""
    start: float = 0.0
    end: float = 0.0


def speech_of_clips(clips: Sequence[Mapping[str, Any]], sentences: Sequence[Mapping[str, Any]]) -> list[Speech]:
    """One Speech per clip: its sentences as one text."""
    found = sentences_of_clips(clips, sentences)
    return [_speech(clip, spoken) for clip, spoken in zip(clips, found, strict=True)]


def sentences_of_clips(
    clips: Sequence[Mapping[str, Any]], sentences: Sequence[Mapping[str, Any]]
) -> list[list[Mapping[str, Any]]]:
    """Each clip's sentences and parts of sentences in order, from rows of the tables `keyframes` and `transcribe`.

    A word goes to the clip in which it begins; words between two clips go with the words before them, words before the
    first and after the last clip to none. A part shorter than 0.3 s (a single word: 0.6 s) stays with the larger part
    next to it. A sentence without words, or with none in a clip, goes to the clip that holds its midpoint; in a gap
    between clips, to the clip it overlaps most (the earlier of equals); outside all clips, to none. Clips are in order
    and do not overlap.
    """
    starts = [clip["start"] for clip in clips]
    found: list[list[Mapping[str, Any]]] = [[] for _ in clips]
    for sentence in sorted(sentences, key=lambda s: (s["start"], s["end"])):
        parts = _parts(clips, starts, sentence)
        if parts is not None:
            for number, part in parts:
                found[number].append(part)
            continue
        nearest = _clip_of(clips, starts, sentence["start"], sentence["end"])
        if nearest is not None:
            found[nearest].append(sentence)
    return found


def _parts(
    clips: Sequence[Mapping[str, Any]], starts: Sequence[float], sentence: Mapping[str, Any]
) -> list[tuple[int, Mapping[str, Any]]] | None:
    """(clip, part) of a sentence whose words do not all lie in one clip; None for other sentences."""
    words = sentence.get("words") or ()
    ends = {_inside(clips, starts, sentence["start"]), _inside(clips, starts, sentence["end"])}
    if len(words) < 2 or (len(ends) == 1 and ends != {None}):
        return None
    runs = _runs([_inside(clips, starts, word["start"]) for word in words], words)
    cuts = _offsets(sentence["text"], words)
    if not runs or cuts is None:
        return None
    found: list[tuple[int, Mapping[str, Any]]] = []
    inside = [run for run in runs if run[0] != OUTSIDE]
    shown = sum(words[last - 1]["end"] - words[first]["start"] for _, (first, last) in inside)
    if len(inside) < len(runs) and shown < EDGE_SECONDS:
        return []
    for number, (first, last) in inside:
        edge = cuts[last] if last < len(words) else None
        part = {
            "text": sentence["text"][cuts[first] : edge].strip(),
            "start": words[first]["start"],
            "end": max(word["end"] for word in words[first:last]),
            "words": words[first:last],
        }
        found.append((number, part))
    return found


def _runs(places: list[int | None], words: Sequence[Mapping[str, Any]]) -> list[tuple[int, tuple[int, int]]]:
    """(clip, (first word, word after its last)) of the parts that are large enough to stand alone."""
    known = [number for number, place in enumerate(places) if place is not None]
    if not known:
        return []
    filled: list[int] = []
    for number, place in enumerate(places):
        between = known[0] < number < known[-1]
        filled.append(place if place is not None else filled[-1] if between else OUTSIDE)
    runs: list[tuple[int, tuple[int, int]]] = []
    at = 0
    for number, group in groupby(filled):
        size = len(list(group))
        runs.append((number, (at, at + size)))
        at += size
    while len(runs) > 1:
        small = min(range(len(runs)), key=lambda n: _size(runs[n][1], words))
        if _size(runs[small][1], words) >= 1.0:
            break
        near = [n for n in (small - 1, small + 1) if 0 <= n < len(runs)]
        into = max(near, key=lambda n: _size(runs[n][1], words))
        low, high = sorted((small, into))
        runs[low : high + 1] = [(runs[into][0], (runs[low][1][0], runs[high][1][1]))]
    return runs


def _size(span: tuple[int, int], words: Sequence[Mapping[str, Any]]) -> float:
    """The length of a part over the least length of a part that stands alone."""
    first, last = span
    return float(words[last - 1]["end"] - words[first]["start"]) / (
        LEAST_SECONDS if last - first > 1 else ALONE_SECONDS
    )


def _offsets(text: str, words: Sequence[Mapping[str, Any]]) -> list[int] | None:
    """Where each word begins in the text; None if a word is not there."""
    found = []
    at = 0
    for word in words:
        place = text.find(word["text"], at)
        if place < 0:
            return None
        found.append(place)
        at = place + len(word["text"])
    return found


def _inside(clips: Sequence[Mapping[str, Any]], starts: Sequence[float], time: float) -> int | None:
    number = bisect_right(starts, time) - 1
    return number if number >= 0 and time < clips[number]["end"] else None


def _clip_of(clips: Sequence[Mapping[str, Any]], starts: Sequence[float], start: float, end: float) -> int | None:
    number = _inside(clips, starts, (start + end) / 2)
    if number is not None:
        return number
    overlaps = [min(end, clip["end"]) - max(start, clip["start"]) for clip in clips]
    best = max(range(len(clips)), key=lambda n: (overlaps[n], -n), default=None)
    return best if best is not None and overlaps[best] > 0 else None


def _speech(clip: Mapping[str, Any], spoken: Sequence[Mapping[str, Any]]) -> Speech:
    text = join(sentence["text"] for sentence in spoken)
    if not text:
        return Speech()
    # Cut to the clip, so that speech stays in the order of time even where sentences overlap.
    start = min(max(spoken[0]["start"], clip["start"]), clip["end"])
    end = min(max(sentence["end"] for sentence in spoken), clip["end"])
    return Speech(text, start, max(start, end))
