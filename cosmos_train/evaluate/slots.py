"""The meaning of a sentence by slot: a table of slots, their values, and the words for each value.

The bundled table is the sample world's (object, colour, action); other worlds need their own JSON of the same format:
{slot: {value: [words]}}. Light: imports no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from cosmos_train.errors import UserError

SAMPLE_WORLD = Path(__file__).with_name("slots.json")

Said = tuple[str | None, ...]  # one value per slot, None if the sentence names none or several


class Slots:
    def __init__(self, table: Mapping[str, Mapping[str, list[str]]]) -> None:
        """Raises ValueError if a word names two values of one slot."""
        self.table = table
        self.names = tuple(table)
        self._values: list[dict[str, str]] = []
        for name, values in table.items():
            words: dict[str, str] = {}
            for value, forms in values.items():
                for form in forms:
                    if words.setdefault(form.lower(), value) != value:
                        raise ValueError(f"the word {form} names two values of {name}")
            self._values.append(words)

    def read(self, text: str) -> Said:
        """The values that a sentence names."""
        words = set(re.findall(r"[^\W_]+", text.lower()))
        found = ({value for word, value in values.items() if word in words} for values in self._values)
        return tuple(next(iter(values)) if len(values) == 1 else None for values in found)


def load_slots(path: Path = SAMPLE_WORLD) -> Slots:
    """Reads the table in a JSON file. Raises UserError (code 2) if it is not one."""
    try:
        return Slots(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UserError(
            f"{path} is not a table of slots: {error}", "it is JSON: {slot: {value: [words that name it]}}", 2
        ) from error
