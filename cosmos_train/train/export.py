"""`cosmos_train export`: writes a trained model as a self-contained folder, in the layout of its family."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from cosmos_train.errors import UserError
from cosmos_train.families.registry import family_of
from cosmos_train.train import card
from cosmos_train.train.starting import family_at, load_any
from interlink.storage import usual_mode

Part = Literal["teacher", "student"]


CARD = "README.md"


def export(
    checkpoint: Path, out: Path, average: bool = False, part: Part = "teacher", licence: str = ""
) -> Path:  # fmt: skip
    """Writes the model of a checkpoint (its folder, a run's, or a file as released) to the new folder `out`.

    average: write the averaged weights. part: which half of a COSMOS becomes a plain CLIP. licence: of the weights, for
    the model card.

    Raises UserError if there is no checkpoint, the family has no export, `out` is not empty, or writing fails.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is not empty", "give a new folder", 2)
    if checkpoint.is_file():  # as its authors released it
        if average:
            raise UserError(f"{checkpoint} has no averaged weights", "leave --average out", 2)
        trained, model = family_at(checkpoint).load_released(checkpoint)
    else:
        trained, model = load_any(checkpoint, average)
    there = out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        family = family_of(trained.recipe)
        family.export(out, trained, model, part)
        if (out / CARD).is_file():
            (out / CARD).write_text(card.complete((out / CARD).read_text(), trained, family, licence))
        usual_mode(path for path in out.rglob("*") if path.is_file())
    except (OSError, RuntimeError) as error:  # torch and safetensors report a full disk differently
        raise UserError(
            f"cannot write to {out}: {error}", "free disk space, remove the folder, then export again"
        ) from error
    except UserError:  # refused: leave nothing that looks like an export
        shutil.rmtree(out)
        if there:
            out.mkdir()
        raise
    return out
