"""Texts from the source: columns of the source list, and the text of a web page. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from interlink.annotations.entries import Span
from interlink.errors import StageError
from interlink.values import known_texts

PAGE_TEXT = "text"  # name of a page's text in annotations.*.columns
PAGE_SPEECH = "speech"  # of a page that is a document of a release of ours: what was said
_ENDS = (".", "!", "?", "…", '"', ")")


def of_source(columns: Sequence[str], listed: Mapping[str, Any], fetched: Mapping[str, Any]) -> list[Span]:
    """The texts of an item. Columns describe the whole item; a page's texts have their places (one second per slot).

    listed, fetched: its rows in the tables collect and download. Several texts (a column may hold a list) are joined
    into one, each ending with a full stop. The spelling of a missing value (`nan`, `None`) is no text. Raises
    StageError `unreadable` for objects and booleans.
    """
    if listed["kind"] == "page" and (PAGE_TEXT in columns or PAGE_SPEECH in columns):
        info = json.loads(fetched["info"] or "{}")
        if "places" in info:  # a release of ours: its clips have times
            kind = PAGE_TEXT if PAGE_TEXT in columns else PAGE_SPEECH
            clips = info["places"]["clips"]
            return [Span(clip[kind], clip["start"], clip["end"]) for clip in clips if clip[kind]]
        texts = (info.get("texts") or []) if PAGE_TEXT in columns else []
        return [Span(text, float(slot), slot + 1.0) for slot, text in enumerate(texts) if text]
    cells = {**json.loads(listed["metadata"] or "{}"), "title": listed["title"]}
    found: list[str] = []
    for column in columns:
        try:
            texts = known_texts(cells.get(column))
        except ValueError as error:
            raise StageError("unreadable", f"column {column} {error}") from error
        for one in texts:
            text = " ".join(one.split())
            if text not in found:
                found.append(text)
    if len(found) > 1:
        found = [text if text.endswith(_ENDS) else f"{text}." for text in found]
    return [Span(" ".join(found), 0.0, inf)] if found else []
