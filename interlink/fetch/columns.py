"""Finds the columns of a list by their usual names. Costs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def find_columns(
    columns: Sequence[str], usual: Mapping[str, Sequence[str]], named: Mapping[str, str]
) -> dict[str, str]:
    """Role -> column: the one that the recipe names, else the first usual name, exactly or but for case and spaces."""
    written = {_normal(column): column for column in reversed(columns)}
    found = {}
    for role, names in usual.items():
        if named.get(role):
            if named[role] in columns:
                found[role] = named[role]
            continue
        exact = next((name for name in names if name in columns), None)
        column = exact or next((written[name] for name in map(_normal, names) if name in written), None)
        if column is not None:
            found[role] = column
    return found


def _normal(name: str) -> str:
    return "_".join(name.casefold().replace("-", " ").replace("_", " ").split())
