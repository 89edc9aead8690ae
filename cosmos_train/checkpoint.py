"""Checkpoints: a folder each, whole or absent, and a `latest` that a kill cannot break.

    OUT/checkpoints/step-00000100/   model.safetensors  training.pt  state.json  recipe.yaml  tokenizer.json
    OUT/checkpoints/latest           the name of the newest whole one

A folder is written under a temporary name, synced, and renamed; only then does `latest` move. Costs one copy of weights
and optimiser state on disk, while training waits.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cosmos_train import recipe as recipes
from cosmos_train.errors import UserError
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer

_TEMPORARY = ".tmp-"
_LATEST = "latest"


@dataclass(frozen=True)
class State:
    """Where a run stands.

    step: optimiser steps done; position: samples given out by the stream; bad: how many of them were unreadable;
    corpus: signature of what the position counts in; tokenizer: names of its special tokens.
    """

    step: int
    position: int
    bad: int
    corpus: str
    tokenizer: dict[str, str]


@dataclass(frozen=True)
class Loaded:
    """A checkpoint's small parts; weights and optimiser are read into existing objects by `restore`."""

    folder: Path
    recipe: Recipe
    state: State
    tokenizer: Tokenizer


def save(
    out: Path, recipe: Recipe, state: State, tokenizer: Tokenizer, model: nn.Module, optimiser: torch.optim.Optimizer
) -> Path:
    """Commits the checkpoint of `state.step` below `out` and prunes old ones to `train.keep`.

    Raises UserError when the disk refuses; what was saved before stays.
    """
    from safetensors.torch import save_model

    folder = out / "checkpoints"
    target = folder / f"step-{state.step:08d}"
    temporary = folder / f"{_TEMPORARY}{target.name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        save_model(model, str(temporary / "model.safetensors"))
        random = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            random["cuda"] = torch.cuda.get_rng_state()
        torch.save({"optimiser": optimiser.state_dict(), "random": random}, temporary / "training.pt")
        tokenizer.save(temporary / "tokenizer.json")
        (temporary / "recipe.yaml").write_text(recipes.dump(recipe))
        (temporary / "state.json").write_text(json.dumps(asdict(state), indent=1))
        for file in temporary.iterdir():
            _sync(file)
        _sync(temporary)
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
        _sync(folder)
        _point_at(folder, target.name)
    except (OSError, RuntimeError) as error:  # torch and safetensors say a full disk each in their own way
        shutil.rmtree(temporary, ignore_errors=True)
        raise UserError(
            f"cannot save a checkpoint to {target}: {error}", "make room, then go on with --resume"
        ) from error
    for old in _whole(folder)[: -recipe.train.keep]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def latest(out: Path) -> Path | None:
    """The newest whole checkpoint below a run's folder, or None."""
    folder = out / "checkpoints"
    pointer = folder / _LATEST
    if pointer.is_file() and (folder / pointer.read_text().strip() / "state.json").is_file():
        return folder / pointer.read_text().strip()
    whole = _whole(folder)
    return whole[-1] if whole else None


def load(path: Path) -> Loaded:
    """The checkpoint at `path`: its folder, or a run's folder (its latest). Raises UserError where there is none."""
    folder = path if (path / "state.json").is_file() else latest(path)
    if folder is None:
        raise UserError(f"there is no checkpoint in {path}", "give a run's folder or one of its checkpoints", 2)
    try:
        state = State(**json.loads((folder / "state.json").read_text()))
        recipe = recipes.load(str(folder / "recipe.yaml"))
        tokenizer = Tokenizer.load(folder / "tokenizer.json", state.tokenizer)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"the checkpoint {folder} is damaged: {error}", "use another one") from error
    return Loaded(folder, recipe, state, tokenizer)


def restore(loaded: Loaded, model: nn.Module, optimiser: torch.optim.Optimizer | None = None) -> None:
    """Reads the weights into `model`; with an optimiser, its state and torch's random state too.

    Raises UserError where the checkpoint is of another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    device = next(model.parameters()).device
    try:
        load_model(model, str(loaded.folder / "model.safetensors"), device=str(device))
        if optimiser is None:
            return
        training: dict[str, Any] = torch.load(loaded.folder / "training.pt", map_location="cpu", weights_only=True)
        optimiser.load_state_dict(training["optimiser"])
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"the checkpoint {loaded.folder} does not fit this recipe's model: {reason}", "use the recipe saved in it"
        ) from error
    torch.set_rng_state(training["random"]["cpu"])
    if "cuda" in training["random"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(training["random"]["cuda"])


def _whole(folder: Path) -> list[Path]:
    """Folders are renamed into place when whole, so a name is enough."""
    return sorted(found for found in folder.glob("step-*") if (found / "state.json").is_file())


def _point_at(folder: Path, name: str) -> None:
    temporary = folder / f"{_TEMPORARY}{_LATEST}"
    temporary.write_text(name + "\n")
    _sync(temporary)
    temporary.replace(folder / _LATEST)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
