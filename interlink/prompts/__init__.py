"""The prompts of the engines, as text files in this folder: `<name>-<version>.txt`.

A file is never edited once it was part of a release: another wording is another version. The prompt hash of a row
identifies its prompt.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def load(name: str) -> str:
    """The text of `<name>.txt`, stripped."""
    return files("interlink.prompts").joinpath(f"{name}.txt").read_text(encoding="utf-8").strip()
