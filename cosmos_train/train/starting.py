"""The weights that a run begins with: `train.start_from`. Costs reading them once, in each process.

What they come from may be a run, one of its checkpoints, an exported CosMo or CuMo, or a COSMOS checkpoint as
released. Where the recipe has experts and they have none, the dense networks become the experts (CuMo's co-upcycling).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from cosmos_train.errors import UserError
from cosmos_train.families.base import family_of
from cosmos_train.families.cosmo.model import CosMo
from cosmos_train.models.misfit import misfit
from cosmos_train.models.moe import expert_layers
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train import checkpoint, export
from cosmos_train.train.parallel import device_of

if TYPE_CHECKING:
    from cosmos_train.train.checkpoint import Loaded

_INSTEAD = {
    "cosmos": "a COSMOS is scored by cosmos_train retrieve, or evaluate --task (winoground, imagenet-classify, …)",
    "cumo": "a CuMo is asked by cosmos_train evaluate --task (vqav2, scienceqa, …)",
}


@dataclass(frozen=True)
class Origin:
    """tokenizer: the one the weights know, None where the recipe's own is theirs; fill(model): puts them in."""

    tokenizer: Tokenizer | None
    fill: Callable[[nn.Module], None]


def begin_with(recipe: Recipe) -> Origin:
    """What `train.start_from` names. Raises UserError where it is nothing that this model can begin with."""
    path = Path(recipe.train.start_from)
    if path.is_file():
        if recipe.model.kind != "cosmos":
            raise UserError(f"{path} is a file: only a COSMOS begins with one", "give a run or a checkpoint", 2)
        return Origin(None, lambda model: _released(model, path, recipe))
    loaded, model = load_any(path)
    if loaded.recipe.model.kind != recipe.model.kind:
        raise UserError(
            f"{path} is a {loaded.recipe.model.kind}, the recipe wants a {recipe.model.kind}",
            "start from a model of the same kind",
            2,
        )
    if recipe.model.experts.count and not loaded.recipe.model.experts.count:
        expert_layers(model, recipe.model.experts)
    return Origin(loaded.tokenizer, lambda target: _copy(model, target, path))


def load_any(path: Path, average: bool = False) -> tuple[Loaded, nn.Module]:
    """A model of any kind from a run, a checkpoint or an exported folder, on the CPU, in evaluation mode.

    average: a checkpoint's averaged weights.
    """
    kind = export.kind_of(path)
    if kind == "cosmo":
        return export.load(path)
    if kind == "cumo":
        from cosmos_train.families.cumo import export as cumo_export

        return cumo_export.load(path)
    loaded = checkpoint.load(path)
    model = family_of(loaded.recipe).build(loaded.recipe, loaded.tokenizer)
    checkpoint.restore(loaded, model, use_average=average)
    return loaded, model.eval()


def load_model(path: Path, average: bool = False) -> tuple[Loaded, CosMo]:
    """As `load_any`, of a CosMo, on the device of its recipe. Raises UserError where it is a model of another kind."""
    loaded, model = load_any(path, average)
    if not isinstance(model, CosMo):
        kind = loaded.recipe.model.kind
        raise UserError(f"{path} is a {kind}, not a CosMo", _INSTEAD[kind], 2)
    return loaded, model.to(device_of(loaded.recipe))


def _copy(source: nn.Module, target: nn.Module, path: Path) -> None:
    there = source.state_dict()
    if told := misfit(_shapes(target.state_dict()), _shapes(there)):
        raise UserError(f"{path} is of another model: {told}", "use the model of its recipe", 2)
    target.load_state_dict(there)


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _released(model: nn.Module, path: Path, recipe: Recipe) -> None:
    from cosmos_train.families.cosmos.model import Cosmos
    from cosmos_train.families.cosmos.released import start

    assert isinstance(model, Cosmos)
    if recipe.model.experts.count:
        raise UserError(f"{path} is dense, the recipe has experts", "begin without them, then cosmos_train upcycle", 2)
    start(model, path)
