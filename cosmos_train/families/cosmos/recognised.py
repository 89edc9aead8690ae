"""The architecture of a plain CLIP or COSMOS from its file alone: released weights, or a folder for open_clip.

So a checkpoint can be evaluated without a recipe. Costs reading the names and shapes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from cosmos_train.errors import UserError
from cosmos_train.families.base import Trained
from cosmos_train.families.cosmos import released
from cosmos_train.families.cosmos.model import Cosmos, build_student
from cosmos_train.recipe import Recipe
from cosmos_train.recipe import build as build_recipe
from cosmos_train.stream.tokenizer import Tokenizer

_HEAD = 64  # width of a head: not visible in shapes, but the same in all CLIPs
CONFIG = "open_clip_config.json"
_VISION = ("layers", "width", "head_width", "patch_size", "mlp_ratio")


def recipe_of_state(state: Mapping[str, Tensor], source: Path) -> Recipe:
    """The settings of released weights (`released.read`). Raises UserError if they are not a vision transformer's."""
    try:
        conv, words = state["visual.conv1.weight"], state["token_embedding.weight"]
        places, context = state["visual.positional_embedding"], state["positional_embedding"]
        side = round((len(places) - 1) ** 0.5)
        vision, text = conv.shape[0], words.shape[1]
        if conv.ndim != 4 or side**2 != len(places) - 1 or vision % _HEAD or text % _HEAD:
            raise ValueError(f"its towers are {vision} and {text} wide, with {len(places)} positions")
        config = {
            "layers": _layers(state, "visual.transformer.resblocks."), "width": vision, "patch_size": conv.shape[-1],
            "head_width": _HEAD, "mlp_ratio": state["visual.transformer.resblocks.0.mlp.c_fc.weight"].shape[0] / vision,
        }  # fmt: skip
        reader = {
            "context_length": len(context), "width": text, "heads": text // _HEAD,
            "layers": _layers(state, "transformer.resblocks."),
        }  # fmt: skip
        embedding, vocabulary = state["text_projection"].shape[1], len(words)
    except (KeyError, ValueError, IndexError) as error:
        raise UserError(
            f"{source} is not a CLIP or COSMOS with a vision transformer: {error}",
            "give a file as the authors released it, a run, or a folder of `cosmos_train export`",
        ) from error
    return _recipe(source, side * conv.shape[-1], config, reader, embedding, vocabulary)


def load(path: Path) -> tuple[Trained, Cosmos]:
    """Both halves of a file as released, without a recipe. UserError if it is not one, or not with CLIP's tokenizer."""
    state = released.read(path)["student"]
    recipe, tokenizer = recipe_of_state(state, path), Tokenizer.clip()
    if recipe.model.language.vocabulary <= tokenizer.end:
        raise UserError(
            f"{path} has {recipe.model.language.vocabulary} tokens, CLIP's tokenizer has {tokenizer.end + 1}",
            "a model with its own tokenizer can be used as a run, or as a folder of `cosmos_train export`",
        )
    model = Cosmos(build_student(recipe.model, recipe.data.image.size, tokenizer.end))
    released.start(model, path)
    return Trained(path, recipe, tokenizer, 0, ""), model.eval()


def recipe_of_folder(folder: Path) -> tuple[Recipe, bool]:
    """The settings in `open_clip_config.json`, and whether activations are OpenAI's (quick GELU). Raises UserError."""
    path = folder / CONFIG
    try:
        whole = json.loads(path.read_text())
        model, pixels = whole["model_cfg"], whole.get("preprocess_cfg", {})
        vision, text = dict(model["vision_cfg"]), dict(model["text_cfg"])
        size = vision.pop("image_size")
        config = {name: vision.pop(name) for name in _VISION if name in vision}
        reader = {name: text.pop(name) for name in ("context_length", "width", "heads", "layers")}
        vocabulary = text.pop("vocab_size")
        end = text.pop("eos_id", vocabulary - 1)
        for name in ("pool_type", "hf_tokenizer_name", "tokenizer_kwargs"):  # the folder's tokenizer.json says it all
            text.pop(name, None)
        if vision or text or not isinstance(size, int):
            raise ValueError(f"{', '.join([*vision, *text]) or 'image_size'} is not a field of a plain CLIP")
        recipe = _recipe(folder, size, config, reader, model["embed_dim"], vocabulary, _statistics(pixels))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} does not describe a CLIP with a vision transformer: {error}",
            "give a folder that `cosmos_train export` of a COSMOS wrote, or open_clip of a ViT",
        ) from error
    if not 0 < end < vocabulary:
        raise UserError(f"{path}: eos_id {end} is outside the vocabulary", "export the model again")
    return recipe, bool(model.get("quick_gelu", False))


def _statistics(pixels: dict[str, Any]) -> dict[str, list[float]]:
    """Mean and deviation of pixels, where they are named. ValueError for another way to prepare pictures."""
    if (way := pixels.get("resize_mode", "shortest")) != "shortest":
        raise ValueError(f"its pictures are resized by {way}, not by their shorter side")
    if (way := pixels.get("interpolation", "bicubic")) != "bicubic":
        raise ValueError(f"its pictures are resized by {way}, not bicubic")
    return {name: pixels[name] for name in ("mean", "std") if name in pixels}


def end_of_folder(folder: Path, vocabulary: int) -> int:
    """The id where texts are pooled."""
    return int(json.loads((folder / CONFIG).read_text())["model_cfg"]["text_cfg"].get("eos_id", vocabulary - 1))


def _layers(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)})


def _recipe(
    source: Path,
    size: int,
    vision: dict[str, Any],
    text: dict[str, Any],
    embedding: int,
    vocabulary: int,
    statistics: Mapping[str, list[float]] = MappingProxyType({}),
) -> Recipe:
    values = {
        "name": source.stem,
        "data": {"form": "views", "max_tokens": text["context_length"], "image": {"size": size}},
        "model": {
            "kind": "cosmos",
            "vision": {"config": vision, "frozen": False, **statistics},
            "language": {"config": text, "vocabulary": vocabulary},
            "embedding_width": embedding,
        },
        "train": {"steps": 1, "batch_size": 1},
    }
    return build_recipe(values, (), str(source))
