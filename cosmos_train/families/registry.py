"""Model families by kind, the name in `model.kind`: built-in ones, and third-party ones by entry points.

A new family is one line here, or one entry point `KIND = "module:Class"` in the group `cosmos_train.families`. A family
is imported only when a recipe or a checkpoint names its kind.
"""

from __future__ import annotations

from cosmos_train.errors import UserError
from cosmos_train.families.base import Family
from cosmos_train.plugins import Group
from cosmos_train.recipe import Recipe

FAMILIES = Group(
    "cosmos_train.families",
    "model family",
    {
        "cosmo": "cosmos_train.families.cosmo.family:CosMoFamily",
        "cosmos": "cosmos_train.families.cosmos.family:CosmosFamily",
        "cumo": "cosmos_train.families.cumo.family:CuMoFamily",
    },
    "cosmos_train.families.base:Family",
)


def find(kind: str) -> Family:
    """The family of a kind. UserError (code 2) with the nearest kind, or naming the package that cannot be used."""
    found: type[Family] = FAMILIES.load(kind)
    if why := _unfit(found, kind):
        package = FAMILIES.distribution_of(kind)
        raise UserError(f"the model family {kind!r} of {package} {why}", "fix its entry point or class", 2)
    return found()


def family_of(recipe: Recipe) -> Family:
    """The family of a recipe's model, after checking the recipe. UserError (code 2) if the family refuses it."""
    family = find(recipe.model.kind)
    family.check(recipe)
    return family


def _unfit(found: type[Family], kind: str) -> str:
    """Why a class cannot be a family; empty if it can."""
    if missing := [name for name in ("kind", "name", "form") if not hasattr(found, name)]:
        return f"lacks {', '.join(missing)}"
    return "" if found.kind == kind else f"has the kind {found.kind!r}"
