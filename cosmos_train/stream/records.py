"""Batches as nested dataclasses of tensors: one function that maps all of their tensors.

Costs some microseconds per batch; copies only what `change` copies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

Record = TypeVar("Record")
Leaf = TypeVar("Leaf")


def map_leaves(record: Record, kind: type[Leaf], change: Callable[[Leaf], Any]) -> Record:
    """The dataclass with `change` applied to each field of type `kind`, also in nested dataclasses."""
    changed: dict[str, Any] = {}
    for field in fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        if isinstance(value, kind):
            changed[field.name] = change(value)
        elif is_dataclass(value):
            changed[field.name] = map_leaves(value, kind, change)
    return replace(record, **changed)  # type: ignore[type-var]
