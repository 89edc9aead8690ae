"""What a release format is, and which there are."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence
from typing import ClassVar, Protocol

from interlink.errors import UserError
from interlink.release.settings import ReleaseSettings
from interlink.release.source import Sample
from interlink.release.target import Target

# name -> module:class, in the order of the card.
FORMATS = {
    "howto": "interlink.release.howto:Howto",
    "parquet": "interlink.release.parquet:Rows",
    "datasets": "interlink.release.datasets:Datasets",
    "obelics": "interlink.release.obelics:Obelics",
    "nemo": "interlink.release.nemo:Nemo",
    "pairs": "interlink.release.pairs:Pairs",
    "llava": "interlink.release.llava:Llava",
}


class Format(Protocol):
    """Writes every document into its own folder of the release, `<name>/`, as they come.

    about: one line for the card and `--help`. records: what came of it, by split, for RELEASE.json (set by `close`).
    globs: split -> the files that hold it, where Hugging Face's `datasets` can open them.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    records: dict[str, int]
    globs: dict[str, str]

    def __init__(self, target: Target, settings: ReleaseSettings) -> None: ...

    def add(self, sample: Sample) -> None: ...

    def close(self) -> None: ...


def format_classes(names: Sequence[str]) -> list[type[Format]]:
    """The formats of these names, in the order of the card; `all` is every one. Raises UserError for an unknown one."""
    for name in names:
        if name != "all" and name not in FORMATS:
            near = difflib.get_close_matches(name, FORMATS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"formats: {', '.join(FORMATS)}, all"
            raise UserError(f"there is no release format {name!r}", hint, 2)
    if not names:
        raise UserError("a release needs a format", f"formats: {', '.join(FORMATS)}, all", 2)
    found: list[type[Format]] = []
    for name, path in FORMATS.items():
        if name in names or "all" in names:
            module, _, attribute = path.partition(":")
            found.append(getattr(importlib.import_module(module), attribute))
    return found
