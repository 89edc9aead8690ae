"""Parses a subtitle file of any format into cues. The format is detected from the content, never from the name.

Costs one read of the bytes. Malformed parts are skipped and reported in `problems`; the rest is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from interlink.encodings import decode
from interlink.subtitles.blocks import SBV_LINE, TIME_START, read_blocks
from interlink.subtitles.cues import Subtitles
from interlink.subtitles.json3 import read_json3
from interlink.subtitles.markup import read_markup
from interlink.subtitles.ssa import read_ssa
from interlink.subtitles.timedtext import read_srv
from interlink.subtitles.ttml import read_ttml

SUFFIXES = (".vtt", ".srt", ".json3", ".srv1", ".srv2", ".srv3", ".ttml", ".dfxp", ".sbv", ".ssa", ".ass", ".itt")
UNREAD_SUFFIXES = (".sub", ".idx", ".sup", ".smi", ".sami", ".lrc", ".stl", ".scc", ".mks", ".usf")  # other formats
MOST_CUES = 200_000  # further cues are dropped; a day of rolling captions has about 80,000
JSON = re.compile(r'"(?:events|tStartMs)"\s*:')
TTML = re.compile(r"<(?:[A-Za-z0-9]+:)?tt[\s>]|<(?:[A-Za-z0-9]+:)?p\s[^<>]*\bbegin\s*=")
SRV = re.compile(r"<(?:timedtext|transcript)[\s>]|<(?:p|text)\s[^<>]*\b(?:t|start)\s*=")
SSA = re.compile(r"^Dialogue\s*:", re.IGNORECASE | re.MULTILINE)
BLOCKS = re.compile(TIME_START, re.MULTILINE)
DECLARED = re.compile(rb"""<\?xml[^<>]{0,200}?\bencoding\s*=\s*["']([A-Za-z][\w.:-]{0,40})["']""")
RETURNS = re.compile(r"\r+\n|\r")  # a text file written twice has CR CR LF
# Payloads of metadata tracks: places in a sheet of thumbnails, and JSON.
DATA = re.compile(r"\S+#xywh=\d+,\d+,\d+,\d+|\{.*\}", re.DOTALL)
DATA_SHARE = 0.9


def parse(data: bytes, language: str = "", likely: Sequence[str] = ()) -> Subtitles:
    """Reads a VTT, SRT, SBV, json3, srv1-3, TTML or SSA/ASS file. Never raises; cues come in order of their start.

    language: two letters from the file's name, likely: the languages to expect without one; for its encoding.
    """
    found = Subtitles()
    declared = DECLARED.search(data[:1000])
    decoded = decode(data, declared[1].decode() if declared else "", language, likely)
    _read(RETURNS.sub("\n", decoded.text), found)
    if decoded.doubt and found.cues:
        found.problems.insert(0, decoded.doubt)
    found.cues.sort(key=lambda cue: cue.start)
    if not found.kind and sum(DATA.fullmatch(cue.text) is not None for cue in found.cues) > DATA_SHARE * len(
        found.cues
    ):
        found.kind = "metadata"
    if len(found.cues) > MOST_CUES:
        found = replace(found, cues=found.cues[:MOST_CUES], problems=[*found.problems, f"more than {MOST_CUES} cues"])
    return found


def _read(text: str, found: Subtitles) -> None:
    """Adds the cues of a text in any format. The head of a damaged file may be missing: a mark counts anywhere."""
    if BLOCKS.search(text):
        found.format = "vtt" if "WEBVTT" in text[:100] else "srt"
        read_blocks(text, found, strict=found.format == "vtt")
    elif JSON.search(text):
        found.format = "json3"
        read_json3(text, found)
    elif TTML.search(text) or SRV.search(text):
        root, found.problems = read_markup(text)
        if TTML.search(text):
            found.format = "ttml"
            read_ttml(root, found)
        else:
            read_srv(root, found)
    elif SSA.search(text):
        found.format = "ssa"
        read_ssa(text, found)
    else:
        found.format = "sbv" if any(SBV_LINE.match(line) for line in text.splitlines()) else ""
        read_blocks(text, found)
