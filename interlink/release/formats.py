"""The base class of release formats, and the registry: built-in ones and the entry points `interlink.formats`."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import ValidationError

from interlink.errors import UserError
from interlink.plugins import Group
from interlink.release.about import Column, Description
from interlink.release.settings import ReleaseSettings
from interlink.release.source import Sample
from interlink.release.target import Target
from interlink.settings import Settings

# name -> module:class, in the order of the card.
FORMATS = {
    "howto": "interlink.release.howto:Howto",
    "parquet": "interlink.release.parquet:Rows",
    "datasets": "interlink.release.datasets:Datasets",
    "obelics": "interlink.release.obelics:Obelics",
    "nemo": "interlink.release.nemo:Nemo",
    "mmc4": "interlink.release.mmc4:Mmc4",
    "pairs": "interlink.release.pairs:Pairs",
    "videos": "interlink.release.videos:Videos",
    "messages": "interlink.release.messages:Messages",
    "messages-video": "interlink.release.messages:VideoMessages",
    "llava-video": "interlink.release.llava:LlavaVideo",
    "llava-document": "interlink.release.llava:LlavaDocument",
    "llava": "interlink.release.llava:Llava",
}
ALL = "all"
GROUP = Group("interlink.formats", "release format", FORMATS, "interlink.release.formats:Format", (ALL,))


class Format(ABC):
    """Writes documents into its own folder of the release, `<name>/`, one after another.

    name: its registered name. about: one line for the card. options_class: the options of `--set <name>.key=value`;
    none by default. For the card and Croissant, see `Description`: columns (the first `keys` identify a row), loses,
    empty, loader, and media_files (glob -> MIME type). `add` and `close` write through `self.target`, and keep
    `self.records` (number of records by split) and `self.globs` up to date; `leave_out` counts what options exclude.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    options_class: ClassVar[type[Settings]] = Settings
    columns: ClassVar[Mapping[str, Column]] = {}
    loses: ClassVar[frozenset[str]] = frozenset()
    empty: ClassVar[str] = Description.empty
    loader: ClassVar[str] = ""
    keys: ClassVar[int] = 1
    media_files: ClassVar[Mapping[str, str]] = {}

    def __init__(self, target: Target, settings: ReleaseSettings) -> None:
        self.target, self.settings = target, settings
        self.options: Any = self.options_class.model_validate(settings.options.get(self.name, {}))
        self.records: dict[str, int] = {}
        self.globs: dict[str, str] = {}
        self.left_out: dict[str, int] = {}

    @abstractmethod
    def add(self, sample: Sample) -> None:
        """Writes one document. Documents arrive in the order of the shards."""

    def close(self) -> None:  # a format that writes complete files has nothing to finish
        """Finishes open files. Called once, after the last document."""

    def count(self, split: str) -> None:
        """Counts one record of a split."""
        self.records[split] = self.records.get(split, 0) + 1

    def leave_out(self, what: str) -> None:
        """Counts one thing that the options leave out. what: in the plural, for the card."""
        self.left_out[what] = self.left_out.get(what, 0) + 1

    def description(self) -> Description:
        """The description for the card, Croissant and RELEASE.json, after `close`."""
        return Description(
            self.about,
            self.records,
            self.globs,
            self.columns,
            loses=self.loses,
            empty=self.empty,
            loader=self.loader,
            keys=self.keys,
            media=self.media_files,
            left_out=self.left_out,
        )


def format_names() -> list[str]:
    """Every format and `all`. Nothing is imported."""
    return [*GROUP.names(), ALL]


def format_classes(names: Sequence[str], settings: ReleaseSettings) -> list[type[Format]]:
    """The formats of these names, in the order of the card (third-party ones last); `all` is every registered one.

    Raises UserError for an unknown name, a class that cannot be imported or is not a Format, and invalid options.
    """
    for name in names:
        if name != ALL:
            GROUP.check(name)
    if not names:
        raise UserError("a release needs a format", f"formats: {', '.join(format_names())}", 2)
    chosen = [name for name in GROUP.names() if name in names or ALL in names]
    for name in settings.options:
        GROUP.check(name)
        if name not in chosen:
            raise UserError(f"--set {name}.…: the release does not write {name}", f"add it: --format {name}", 2)
    return [_load(name, settings) for name in chosen]


def _load(name: str, settings: ReleaseSettings) -> type[Format]:
    cls: type[Format] = GROUP.load(name)
    of = f" of {GROUP.distribution_of(name)}" if GROUP.distribution_of(name) else ""
    if cls.name != name:
        raise UserError(
            f"the release format {name!r}{of} has a class with the name {cls.name!r}",
            "give its class and its entry point the same name, which is also the name of its folder",
            2,
        )
    try:
        cls.options_class.model_validate(settings.options.get(name, {}))
    except ValidationError as error:
        raise _explain(name, cls.options_class, error) from error
    return cls


def _explain(name: str, options: type[Settings], error: ValidationError) -> UserError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, options.model_fields, n=1, cutoff=0.5)
        there = ", ".join(options.model_fields) or "none"
        return UserError(
            f"the release format {name!r} has no option {key!r}",
            f"did you mean {name}.{near[0]}?" if near else f"its options: {there}",
            2,
        )
    return UserError(f"--set {name}.{key}: {first['msg']} (got {first['input']!r})", "see docs/how-to/release.md", 2)
