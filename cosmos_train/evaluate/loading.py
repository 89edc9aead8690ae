"""Loads a checkpoint of any kind for evaluation, in the form a task needs. Costs reading the weights once."""

from __future__ import annotations

from pathlib import Path

import torch

from cosmos_train import recipe as recipes
from cosmos_train.errors import UserError
from cosmos_train.evaluate.embedder import CosMoEmbedder, Embedder, Pair
from cosmos_train.evaluate.functions import LoadEmbedder, resolve
from cosmos_train.evaluate.preprocess import Name
from cosmos_train.evaluate.prompts import Writer
from cosmos_train.evaluate.protocol import Prompts, Protocol
from cosmos_train.evaluate.subject import Subject, load_subject
from cosmos_train.evaluate.tasks import TASKS
from cosmos_train.families.cosmos import recognised, released
from cosmos_train.families.cosmos.model import Cosmos, Student, build_student
from cosmos_train.recipe import Recipe
from cosmos_train.stream.clip_tokenizer import BEGIN as CLIP_BEGIN
from cosmos_train.stream.clip_tokenizer import END as CLIP_END
from cosmos_train.stream.tokenizer import BEGIN, END, PAD, VISUAL, Tokenizer
from cosmos_train.train.parallel import device_of
from cosmos_train.train.starting import family_at, load_any


def load_embedder(path: Path, settings: list[str], protocol: Protocol, part: str, template: str = "") -> Embedder:
    """A model that embeds pictures and texts in one space; part: student or teacher of a COSMOS.

    template: as `protocol.prompts.retrieval`. Raises UserError if its family has none.
    """
    family = family_at(path)
    if not family.evaluation.embedder:
        raise family.cannot("embed pictures and texts in one space", family.instead)
    load: LoadEmbedder = resolve(family.evaluation.embedder)
    return load(path, settings, protocol, part, template or Prompts().retrieval)


def load_cosmo_embedder(path: Path, settings: list[str], protocol: Protocol, part: str, template: str) -> CosMoEmbedder:
    return cosmo_embedder(load_subject(path, settings), protocol, template)


def load_cosmos_embedder(path: Path, settings: list[str], protocol: Protocol, part: str, template: str) -> Pair:
    return load_pair(path, settings, part, protocol.frames, template.replace(VISUAL, ""), protocol.pictures)


def cosmo_embedder(subject: Subject, protocol: Protocol, template: str) -> CosMoEmbedder:
    prompts = protocol.prompts.model_copy(update={"retrieval": template})
    writer = Writer(TASKS["coco-retrieval"], protocol.model_copy(update={"prompts": prompts}), subject.tokenizer)
    return CosMoEmbedder(subject, writer, protocol)


def load_pair(
    path: Path, settings: list[str], part: str, frames: int = 1, template: str = "{text}", pictures: Name = "own"
) -> Pair:
    """The student or teacher of a COSMOS: a run, a checkpoint, a file as released; or a folder that open_clip reads.

    settings: `key=value` of the recipe. Raises UserError if it is none of these.
    """
    if path.is_file():
        half, recipe, tokenizer, part = _released(path, part)
        step = 0
    elif (path / recognised.CONFIG).is_file():
        half, recipe, tokenizer = _open_clip(path)
        step, part = 0, ""
    else:
        trained, model = load_any(path)
        if not isinstance(model, Cosmos):
            raise UserError(f"{path} is not a COSMOS", "give a COSMOS: a run, a checkpoint, or a file as released", 2)
        recipe, tokenizer, step, path = trained.recipe, trained.tokenizer, trained.step, trained.folder
        half = model.teacher if part == "teacher" else model.student
    recipe = recipes.build(recipe.model_dump(), settings, str(path))
    if recipe.train.threads:
        torch.set_num_threads(recipe.train.threads)
    device = device_of(recipe)
    return Pair(half.to(device).eval(), tokenizer, recipe, device, str(path), step, part, frames, template, pictures)


def _released(path: Path, part: str) -> tuple[Student, Recipe, Tokenizer, str]:
    parts = released.read(path)
    part = part if part in parts else "student"
    state = parts[part]
    recipe = recognised.recipe_of_state(state, path)
    if recipe.model.language.vocabulary != len(state["token_embedding.weight"]):
        raise UserError(f"{path} has a vocabulary that is not CLIP's", "give a run instead")
    tokenizer = Tokenizer.clip()
    if recipe.model.language.vocabulary <= tokenizer.end:
        raise UserError(
            f"{path} has {recipe.model.language.vocabulary} tokens, CLIP's tokenizer has {tokenizer.end + 1}",
            "a model with its own tokenizer can be evaluated as a run, or as a folder of `cosmos_train export`",
        )
    half = build_student(recipe.model, recipe.data.image.size, tokenizer.end)
    released.fill(half, state, f"the {part} in {path}")
    return half, recipe, tokenizer, part


def _open_clip(folder: Path) -> tuple[Student, Recipe, Tokenizer]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    recipe, quick = recognised.recipe_of_folder(folder)
    end = recognised.end_of_folder(folder, recipe.model.language.vocabulary)
    weights = folder / "open_clip_model.safetensors"
    try:
        state = load_file(str(weights))
    except (OSError, SafetensorError) as error:
        raise UserError(f"{weights} cannot be read: {error}", "export the model again") from error
    half = build_student(recipe.model, recipe.data.image.size, end)
    for block in [*half.visual.transformer.resblocks, *half.transformer.resblocks]:
        block.mlp.quick = quick
    released.fill(half, released.from_open_clip(state, half), str(weights))
    return half, recipe, _tokenizer(folder)


def _tokenizer(folder: Path) -> Tokenizer:
    """The exported tokenizer, else CLIP's."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return Tokenizer.clip()
    try:
        text = path.read_text(encoding="utf-8")
        if CLIP_BEGIN in text:
            return Tokenizer.load(path, {"begin": CLIP_BEGIN, "end": CLIP_END, "pad": PAD})
        return Tokenizer.load(path, {"begin": BEGIN, "end": END, "pad": PAD})
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} is not a tokenizer: {error}", "export the model again") from error
