"""Plugins by name: built-in classes, and classes of third-party packages by entry points.

An installed package declares a class in its metadata (`[project.entry-points."interlink.captioners"]`). It is imported
only when a recipe names it. The lookup costs some milliseconds, once per process.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module, metadata
from typing import Any

from pydantic import BaseModel, ValidationError

from interlink.errors import UserError


@dataclass(frozen=True)
class Group:
    """One kind of plugin.

    entry_points: name of the entry point group; empty: no third-party plugins. ours: name -> module:Class of built-in
    ones. base: the base class (module:Class) of every plugin, which has the defaults. also: names that mean no plugin,
    such as `none`.
    """

    entry_points: str
    kind: str  # "caption engine"
    ours: Mapping[str, str]
    base: str
    also: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """Built-in names, then those of third-party packages."""
        return [*self.ours, *(name for name in sorted(self._offered()) if name not in self.ours)]

    def check(self, name: str) -> str:
        """`name` if exactly one plugin has it, else UserError with the nearest name or the conflicting packages."""
        self.value(name)
        return name

    def value(self, name: str) -> str:
        """`module:Class` of a name. Raises UserError like `check`."""
        offers = self._offered().get(name, ())
        packages = sorted({offer.distribution for offer in offers})
        if name in self.ours and offers:
            raise UserError(
                f"the {self.kind} {name!r} is built in, but {' and '.join(packages)} offers another of that name",
                f"uninstall {packages[0]}, or rename its entry point in {self.entry_points}",
                2,
            )
        if len({offer.value for offer in offers}) > 1:
            raise UserError(
                f"the {self.kind} {name!r} is offered by {' and by '.join(packages)}",
                f"uninstall all but one, or rename an entry point in {self.entry_points}",
                2,
            )
        if name in self.ours:
            return self.ours[name]
        if offers:
            return offers[0].value
        names = [*self.also, *self.names()]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"available: {', '.join(names) or 'none'}"
        raise UserError(f"there is no {self.kind} {name!r}", hint, 2)

    def load(self, name: str) -> Any:
        """The class of a name. Raises UserError, with the distribution, if it cannot be imported, has another base or
        lacks a method that the base requires.

        Importing a plugin must not import heavy packages; it imports those in `open`.
        """
        try:
            found = _attribute(self.value(name))
        except UserError:
            raise
        except Exception as error:  # a third-party module can raise anything on import
            if name in self.ours and not isinstance(error, ImportError):
                raise
            why = f"{type(error).__name__}: {error}"
            where = self.distribution_of(name)
            raise UserError(
                f"the {self._named(name)} cannot be imported: {why}",
                f"install what {where or 'it'} needs, or fix it",
                2,
            ) from error
        if not (isinstance(found, type) and issubclass(found, _attribute(self.base))):
            module, _, base = self.base.partition(":")
            raise UserError(
                f"the {self._named(name)} is not a {base}",
                f"derive its class from {module}.{base} (docs/how-to/write-a-plugin.md)",
                2,
            )
        if missing := sorted(getattr(found, "__abstractmethods__", ())):
            raise UserError(
                f"the {self._named(name)} does not define {' and '.join(missing)}",
                f"define {'it' if len(missing) == 1 else 'them'} in {found.__module__}.{found.__qualname__} "
                "(docs/how-to/write-a-plugin.md)",
                2,
            )
        return found

    def make(self, name: str, settings: BaseModel | Mapping[str, Any], *rest: Any) -> Any:
        """An instance, made from `settings_of`. Raises UserError, with the distribution, for invalid options."""
        made = self.load(name)
        if name in self.ours:
            return made(settings, *rest)
        try:
            return made(settings, *rest)
        except (TypeError, ValueError, KeyError) as error:
            why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise self._refusal(name, dict(settings), why) from error

    def settings_of(self, name: str, block: BaseModel, options: Mapping[str, Any]) -> BaseModel | Mapping[str, Any]:
        """The settings of the plugin `name`: its own block inside `block` if it has one, else its `options`."""
        if name in self.ours and name in type(block).model_fields:
            own: BaseModel = getattr(block, name)
            return own
        return self.options_of(name, options)

    def options_of(self, name: str, options: Mapping[str, Any]) -> BaseModel | Mapping[str, Any]:
        """The options of a third-party plugin, validated by its `settings_class` if it has one."""
        declared: type[BaseModel] | None = self.load(name).settings_class
        if declared is None:
            return options
        try:
            return declared(**options)
        except ValidationError as error:
            first = error.errors()[0]
            raise self._refusal(name, options, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error

    def _refusal(self, name: str, options: Mapping[str, Any], why: str) -> UserError:
        return UserError(
            f"the {self._named(name)} rejects its options {dict(options)}: {why}",
            "see its documentation, and set `options` next to its name",
            2,
        )

    def _named(self, name: str) -> str:
        where = self.distribution_of(name)
        return f"{self.kind} {name!r}{f' of {where}' if where else ''}"

    def distribution_of(self, name: str) -> str:
        """The distribution of a third-party plugin, with its version; empty for a built-in one."""
        offers = self._offered().get(name, ())
        return "" if name in self.ours or not offers else offers[0].distribution

    def _offered(self) -> Mapping[str, tuple[_Offer, ...]]:
        return _offered(self.entry_points, tuple(sys.path)) if self.entry_points else {}


@dataclass(frozen=True)
class _Offer:
    value: str
    distribution: str


@lru_cache(maxsize=64)
def _offered(group: str, path: tuple[str, ...]) -> Mapping[str, tuple[_Offer, ...]]:
    """The entry points of installed packages. path: sys.path, a key of the cache: it decides what is installed."""
    del path
    found: dict[str, tuple[_Offer, ...]] = {}
    for entry in metadata.entry_points(group=group):
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unnamed package"
        found[entry.name] = (*found.get(entry.name, ()), _Offer(entry.value, package))
    return found


def _attribute(value: str) -> Any:
    """The object `module:Name`. Raises AttributeError, and any error of the import."""
    module, _, name = value.partition(":")
    return getattr(import_module(module), name)
