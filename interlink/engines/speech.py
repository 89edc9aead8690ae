"""Assigns sentences to clips: every sentence to one clip at most. Costs a few µs per sentence."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interlink.shards.document import join


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
    """Each clip's sentences in order, from rows of the tables `keyframes` (clips) and `transcribe` (sentences).

    A sentence goes to the clip that holds its midpoint; in a gap between clips, to the clip it overlaps most (the
    earlier of equals); outside all clips, to none. Clips are in order and do not overlap.
    """
    starts = [clip["start"] for clip in clips]
    found: list[list[Mapping[str, Any]]] = [[] for _ in clips]
    for sentence in sorted(sentences, key=lambda s: (s["start"], s["end"])):
        number = _clip_of(clips, starts, sentence["start"], sentence["end"])
        if number is not None:
            found[number].append(sentence)
    return found


def _clip_of(clips: Sequence[Mapping[str, Any]], starts: Sequence[float], start: float, end: float) -> int | None:
    middle = (start + end) / 2
    number = bisect_right(starts, middle) - 1
    if number >= 0 and middle < clips[number]["end"]:
        return number
    overlaps = [min(end, clip["end"]) - max(start, clip["start"]) for clip in clips]
    best = max(range(len(clips)), key=lambda n: (overlaps[n], -n), default=None)
    return best if best is not None and overlaps[best] > 0 else None


def _speech(clip: Mapping[str, Any], spoken: Sequence[Mapping[str, Any]]) -> Speech:
    text = join(sentence["text"] for sentence in spoken)
    if not text:
        return Speech()
    # Cut to the clip, so that speech stays in the order of time even where sentences overlap.
    start = max(spoken[0]["start"], clip["start"])
    end = min(max(sentence["end"] for sentence in spoken), clip["end"])
    return Speech(text, start, max(start, end))
