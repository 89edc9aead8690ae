"""Checks for what an engine needs: packages, folders of models, keys. Costs milliseconds and loads no weights.

A build runs these checks before its first stage; an engine repeats them when it opens, on the machine where it runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from interlink.engines.local import local_folder
from interlink.errors import UserError

_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")  # as huggingface_hub reads them
_TRUE = ("1", "ON", "YES", "TRUE")


def require_packages(who: str, packages: Sequence[str], do: str) -> None:
    """Raises UserError where one of the packages cannot be imported. who: what needs them, for the message."""
    for package in packages:
        if find_spec(package) is None:
            raise missing_package(who, f"No module named {package!r}", do)


def missing_package(who: str, why: object, do: str) -> UserError:
    return UserError(f"{who} needs a package: {why}", do)


@contextmanager
def importing(who: str, do: str) -> Iterator[None]:
    """Turns a failed import inside the block into a UserError with the command that installs the package."""
    try:
        yield
    except ImportError as error:
        raise missing_package(who, error, do) from None


def require_model(model: str, revision: str, where: str, files: Sequence[str] = ("config.json",)) -> None:
    """Raises UserError where a model is neither a model folder nor, without a network, in the hub's local cache.

    where: the block of the recipe that names it. files: a model folder has one of them.
    """
    folder = local_folder(model, where)
    if folder is not None:
        if not any((folder / file).is_file() for file in files):
            raise UserError(
                f"{model} is not a model folder: {' or '.join(files)} is missing", f"check {where}.model", 2
            )
        return
    if not is_offline():
        return
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:  # the check for the engine's package reports it
        return
    if not any(isinstance(try_to_load_from_cache(model, file, revision=revision or None), str) for file in files):
        raise UserError(
            f"the model {model}{f' ({revision})' if revision else ''} is not in the local cache of the hub, and "
            f"{' or '.join(_OFFLINE)} forbids downloading it",
            f"download it first (hf download {model}), or set {where}.model to a local folder",
        )


def is_offline() -> bool:
    """Whether the environment forbids access to the hub."""
    return any(os.environ.get(name, "").upper() in _TRUE for name in _OFFLINE)


def require_file(path: str, what: str, do: str) -> None:
    """Raises UserError where the file does not exist."""
    if not Path(path).expanduser().is_file():
        raise UserError(f"there is no {what} {path}", do, 2)


def require_key(variable: str, address: str, where: str) -> str:
    """The key from an environment variable, or "" if none is named. Raises UserError if it is not set."""
    key = os.environ.get(variable, "") if variable else ""
    if variable and not key:
        raise UserError(
            f"the environment variable {variable} with the key for {address} is not set",
            f"export {variable}, or set {where}.api_key_env to '' for a server without keys",
        )
    return key
