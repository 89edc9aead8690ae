"""Whether what an engine needs is there: packages, folders of models, keys. Costs milliseconds and loads no weights.

What a build asks before its first stage runs, and an engine again when it opens, on the machine where it runs.
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
    """Raises UserError where one of the packages cannot be imported. who: who needs them, for the message."""
    for package in packages:
        if find_spec(package) is None:
            raise missing_package(who, f"No module named {package!r}", do)


def missing_package(who: str, why: object, do: str) -> UserError:
    return UserError(f"{who} needs a package: {why}", do)


@contextmanager
def importing(who: str, do: str) -> Iterator[None]:
    """An import that fails inside becomes a UserError with what to install."""
    try:
        yield
    except ImportError as error:
        raise missing_package(who, error, do) from None


def require_model(model: str, revision: str, where: str, files: Sequence[str] = ("config.json",)) -> None:
    """Raises UserError where a model is neither a folder of one nor, without a network, in the hub's local cache.

    where: the block of the recipe that names it. files: a folder of a model has one of them.
    """
    folder = local_folder(model, where)
    if folder is not None:
        if not any((folder / file).is_file() for file in files):
            raise UserError(
                f"{model} is no folder of a model: {' or '.join(files)} is missing", f"check {where}.model", 2
            )
        return
    if not is_offline():
        return
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:  # then the engine's own package is missing, which is said elsewhere
        return
    if not any(isinstance(try_to_load_from_cache(model, file, revision=revision or None), str) for file in files):
        raise UserError(
            f"the model {model}{f' ({revision})' if revision else ''} is not in the local cache of the hub, and "
            f"{' or '.join(_OFFLINE)} forbids to fetch it",
            f"fetch it first (hf download {model}), or set {where}.model to a local folder",
        )


def is_offline() -> bool:
    """Whether the environment forbids to ask the hub."""
    return any(os.environ.get(name, "").upper() in _TRUE for name in _OFFLINE)


def require_file(path: str, what: str, do: str) -> None:
    """Raises UserError where there is no such file."""
    if not Path(path).expanduser().is_file():
        raise UserError(f"there is no {what} {path}", do, 2)


def require_key(variable: str, address: str, where: str) -> str:
    """The key in an environment variable, or "" where none is named. UserError where it is not set."""
    key = os.environ.get(variable, "") if variable else ""
    if variable and not key:
        raise UserError(
            f"the environment variable {variable} with the key for {address} is not set",
            f"export {variable}, or set {where}.api_key_env to '' for a server without keys",
        )
    return key
