"""Parses a subtitle file of any format into cues. The format is detected from the content, never from the name.

Costs one read of the bytes. Malformed parts are skipped and reported in `problems`; the rest is kept.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import replace

from interlink.subtitles.blocks import SBV_LINE, STAMP, read_blocks
from interlink.subtitles.cues import Subtitles
from interlink.subtitles.json3 import read_json3
from interlink.subtitles.markup import read_markup
from interlink.subtitles.ssa import read_ssa
from interlink.subtitles.timedtext import read_srv
from interlink.subtitles.ttml import read_ttml

SUFFIXES = (".vtt", ".srt", ".json3", ".srv1", ".srv2", ".srv3", ".ttml", ".dfxp", ".sbv", ".ssa", ".ass")
MOST_CUES = 200_000  # further cues are dropped; a day of rolling captions has about 80,000
JSON = re.compile(r'"(?:events|tStartMs)"\s*:')
TTML = re.compile(r"<(?:[A-Za-z0-9]+:)?tt[\s>]|<(?:[A-Za-z0-9]+:)?p\s[^<>]*\bbegin\s*=")
SRV = re.compile(r"<(?:timedtext|transcript)[\s>]|<(?:p|text)\s[^<>]*\b(?:t|start)\s*=")
SSA = re.compile(r"^Dialogue\s*:", re.IGNORECASE | re.MULTILINE)
ARROW = re.compile(rf"^\s*{STAMP}\s*-->", re.MULTILINE)


def is_chapters(name: str) -> bool:
    """Whether a track of this name lists chapters, which are not speech."""
    return "chapter" in name.casefold()


def parse(data: bytes) -> Subtitles:
    """Reads a VTT, SRT, SBV, json3, srv1-3, TTML or SSA/ASS file. Never raises; cues come in order of their start."""
    found = Subtitles()
    text = decode(data)
    # The head of a damaged file may be missing, so a mark of a format counts anywhere in the file.
    if ARROW.search(text):
        found.format = "vtt" if "WEBVTT" in text[:100] else "srt"
        read_blocks(text, found)
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
    found.cues.sort(key=lambda cue: cue.start)
    if len(found.cues) > MOST_CUES:
        found = replace(found, cues=found.cues[:MOST_CUES], problems=[*found.problems, f"more than {MOST_CUES} cues"])
    return found


def decode(data: bytes) -> str:
    """Decodes a subtitle file: by its byte order mark, else as UTF-8, else as Windows-1252."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        # A damaged UTF-8 file is still mostly UTF-8; a file in a western encoding fails at every accent.
        text = data.decode("utf-8", errors="replace")
        spoilt = text.count("\ufffd")
        well = sum(character > "\x7f" for character in text) - spoilt
        return text if well > spoilt else data.decode("cp1252", errors="replace")
