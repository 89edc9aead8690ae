"""Exports a CuMo as a folder in Hugging Face's style, like a CosMo. Reading it back gives equal logits.

Experts stay as in training: stacked in one tensor per block. Costs one copy of the weights on disk.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cosmos_train.families.base import Trained
from cosmos_train.families.cumo import KIND, NAME
from cosmos_train.families.cumo.model import CuMo, build_cumo
from cosmos_train.families.folder import load_folder, tower_config, without_names, write_folder
from cosmos_train.models.moe import mixtures
from cosmos_train.models.pixels import CLIP_MEAN, CLIP_STD
from cosmos_train.recipe import Recipe


def write(out: Path, trained: Trained, model: CuMo) -> None:
    """Writes into an existing folder."""
    recipe = standalone(trained.recipe, model)
    write_folder(out, trained, model, KIND, NAME, recipe, _preprocessor(recipe), _card(trained, recipe, model))


def load(folder: Path) -> tuple[Trained, CuMo]:
    """Loads an exported CuMo on the CPU, in evaluation mode. UserError if the folder is not one, or damaged."""
    return load_folder(folder, KIND, NAME, build_cumo)


def standalone(recipe: Recipe, model: CuMo) -> Recipe:
    """The recipe with configs in place of names, and without the paths of its weights and data."""
    settings = recipe.model.vision
    config = tower_config(settings.name) if settings.name else settings.config
    vision = settings.model_copy(update={"name": "", "pretrained": "", "config": config})
    found = without_names(recipe, vision, model.lm)
    return found.model_copy(update={"train": recipe.train.model_copy(update={"start_from": ""})})


def _preprocessor(recipe: Recipe) -> dict[str, Any]:
    """How pictures are prepared, in the fields of Hugging Face's CLIPImageProcessor and LLaVA's
    `image_aspect_ratio`."""
    size = recipe.data.image.size
    return {
        "image_processor_type": "CLIPImageProcessor",
        "image_aspect_ratio": "pad" if recipe.data.talk.pad else "crop",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": size},
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(CLIP_MEAN),
        "image_std": list(CLIP_STD),
    }


def _card(trained: Trained, recipe: Recipe, model: CuMo) -> str:
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    lm = recipe.model.language.config["model_type"]
    blocks = len(mixtures(model))
    experts = f", {blocks} blocks of {recipe.model.experts.count} experts" if blocks else ""
    return f"""# {trained.recipe.name}

A CuMo of {millions:.1f} M parameters ({lm} language model{experts}), trained for {trained.step} steps on the
shards with signature `{trained.shards[:16]}`. Prompt version: `{recipe.data.talk.prompt}`.

    cosmos_train evaluate FOLDER --task scienceqa --data DIR

In Python (`pip install interlink`; transformers' `AutoModel` does not know this architecture, the tokenizer loads with
`AutoTokenizer`):

    from pathlib import Path
    from cosmos_train.train.starting import load_any

    trained, model = load_any(Path("FOLDER"))
"""
