"""Lists of conversations as they are published, as LLaVA's records: `conversations` of `from` and `value`, one `image`.

JSON and JSON lines in any certain encoding; OpenAI-style `messages` (text, or parts of text and picture); `image` or
`images` as a list. Costs reading the list into memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cosmos_train.errors import UserError
from cosmos_train.stream.talk.prompts import IMAGE
from interlink.encodings import decode
from interlink.values import known_texts, text_of

_TURNS = ("conversations", "messages")
_IMAGES = ("image", "images")


def read_records(listed: Path) -> list[Any]:
    """The records of a list; a line that is no JSON stands as its text. Raises UserError if the file is no list."""
    do = "give LLaVA's json: a list of records, or one record per line"
    try:
        found = decode(listed.read_bytes())
    except OSError as error:
        raise UserError(f"{listed} cannot be read: {error}", do, 2) from error
    if found.doubt:
        raise UserError(f"{listed} cannot be read with certainty: {found.doubt}", "save it as UTF-8", 2)
    try:
        records = json.loads(found.text)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise UserError(f"{listed} cannot be read: {error}", do, 2) from error
        return [_line(line) for line in re.split(r"[\r\n]+", found.text) if line.strip()]
    except RecursionError as error:
        raise UserError(f"{listed} cannot be read: {error}", do, 2) from error
    if isinstance(records, dict) and any(name in records for name in _TURNS):
        return [records]  # one line
    if not isinstance(records, list):
        raise UserError(f"{listed} holds a {type(records).__name__}, not a list of records", "give LLaVA's json", 2)
    return records


def _line(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line


def as_llava(record: Any) -> dict[str, Any]:
    """A record in LLaVA's form; one that has it already is returned as it is. Raises ValueError if it has no such form.

    System messages are left out: the prompt of a recipe has its own.
    """
    if not isinstance(record, dict):
        raise ValueError("the record is no object")
    turns = next((record[name] for name in _TURNS if record.get(name) is not None), None)
    if not isinstance(turns, list) or not turns:
        raise ValueError(f"its conversations are no list of turns, but {type(turns).__name__}")
    shown: list[str] = []
    converted = [_turn(one, shown) for one in turns]
    converted = [one for one in converted if one is not None]
    images = [name for field in _IMAGES for name in known_texts(record.get(field))] or shown
    if len(images) > 1:
        raise ValueError(f"it names {len(images)} pictures; one may be shown")
    made = {name: value for name, value in record.items() if name not in (*_TURNS, *_IMAGES)}
    made["conversations"] = converted
    if images:
        made["image"] = images[0]
    unchanged = record.get("conversations") == converted and record.get("image") == made.get("image")
    return record if unchanged else made


def _turn(one: Any, shown: list[str]) -> dict[str, Any] | None:
    """A turn as `from` and `value`; None for a system message. shown: takes the files of its pictures."""
    if not isinstance(one, dict):
        raise ValueError("its conversations lack `from` or `value`")
    if "from" in one and "value" in one:
        return one
    if "role" not in one or "content" not in one:
        raise ValueError("its conversations lack `from` or `value`")
    role, content = text_of(one["role"]), one["content"]
    if role in ("system", "developer"):
        return None
    parts = content if isinstance(content, list) else [content]
    return {"from": role, "value": "\n".join(filter(None, (_part(part, shown) for part in parts)))}


def _part(part: Any, shown: list[str]) -> str:
    """The text of a part of a message; LLaVA's marker for a picture."""
    if not isinstance(part, dict):
        return text_of(part)
    if part.get("type") in ("text", "input_text", None) and "text" in part:
        return text_of(part["text"])
    if part.get("type") not in ("image", "image_url", "input_image"):
        raise ValueError(f"a message has a part of the type {part.get('type')!r}")
    shown += _files(part)
    return IMAGE


def _files(part: dict[str, Any]) -> Iterator[str]:
    for name in ("image", "image_url", "url", "path"):
        value = part.get(name)
        for found in known_texts(value.get("url") if isinstance(value, dict) else value):
            if found.startswith("data:"):
                raise ValueError("its picture is in the record itself, as a data URL: write it to a file")
            yield found.removeprefix("file://")
