"""json3, YouTube's caption format: a list of events, each a window of text with offsets of its words in milliseconds.

Events are parsed one by one, so damage loses only the events it affects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from interlink.subtitles.cues import CueMaker, Subtitles, in_seconds, until_next

BEGIN = re.compile(r'"events"\s*:\s*\[')
EVENT = re.compile(r'\{\s*"tStartMs"')
GAP = re.compile(r"[\s,]*")


def read_json3(text: str, found: Subtitles) -> None:
    """Adds the cues of a json3 file to `found`."""
    for event in _events(text, found):
        segments = event.get("segs") if isinstance(event, dict) else None
        if not isinstance(segments, list):
            continue  # a window or pen, without text
        start, length = in_seconds(event.get("tStartMs"), 1000), in_seconds(event.get("dDurationMs", 0), 1000)
        if start is None or length is None:
            found.problems.append("an event without a valid time")
            continue
        maker = CueMaker(start, round(start + length, 3))
        for segment in segments:
            shown = segment.get("utf8") if isinstance(segment, dict) else None
            if not isinstance(shown, str):
                continue
            offset = in_seconds(segment.get("tOffsetMs"), 1000)
            if offset is not None:
                maker.stamp(round(start + offset, 3))
            maker.add(shown)
        cue = maker.cue()
        if cue is not None:
            found.cues.append(cue)
    found.cues = until_next(found.cues)


def _events(text: str, found: Subtitles) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    begin = BEGIN.search(text) or EVENT.search(text)
    if begin is None:
        return
    at = begin.end() if text[begin.end() - 1] == "[" else begin.start()
    while True:
        gap = GAP.match(text, at)
        at = gap.end() if gap else at
        if at >= len(text):
            found.problems.append("the list of events is cut off")
            return
        if text[at] == "]":
            return
        try:
            event, at = decoder.raw_decode(text, at)
            yield event
        except (ValueError, RecursionError):
            found.problems.append(f"character {at}: an invalid event")
            following = EVENT.search(text, at + 1)
            if following is None:
                return
            at = following.start()
