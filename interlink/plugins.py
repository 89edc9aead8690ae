"""Parts of the builder by name: ours, and those that other packages offer by entry points.

An installed package offers a class in its metadata (`[project.entry-points."interlink.captioners"]`); nothing of it is
imported before a recipe names it. Looking costs some milliseconds once a process.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module, metadata
from typing import Any

from interlink.errors import UserError
from interlink.stage import Resources


@dataclass(frozen=True)
class Group:
    """One kind of part. entry_points: the group's name; ours: name -> module:Class; also: names that stand for none."""

    entry_points: str
    kind: str  # "caption engine"
    ours: Mapping[str, str]
    also: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """Ours, then those of others."""
        return [*self.ours, *(name for name in sorted(self._offered()) if name not in self.ours)]

    def check(self, name: str) -> str:
        """`name` if there is such a part and only one, else UserError with the nearest one, or with who clashes."""
        self.value(name)
        return name

    def value(self, name: str) -> str:
        """`module:Class` behind a name. Raises UserError as `check` does."""
        offers = self._offered().get(name, ())
        whose = sorted({offer.distribution for offer in offers})
        if name in self.ours and offers:
            raise UserError(
                f"the {self.kind} {name!r} is interlink's own, and {' and '.join(whose)} offers another of that name",
                f"uninstall {whose[0]}, or rename its entry point in {self.entry_points}",
                2,
            )
        if len({offer.value for offer in offers}) > 1:
            raise UserError(
                f"the {self.kind} {name!r} is offered by {' and by '.join(whose)}",
                f"uninstall all but one, or rename an entry point in {self.entry_points}",
                2,
            )
        if name in self.ours:
            return self.ours[name]
        if offers:
            return offers[0].value
        names = [*self.also, *self.names()]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names) or 'none'}"
        raise UserError(f"there is no {self.kind} {name!r}", hint, 2)

    def load(self, name: str) -> Any:
        """The class behind a name. UserError naming the distribution where it cannot be imported."""
        module, _, attribute = self.value(name).partition(":")
        try:
            return getattr(import_module(module), attribute)
        except Exception as error:  # whatever a module of others does on import
            if name in self.ours and not isinstance(error, ImportError):
                raise
            why = f"{type(error).__name__}: {error}"
            where = self.whose(name)
            told = f"the {self.kind} {name!r}{f' of {where}' if where else ''} cannot be imported: {why}"
            raise UserError(told, f"install what {where or 'it'} needs, or mend it", 2) from error

    def make(self, name: str, options: Mapping[str, Any], *rest: Any) -> Any:
        """A part of others, made from `options`. UserError naming the distribution where it refuses them."""
        made = self.load(name)
        try:
            return made(options, *rest)
        except (TypeError, ValueError, KeyError) as error:
            why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            told = f"the {self.kind} {name!r} of {self.whose(name)} refuses its options {dict(options)}: {why}"
            raise UserError(told, "see what it wants, and set `options` beside `engine`", 2) from error

    def whose(self, name: str) -> str:
        """The distribution that offers a name, with its version; empty for ours."""
        offers = self._offered().get(name, ())
        return "" if name in self.ours or not offers else offers[0].distribution

    def _offered(self) -> Mapping[str, tuple[_Offer, ...]]:
        return _offered(self.entry_points, tuple(sys.path))


@dataclass(frozen=True)
class _Offer:
    value: str
    distribution: str


@lru_cache(maxsize=64)
def _offered(group: str, path: tuple[str, ...]) -> Mapping[str, tuple[_Offer, ...]]:
    """What installed packages offer; `path` is sys.path, which decides what is installed."""
    del path
    found: dict[str, tuple[_Offer, ...]] = {}
    for entry in metadata.entry_points(group=group):
        whose = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unnamed package"
        found[entry.name] = (*found.get(entry.name, ()), _Offer(entry.value, whose))
    return found


def resources_of(part: Any, options: Mapping[str, Any]) -> Resources:
    """What a part of others says that a worker of it needs (`resources(options)`); one CPU where it says nothing."""
    says = getattr(part, "resources", None)
    return says(options) if says is not None else Resources(cpus=1.0)
