"""A trained model as a folder in Hugging Face's style, whole in itself: nothing is looked up when it is read again.

    OUT/   config.json  model*.safetensors  tokenizer.json  tokenizer_config.json  preprocessor_config.json  README.md

config.json holds the recipe with the language model's and the tower's own configs spelled out in place of names, and
what the model was trained on. Costs one copy of the weights on disk.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import nn

from cosmos_train import recipe as recipes
from cosmos_train.errors import UserError
from cosmos_train.families.cosmo.model import CosMo, build_cosmo
from cosmos_train.families.cosmos import export as cosmos_export
from cosmos_train.models.backends import open_clip, transformers
from cosmos_train.models.settings import VisionSettings
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import END_OF_CHUNK, VISUAL, Tokenizer
from cosmos_train.train.checkpoint import Loaded, State

FORMAT_VERSION = 1
Part = Literal["teacher", "student"]
Kind = Literal["cosmo", "cumo"]
Model = TypeVar("Model", bound=nn.Module)
_NAMES: dict[str, str] = {"cosmo": "CosMo", "cumo": "CuMo"}
_SHARD = "5GB"  # a weights file grows no larger


def export(checkpoint: Path, out: Path, average: bool = False, part: Part = "teacher") -> Path:
    """Writes the model of a checkpoint (its folder, or a run's) to the new folder `out`; average: its averaged weights.

    part: which half of a COSMOS is its plain CLIP.

    Raises UserError where there is no checkpoint, `out` holds something, or the disk refuses.
    """
    from cosmos_train.families.cosmos.model import Cosmos
    from cosmos_train.families.cumo import export as cumo_export
    from cosmos_train.families.cumo.model import CuMo
    from cosmos_train.train.starting import load_any

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is not empty", "give a new folder", 2)
    loaded, model = load_any(checkpoint, average)
    try:
        out.mkdir(parents=True, exist_ok=True)
        if isinstance(model, Cosmos):
            cosmos_export.write(out, loaded, model, part)
        elif isinstance(model, CuMo):
            cumo_export.write(out, loaded, model)
        elif isinstance(model, CosMo):
            write(out, loaded, model)
    except (OSError, RuntimeError) as error:  # torch and safetensors say a full disk each in their own way
        raise UserError(f"cannot write to {out}: {error}", "make room, remove the folder, then export again") from error
    return out


def write(out: Path, loaded: Loaded, model: CosMo) -> None:
    """Everything but config.json first: a folder with one is whole."""
    recipe = standalone(loaded.recipe, model)
    write_folder(out, loaded, model, "cosmo", recipe, preprocessor(recipe, model), _card(loaded, recipe, model))


def write_folder(
    out: Path, loaded: Loaded, model: nn.Module, kind: Kind, recipe: Recipe, processor: dict[str, Any], card: str
) -> None:
    """Everything but config.json first: a folder with one is whole. recipe: with configs in place of names."""
    from huggingface_hub import save_torch_state_dict

    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_torch_state_dict(state, str(out), max_shard_size=_SHARD)
    _write_tokenizer(out, loaded.tokenizer)
    _write_json(out / "preprocessor_config.json", processor)
    config = {
        "model_type": kind,
        "architectures": [_NAMES[kind]],
        "format_version": FORMAT_VERSION,
        "special_tokens": loaded.tokenizer.names,
        "trained_on": {"recipe": loaded.recipe.name, "step": loaded.state.step, "shards": loaded.state.corpus},
        "recipe": recipe.model_dump(mode="json"),
    }
    (out / "README.md").write_text(card)
    _write_json(out / "config.json", config)


def kind_of(path: Path) -> Kind | None:
    """Of an exported folder; None where it is none."""
    config = path / "config.json"
    if not config.is_file():
        return None
    try:
        found = json.loads(config.read_text())
    except ValueError:
        return None
    kind = found.get("model_type") if isinstance(found, dict) and "format_version" in found else None
    return kind if kind in _NAMES else None


def load(folder: Path) -> tuple[Loaded, CosMo]:
    """The CosMo of an exported folder, on the CPU and ready to be asked. UserError where it is not one, or damaged."""
    return load_folder(folder, "cosmo", build_cosmo)


def load_folder(folder: Path, kind: Kind, build: Callable[[Recipe, Tokenizer], Model]) -> tuple[Loaded, Model]:
    """The model of an exported folder of a kind, made by `build`."""
    if kind_of(folder) != kind:
        raise UserError(f"{folder} is no exported {_NAMES[kind]}", "make one: cosmos_train export RUN FOLDER", 2)
    from huggingface_hub import load_torch_model

    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        if config["format_version"] != FORMAT_VERSION:
            raise ValueError(f"its format is {config['format_version']}, known is {FORMAT_VERSION}")
        recipe = recipes.build(config["recipe"], (), str(folder / "config.json"))
        tokenizer = Tokenizer.load(folder / "tokenizer.json", config["special_tokens"])
        trained = config["trained_on"]
        state = State(int(trained["step"]), {}, 0, str(trained["shards"]), dict(config["special_tokens"]))
        random = torch.get_rng_state()  # the weights that are drawn here are all overwritten
        model = build(recipe, tokenizer)
        torch.set_rng_state(random)
        # Weights that are one tensor under two names are kept once.
        found: Any = load_torch_model(model, str(folder), strict=False, weights_only=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"the exported model {folder} is damaged: {error}", "export it again") from error
    shared = {name for names in _shared(model) for name in names}
    missing = [name for name in (*found.missing_keys, *found.unexpected_keys) if name not in shared]
    if missing:
        raise UserError(f"the exported model {folder} is damaged: it lacks {missing[0]}", "export it again")
    return Loaded(folder, recipe, state, tokenizer), model.eval()


def standalone(recipe: Recipe, model: CosMo) -> Recipe:
    """The recipe with configs in place of names, and without the places where its data lay."""
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


def without_names(recipe: Recipe, vision: VisionSettings, lm: Any) -> Recipe:
    """The recipe with this tower and the language model's config, without the places where its data and start lay."""
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
    config = open_clip().get_model_config(name)
    fields = {"quick_gelu": bool(config.get("quick_gelu", False)), **config["vision_cfg"]}
    return fields | ({"timm_model_pretrained": False} if fields.get("timm_model_name") else {})


def preprocessor(recipe: Recipe, model: CosMo) -> dict[str, Any]:
    """How frames are prepared, in the words of Hugging Face's CLIPImageProcessor, and how many a clip had."""
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


def _write_tokenizer(out: Path, tokenizer: Tokenizer) -> None:
    names = tokenizer.names
    transformers().PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend,
        bos_token=names["begin"],
        eos_token=names["end"],
        pad_token=names["pad"],
        additional_special_tokens=[VISUAL, END_OF_CHUNK],
    ).save_pretrained(str(out))
    tokenizer.save(out / "tokenizer.json")  # as we write it: what is read back is what was trained


def _shared(model: nn.Module) -> list[list[str]]:
    """Names of parameters that are one tensor."""
    found: dict[int, list[str]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        found.setdefault(id(tensor), []).append(name)
    return [names for names in found.values() if len(names) > 1]


def _card(loaded: Loaded, recipe: Recipe, model: CosMo) -> str:
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    lm = recipe.model.language.config["model_type"]
    return f"""# {loaded.recipe.name}

A CosMo of {millions:.1f} M parameters ({lm} language model), trained for {loaded.state.step} steps on the shards with
signature `{loaded.state.corpus[:16]}`. It captions and embeds material like that which it was trained on; on other
material its words mean nothing.

    cosmos_train generate FOLDER frame0.jpg frame1.jpg

As the captioner of a build: `caption: {{engine: "checkpoint:FOLDER"}}` in an interlink recipe.
"""


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")
