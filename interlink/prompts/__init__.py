"""The prompts that engines are given, as text files of this folder: `<name>-<version>.txt`.

A file that a release has shipped is never edited: another wording is another version. What a row was made with is told
by its prompt hash.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def load(name: str) -> str:
    """The text of `<name>.txt`, without the white space around it."""
    return files("interlink.prompts").joinpath(f"{name}.txt").read_text(encoding="utf-8").strip()
