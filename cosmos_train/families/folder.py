"""A trained model as a self-contained folder in Hugging Face's style: reading it back needs no other files.

    OUT/   config.json  model*.safetensors  tokenizer.json  tokenizer_config.json  preprocessor_config.json  README.md

config.json holds the recipe, with the configs of language model and tower in place of their names, and what the model
was trained on. Costs one copy of the weights on disk.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from cosmos_train import recipe as recipes
from cosmos_train.errors import UserError
from cosmos_train.families.base import Trained, exported_kind
from cosmos_train.families.words import write_tokenizer
from cosmos_train.models.backends import open_clip
from cosmos_train.models.settings import VisionSettings
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer

FORMAT_VERSION = 1
Model = TypeVar("Model", bound=nn.Module)
_SHARD = "5GB"  # largest size of a weights file


def write_folder(
    out: Path, trained: Trained, model: nn.Module, kind: str, name: str, recipe: Recipe, processor: dict[str, Any],
    card: str,
) -> None:  # fmt: skip
    """Writes config.json last: a folder with one is whole. recipe: with configs in place of names."""
    from huggingface_hub import save_torch_state_dict

    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_torch_state_dict(state, str(out), max_shard_size=_SHARD)
    write_tokenizer(out, trained.tokenizer, recipe.data.max_tokens)
    _write_json(out / "preprocessor_config.json", processor)
    config = {
        "model_type": kind,
        "architectures": [name],
        "format_version": FORMAT_VERSION,
        "special_tokens": trained.tokenizer.names,
        "trained_on": {"recipe": trained.recipe.name, "step": trained.step, "shards": trained.shards},
        "recipe": recipe.model_dump(mode="json"),
    }
    (out / "README.md").write_text(card)
    _write_json(out / "config.json", config)


def load_folder(
    folder: Path, kind: str, name: str, build: Callable[[Recipe, Tokenizer], Model]
) -> tuple[Trained, Model]:
    """Loads an exported folder of a kind into a model from `build`. UserError if it is not one, or damaged."""
    if exported_kind(folder) != kind:
        raise UserError(f"{folder} is not an exported {name}", "export one: cosmos_train export RUN FOLDER", 2)
    from huggingface_hub import load_torch_model

    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        if config["format_version"] != FORMAT_VERSION:
            raise ValueError(f"its format_version is {config['format_version']}, this version reads {FORMAT_VERSION}")
        recipe = recipes.build(config["recipe"], (), str(folder / "config.json"))
        tokenizer = Tokenizer.load(folder / "tokenizer.json", config["special_tokens"])
        about = config["trained_on"]
        trained = Trained(folder, recipe, tokenizer, int(about["step"]), str(about["shards"]))
        random = torch.get_rng_state()  # the weights drawn here are all overwritten
        model = build(recipe, tokenizer)
        torch.set_rng_state(random)
        # Tied weights are saved once.
        found: Any = load_torch_model(model, str(folder), strict=False, weights_only=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"the exported model {folder} is damaged: {error}", "export it again") from error
    shared = {name for names in _shared(model) for name in names}
    missing = [name for name in (*found.missing_keys, *found.unexpected_keys) if name not in shared]
    if missing:
        raise UserError(f"the exported model {folder} is damaged: {missing[0]} is missing", "export it again")
    return trained, model.eval()


def without_names(recipe: Recipe, vision: VisionSettings, lm: Any) -> Recipe:
    """The recipe with this tower and the language model's config, without the paths of its data and initial weights."""
    config = {
        key: value
        for key, value in lm.config.to_diff_dict().items()
        if key not in ("transformers_version", "architectures", "dtype")
    }
    config["model_type"] = lm.config.model_type
    settings = recipe.model
    language = settings.language.model_copy(update={"name": "", "config": config, "trained": settings.language.learns})
    data = recipe.data.model_copy(update={"shards": "", "sources": {}})
    probe = recipe.probe.model_copy(update={"shards": "", "every": 0})
    model = settings.model_copy(update={"language": language, "vision": vision})
    return recipe.model_copy(update={"model": model, "data": data, "probe": probe})


def tower_config(name: str) -> dict[str, Any]:
    """The fields of open_clip's CLIPVisionCfg for a named tower."""
    config = open_clip().get_model_config(name)
    fields = {"quick_gelu": bool(config.get("quick_gelu", False)), **config["vision_cfg"]}
    return fields | ({"timm_model_pretrained": False} if fields.get("timm_model_name") else {})


def _shared(model: nn.Module) -> list[list[str]]:
    """Names that share one tensor."""
    found: dict[int, list[str]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        found.setdefault(id(tensor), []).append(name)
    return [names for names in found.values() if len(names) > 1]


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")
