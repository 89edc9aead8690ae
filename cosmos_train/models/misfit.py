"""How saved weights differ from those a model has: what an error tells of it."""

from __future__ import annotations

from collections.abc import Mapping

Shapes = Mapping[str, tuple[int, ...]]
_SHOWN = 5  # differences that an error names


def misfit(wanted: Shapes, found: Shapes) -> str:
    """Empty where names and shapes are the same, else the first differences and how many more there are."""
    different = [f"{name} is missing" for name in wanted if name not in found]
    different += [f"{name} is not in the model" for name in found if name not in wanted]
    different += [
        f"{name} is {found[name]}, not {shape}" for name, shape in wanted.items() if found.get(name, shape) != shape
    ]
    more = f" and {len(different) - _SHOWN} more" if len(different) > _SHOWN else ""
    return "; ".join(different[:_SHOWN]) + more
