"""Location and load options of a checkpoint of transformers, shared by all local models.

Never runs code of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlink.engines.guard import ensure_torchvision
from interlink.engines.local import folder_revision, local_folder
from interlink.engines.present import importing, require_model, require_packages
from interlink.errors import UserError

_WHO, _INSTALL = "the transformers engine", "pip install 'interlink[models]'"


def check_place(model: str, revision: str, device: str, where: str) -> None:
    """Raises UserError where the checkpoint, or a package that runs it, is missing. Costs milliseconds."""
    require_model(model, revision, where)
    require_packages(_WHO, ("torch", "transformers", *(("accelerate",) if device == "spread" else ())), _INSTALL)


def gpus_of(device: str) -> float:
    """Number of GPUs of a worker with its model on this device."""
    return float(device.startswith(("cuda", "spread")))


@dataclass(frozen=True)
class Place:
    """model: as in the recipe. options: for every `from_pretrained`. device, dtype: `auto` is resolved, except for the
    dtype on a GPU: the checkpoint's own."""

    model: str
    folder: Path | None
    options: dict[str, Any]
    device: str
    dtype: str

    @classmethod
    def of(cls, model: str, revision: str, device: str, dtype: str, where: str) -> Place:
        """where: the block of the recipe that names it. Raises UserError where it, or transformers, is missing."""
        folder = local_folder(model, where)
        ensure_torchvision()
        with importing(_WHO, _INSTALL):
            import torch
            from transformers.utils import logging as transformers_logging
        transformers_logging.disable_progress_bar()  # not on the stderr of a worker
        cuda = torch.cuda.is_available()
        if device == "auto":
            device = "cuda" if cuda else "cpu"
        if dtype == "auto" and (device == "cpu" or not cuda):
            dtype = "float32"
        options: dict[str, Any] = {"trust_remote_code": False}
        if folder is None and revision:
            options["revision"] = revision
        return cls(model, folder, options, device, dtype)

    @property
    def source(self) -> str:
        return str(self.folder) if self.folder is not None else self.model

    @property
    def name(self) -> str:
        """The name for provenance: a hub id, or a folder's name without its path."""
        return self.folder.name if self.folder is not None else self.model

    def revision(self, model: Any) -> str:
        """The revision of a loaded model: the hub's commit, or a hash of the folder."""
        if self.folder is not None:
            return folder_revision(self.folder)
        return str(getattr(model.config, "_commit_hash", None) or "")

    @contextmanager
    def loading(self, what: str, do: str) -> Iterator[None]:
        """Turns an error inside the block into a UserError with the model's name. what: its kind; do: the remedy."""
        try:
            yield
        except (OSError, ValueError, KeyError, ImportError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(f"cannot load {what} {self.model!r}: {first}", do) from error
