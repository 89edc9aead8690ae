"""Loads trained models, and the initial weights of a run (`train.start_from`).

The source is a run, one of its checkpoints, an exported folder, or a file as a family's authors released it. If the
recipe has experts and the source has none, the dense networks become the experts (CuMo's co-upcycling). Costs reading
the weights once in each process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cosmos_train.errors import UserError
from cosmos_train.families.base import Family, Trained, exported_kind
from cosmos_train.families.cosmo.model import CosMo
from cosmos_train.families.registry import FAMILIES, family_of, find
from cosmos_train.models.misfit import misfit
from cosmos_train.models.moe import expert_layers
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train import checkpoint
from cosmos_train.train.parallel import device_of


@dataclass(frozen=True)
class InitialWeights:
    """tokenizer: of the weights, None if it is the recipe's own; fill(model): loads the weights into the model."""

    tokenizer: Tokenizer | None
    fill: Callable[[nn.Module], None]


def load_initial_weights(recipe: Recipe) -> InitialWeights:
    """Resolves `train.start_from`. Raises UserError if this model cannot begin with it."""
    path, family = Path(recipe.train.start_from), family_of(recipe)
    known = path.is_file() or (path.is_dir() and not exported_kind(path) and checkpoint.find(path) is None)
    if path.is_file() and not family.recognises(path):
        raise family.cannot(f"begin with the file {path}", "give a run, a checkpoint, or weights as released")
    if known and family.recognises(path):
        return InitialWeights(None, lambda model: family.load_file(model, path, recipe))
    trained, model = load_any(path)
    kind = trained.recipe.model.kind
    if kind != recipe.model.kind:
        raise UserError(
            f"{path} is a {kind}, the recipe asks for a {recipe.model.kind}", "start from a model of the same kind", 2
        )
    if recipe.model.experts.count and not trained.recipe.model.experts.count:
        expert_layers(model, recipe.model.experts)
    return InitialWeights(trained.tokenizer, lambda target: _copy(model, target, path))


def family_at(path: Path) -> Family:
    """The family of a run, a checkpoint, an exported folder, or other weights. UserError if there are none."""
    if kind := exported_kind(path):
        return find(kind)
    if checkpoint.find(path) is None:
        for kind in FAMILIES.names():
            with suppress(UserError):  # skip third-party families that cannot be loaded
                family = find(kind)
                if family.recognises(path):
                    return family
    return family_of(checkpoint.load(path).recipe)


def load_any(path: Path, average: bool = False) -> tuple[Trained, Any]:
    """Loads a run, a checkpoint or an exported folder, on the CPU, in evaluation mode.

    average: load a checkpoint's averaged weights.
    """
    if kind := exported_kind(path):
        return find(kind).load_exported(path)
    loaded = checkpoint.load(path)
    model = family_of(loaded.recipe).build(loaded.recipe, loaded.tokenizer)
    checkpoint.restore(loaded, model, use_average=average)
    return loaded.trained, model.eval()


def load_model(path: Path, average: bool = False) -> tuple[Trained, CosMo]:
    """As `load_any`, for a CosMo, on its recipe's device. Raises UserError if it is of another family."""
    trained, model = load_any(path, average)
    if not isinstance(model, CosMo):
        kind = trained.recipe.model.kind
        raise UserError(f"{path} is a {kind}, not a CosMo", find(kind).instead, 2)
    return trained, model.to(device_of(trained.recipe))


def _copy(source: nn.Module, target: nn.Module, path: Path) -> None:
    there = source.state_dict()
    if differences := misfit(_shapes(target.state_dict()), _shapes(there)):
        raise UserError(f"{path} is of another model: {differences}", "use the model settings of its recipe", 2)
    target.load_state_dict(there)


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
