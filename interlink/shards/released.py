"""Our own documents inside records of other layouts: a release in `obelics`, `datasets` or `nemo` carries each whole.

Shared by the builder and the trainer. Costs parsing the document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

DOCUMENT = "document"  # the field of a record with the document, an object or JSON text


def whole(about: Mapping[str, Any], members: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]] | None:
    """(the document's plain data, its pictures by name), or None if the record is not one of ours.

    It is not ours either if its texts or the number of its pictures differ from the document's: someone has changed
    the record, so it is read as the page that it says it is. The same if a picture is not in the record.
    """
    document = _document(about.get(DOCUMENT))
    if document is None:
        return None
    names: list[str] = []
    texts: list[str] = []
    for segment in document["segments"]:
        if segment["type"] == "frames":
            names += segment["images"]
        else:
            texts.append(segment["text"])
    if [text for text in about.get("texts") or () if text is not None] != texts:
        return None
    infos = [info for info in about.get("images") or () if info is not None]
    if len(infos) != len(names):
        return None
    pictures = {name: _picture(name, info, members) for name, info in zip(names, infos, strict=True)}
    there = {name: data for name, data in pictures.items() if data is not None}
    return (document, there) if len(there) == len(names) else None


def _picture(name: str, info: Any, members: Mapping[str, Any]) -> bytes | None:
    """The bytes of a picture: in the record, or the member that it names."""
    if isinstance(info, Mapping):
        data = info.get("bytes")
        return data if isinstance(data, bytes) else None
    found = members.get(info) or (members.get(name) if str(info).endswith(f".{name}") else None)
    return None if found is None else bytes(found)


def _document(value: Any) -> dict[str, Any] | None:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value if isinstance(value, dict) and isinstance(value.get("segments"), list) else None


TEXTS = ("narration", "caption", "speech", "ocr")  # of a clip; the first that is not empty is its text


def placed(document: Mapping[str, Any]) -> tuple[list[str | None], dict[str, Any]]:
    """(the texts of all elements in order, None for a picture; the places of the elements, as plain data).

    The places: `times` of each element, the `clips` with start, end, `text` and `speech`, and facts of the `source`.
    """
    texts: list[str | None] = []
    times: list[float] = []
    for segment in document["segments"]:
        if segment["type"] == "frames":
            texts += [None] * len(segment["images"])
            times += segment["times"]
        else:
            texts.append(segment["text"])
            times.append(segment["start"])
    clips = [
        {
            "start": clip["start"],
            "end": clip["end"],
            "text": next((clip[kind] for kind in TEXTS if clip.get(kind)), ""),
            "speech": clip.get("speech") or "",
            "slots": [],
        }
        for clip in document["clips"]
    ]
    slot = 0
    for segment in document["segments"]:
        count = len(segment["images"]) if segment["type"] == "frames" else 1
        if segment["type"] == "frames":
            clips[segment["clip"]]["slots"] += range(slot, slot + count)
        slot += count
    return texts, {"times": times, "clips": clips, "source": dict(document["source"])}
