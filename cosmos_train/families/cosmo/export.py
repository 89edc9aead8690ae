"""Exports a CosMo as a folder in Hugging Face's style. Reading it back gives equal logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cosmos_train.families.base import Trained
from cosmos_train.families.cosmo import KIND, NAME
from cosmos_train.families.cosmo.model import CosMo, build_cosmo
from cosmos_train.families.folder import load_folder, tower_config, without_names, write_folder
from cosmos_train.recipe import Recipe


def write(out: Path, trained: Trained, model: CosMo) -> None:
    """Writes into an existing folder."""
    recipe = standalone(trained.recipe, model)
    card = _card(trained, recipe, model)
    write_folder(out, trained, model, KIND, NAME, recipe, preprocessor(recipe, model), card)


def load(folder: Path) -> tuple[Trained, CosMo]:
    """Loads an exported CosMo on the CPU, in evaluation mode. UserError if the folder is not one, or damaged."""
    return load_folder(folder, KIND, NAME, build_cosmo)


def standalone(recipe: Recipe, model: CosMo) -> Recipe:
    """The recipe with configs in place of names, and without the paths of its data."""
    settings = recipe.model
    vision = settings.vision.model_copy(
        update={
            "name": "",
            "pretrained": "",
            "config": tower_config(settings.vision.name) if settings.vision.name else settings.vision.config,
            "mean": model.vision.mean,
            "std": model.vision.std,
        }
    )
    return without_names(recipe, vision, model.language.lm)


def preprocessor(recipe: Recipe, model: CosMo) -> dict[str, Any]:
    """How frames are prepared, in the fields of Hugging Face's CLIPImageProcessor, and the number of frames per
    clip."""
    image = recipe.data.image
    square = {"height": image.size, "width": image.size}
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": square if image.fit == "squash" else {"shortest_edge": image.size},
        "do_center_crop": image.fit == "crop",
        "crop_size": square,
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(model.vision.mean),
        "image_std": list(model.vision.std),
        "frames_per_clip": recipe.data.frames_per_clip,
    }


def _card(trained: Trained, recipe: Recipe, model: CosMo) -> str:
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    lm = recipe.model.language.config["model_type"]
    return f"""# {trained.recipe.name}

A CosMo of {millions:.1f} M parameters ({lm} language model), trained for {trained.step} steps on the shards with
signature `{trained.shards[:16]}`. It captions and embeds material like that which it was trained on; on other
material its words mean nothing.

    cosmos_train generate FOLDER frame0.jpg frame1.jpg

In Python (`pip install interlink`; transformers' `AutoModel` does not know this architecture, the tokenizer loads with
`AutoTokenizer`):

    from pathlib import Path
    from cosmos_train.train.starting import load_any

    trained, model = load_any(Path("FOLDER"))

As the captioner of a build: `caption: {{engine: "checkpoint:FOLDER"}}` in an interlink recipe.
"""
