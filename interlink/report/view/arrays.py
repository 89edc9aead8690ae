"""Arrays of a catalogue: written whole, read memory-mapped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from interlink.report.view.schema import ARRAYS

Columns = dict[str, np.ndarray]
Groups = dict[str, Columns]  # clips, frames, docs


def empty(group: str, length: int) -> Columns:
    """Columns of a group with nothing known: NaN, 0."""
    return {name: np.full(length, np.nan if kind.kind == "f" else 0, kind) for name, kind in ARRAYS[group].items()}


def write(folder: Path, groups: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Writes every column of the groups."""
    for group, columns in groups.items():
        for name, column in columns.items():
            np.save(folder / f"{group}.{name}.npy", column, allow_pickle=False)


def read(folder: Path, group: str) -> Columns:
    """The columns of a group; the system reads their pages where they are used."""
    found = {}
    for name in ARRAYS[group]:
        path = folder / f"{group}.{name}.npy"
        try:
            found[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError:  # an empty file cannot be mapped
            found[name] = np.load(path, allow_pickle=False)
    return found


def joined(parts: list[Columns], group: str) -> Columns:
    """The parts one after the other."""
    if not parts:
        return empty(group, 0)
    return {name: np.concatenate([part[name] for part in parts]) for name in ARRAYS[group]}


def sliced(columns: Mapping[str, np.ndarray], begin: int, end: int) -> Columns:
    """Rows [begin, end) of every column."""
    return {name: column[begin:end] for name, column in columns.items()}
