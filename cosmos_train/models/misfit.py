"""Differences between saved weights and a model, for error messages."""

from __future__ import annotations

from collections.abc import Mapping

Shapes = Mapping[str, tuple[int, ...]]
_SHOWN = 5  # number of differences that an error names


def misfit(wanted: Shapes, found: Shapes) -> str:
    """Empty if names and shapes are the same, else the first differences and the number of further ones."""
    different = [f"{name} is missing" for name in wanted if name not in found]
    different += [f"{name} is not in the model" for name in found if name not in wanted]
    different += [
        f"{name} is {found[name]}, not {shape}" for name, shape in wanted.items() if found.get(name, shape) != shape
    ]
    more = f" and {len(different) - _SHOWN} more" if len(different) > _SHOWN else ""
    return "; ".join(different[:_SHOWN]) + more
