"""`cosmos_train upcycle`: turns the feed-forward networks of a trained model into experts, as a new checkpoint.

All experts are copies, so the outputs stay the same whatever the gates choose. This is checked on drawn inputs, in fp32
and in fp64, before anything is written. Costs the model three times in memory.
"""

from __future__ import annotations

import copy
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import nn

from cosmos_train.errors import UserError
from cosmos_train.families.base import Family
from cosmos_train.families.registry import family_of
from cosmos_train.models.moe import expert_layers, mixtures
from cosmos_train.models.settings import ExpertSettings
from cosmos_train.train import checkpoint
from cosmos_train.train.checkpoint import Saver
from cosmos_train.train.parallel import World
from cosmos_train.train.starting import family_at, load_any

LARGEST = {torch.float32: 1e-6, torch.float64: 1e-12}  # largest relative difference that rounding explains


@dataclass(frozen=True)
class Upcycled:
    """blocks: number of mixtures; dense, sparse: parameters before and after; active: parameters after that one token
    uses; differences: the largest difference of outputs, relative to the largest output, by number type."""

    checkpoint: Path
    blocks: int
    dense: int
    sparse: int
    active: int
    differences: dict[str, float]


def settings_for(source: Path, experts: int, top_k: int, places: str) -> ExpertSettings:
    """The settings from the command's options; without `places`, those of the family. Raises UserError."""
    family = family_at(source)
    named = [place.strip() for place in places.split(",")] if places else list(family.expert_places)
    if not named:
        raise family.cannot("be upcycled by default", "name the networks to convert: --places")
    try:
        return ExpertSettings.model_validate({"count": experts, "top_k": top_k, "places": named})
    except ValidationError as error:
        raise UserError(f"--places {places}, --top-k {top_k}: {error.errors()[0]['msg']}", "see --help", 2) from None


def upcycle(source: Path, out: Path, settings: ExpertSettings, seed: int = 0) -> Upcycled:
    """Converts the model of a run or checkpoint to experts and writes it to the new folder `out`.

    Raises UserError if it has experts already, a place has no networks to copy, or outputs differ.
    """
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty", "give a new folder", 2)
    trained, dense = load_any(source)
    family = family_of(trained.recipe)
    if mixtures(dense):
        raise UserError(f"{source} has experts already", "give a dense model", 2)
    torch.manual_seed(seed)
    sparse = copy.deepcopy(dense)
    blocks = expert_layers(sparse, settings)
    differences = {}
    for dtype, most in LARGEST.items():
        found = difference(family, dense, sparse, dtype)
        differences[str(dtype).removeprefix("torch.")] = found
        if not found < most:
            raise UserError(f"the outputs differ by {found:.1e} in {dtype}: nothing was written", "report it")
    dense.float()
    sparse.float()
    recipe = trained.recipe
    recipe = recipe.model_copy(
        update={
            "model": recipe.model.model_copy(update={"experts": settings}),
            "train": recipe.train.model_copy(update={"start_from": ""}),
        }
    )
    state = checkpoint.State(
        0, {}, 0, trained.shards, trained.tokenizer.names
    )  # a run that starts from it begins at step 0
    with closing(Saver(out, recipe, trained.tokenizer, World(0, 1, 1, torch.device("cpu")))) as saver:
        saver.save(state, checkpoint.tensors_of(sparse))
        written = saver.wait()
    assert written is not None
    total = sum(p.numel() for p in sparse.parameters())
    unused = sum(
        (one.first.numel() + one.second.numel()) * (one.experts - one.top_k) // one.experts for one in mixtures(sparse)
    )
    return Upcycled(written, blocks, sum(p.numel() for p in dense.parameters()), total, total - unused, differences)


@torch.no_grad()
def difference(family: Family, one: nn.Module, other: nn.Module, dtype: torch.dtype) -> float:
    """The largest difference of two models' outputs on drawn inputs, relative to the largest output."""
    found, same = (family.drawn_outputs(model.to(dtype).eval()) for model in (one, other))
    pairs = zip(found, same, strict=True)
    return max(float((a - b).abs().max() / a.abs().max().clamp(min=1e-30)) for a, b in pairs)
