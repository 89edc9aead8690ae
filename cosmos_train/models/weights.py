"""Reads weights in the layouts of the Hugging Face hub: one file, or a folder with one or several.

Safetensors, or torch's files, of which only tensors and plain values are unpickled. Costs one read; tensors of torch's
files are mapped into memory, not copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor, nn

from cosmos_train.errors import UserError
from cosmos_train.models.misfit import misfit

_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")


def weight_names(path: Path) -> set[str]:
    """The names of all tensors; empty if there are none or they cannot be read."""
    try:
        return {name for file in _files(path) for name in _names(file)}
    except UserError:
        return set()


def read_weights(path: Path) -> dict[str, Tensor]:
    """All tensors by name. Raises UserError if a file cannot be read."""
    found: dict[str, Tensor] = {}
    for file in _files(path):
        found.update(_read(file))
    if not found:
        raise UserError(f"{path} holds no weights", "give a file or folder of safetensors, or of torch's files")
    return found


def fill(model: nn.Module, state: Mapping[str, Tensor], source: Path, do: str) -> None:
    """Loads a whole state into a model. UserError with the differences if it is of another architecture."""
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if different := misfit(wanted, {name: tuple(tensor.shape) for name, tensor in state.items()}):
        raise UserError(f"{source} does not fit the recipe's model: {different}", do)
    model.load_state_dict(state)


def _files(path: Path) -> list[Path]:
    """A file itself; of a folder its files of the first format that it has."""
    if path.is_file():
        return [path]
    if path.is_dir():
        for suffix in _SUFFIXES:
            if found := sorted(one for one in path.iterdir() if one.suffix == suffix and _holds_weights(one)):
                return found
    return []


def _holds_weights(path: Path) -> bool:
    return path.name not in ("training_args.bin", "optimizer.pt", "scheduler.pt")


def _names(path: Path) -> Iterator[str]:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), "pt") as file:
                yield from file.keys()
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path} cannot be read: {error}", "download it again") from error
    else:
        yield from _read(path)


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            whole: dict[str, Tensor] = load_file(str(path))
            return whole
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path} cannot be read: {error}", "download it again") from error
    found = load_tensors(path)
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    tensors = found.items() if isinstance(found, dict) else ()
    return {str(name).removeprefix("module."): one for name, one in tensors if isinstance(one, Tensor)}


def load_tensors(path: Path) -> Any:
    """What torch.save wrote, tensors and plain values only; nothing in the file is run. Raises UserError."""
    try:
        # Files of torch before 1.6 are no zip files, and cannot be mapped into memory.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except UnpicklingError as error:  # torch suggests weights_only=False, which could run code in the file
        raise UserError(
            f"{path} holds more than weights and could run code, so it is not read",
            "download it again, or save only its tensors",
        ) from error
    except Exception as error:  # torch raises many types for damaged or foreign files
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} is not a file of weights: {reason}", "download it again") from error
