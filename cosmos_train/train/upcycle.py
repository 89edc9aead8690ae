"""`cosmos_train upcycle`: a trained model whose feed-forward networks become experts, as a checkpoint to begin with.

All experts are copies, so the function stays the same whatever the gates say; that is checked on drawn inputs, in fp32
and in fp64, before anything is written. Costs the model three times in memory.
"""

from __future__ import annotations

import copy
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from cosmos_train.errors import UserError
from cosmos_train.families.cosmo.model import CosMo
from cosmos_train.families.cosmos.model import Cosmos
from cosmos_train.families.cumo.model import CuMo
from cosmos_train.models.moe import expert_layers, mixtures
from cosmos_train.models.settings import ExpertSettings
from cosmos_train.train import checkpoint
from cosmos_train.train.checkpoint import Saver
from cosmos_train.train.export import kind_of
from cosmos_train.train.parallel import World
from cosmos_train.train.starting import load_any

LARGEST = {torch.float32: 1e-6, torch.float64: 1e-12}  # relative difference that is rounding


@dataclass(frozen=True)
class Upcycled:
    """blocks: mixtures made; parameters before and after, and of those after in use by a token; the largest differences
    of outputs, relative to the largest output, by number type."""

    checkpoint: Path
    blocks: int
    dense: int
    sparse: int
    active: int
    differences: dict[str, float]


def settings_for(source: Path, experts: int, top_k: int, places: str) -> ExpertSettings:
    """What the command's options say; without `places`, all that the kind of model has but its LM's. UserError."""
    kind = kind_of(source) or checkpoint.load(source).recipe.model.kind
    defaults = {"cosmo": "vision", "cosmos": "vision,text", "cumo": "vision,connector"}
    named = [place.strip() for place in (places or defaults[kind]).split(",")]
    try:
        return ExpertSettings.model_validate({"count": experts, "top_k": top_k, "places": named})
    except ValidationError as error:
        raise UserError(f"--places {places}, --top-k {top_k}: {error.errors()[0]['msg']}", "see --help", 2) from None


def upcycle(source: Path, out: Path, settings: ExpertSettings, seed: int = 0) -> Upcycled:
    """Writes the model of a run or checkpoint with experts to the new folder `out`.

    Raises UserError where it has experts already, a place has no networks to copy, or outputs differ.
    """
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty", "give a new folder", 2)
    loaded, dense = load_any(source)
    if mixtures(dense):
        raise UserError(f"{source} has experts already", "give a dense model", 2)
    torch.manual_seed(seed)
    sparse = copy.deepcopy(dense)
    blocks = expert_layers(sparse, settings)
    differences = {}
    for dtype, most in LARGEST.items():
        found = difference(dense, sparse, dtype)
        differences[str(dtype).removeprefix("torch.")] = found
        if not found < most:
            raise UserError(f"the outputs differ by {found:.1e} in {dtype}: nothing was written", "report it")
    dense.float()
    sparse.float()
    recipe = loaded.recipe
    recipe = recipe.model_copy(
        update={
            "model": recipe.model.model_copy(update={"experts": settings}),
            "train": recipe.train.model_copy(update={"start_from": ""}),
        }
    )
    state = checkpoint.State(
        0, {}, 0, loaded.state.corpus, loaded.state.tokenizer
    )  # steps begin anew: only its weights are of use
    with closing(Saver(out, recipe, loaded.tokenizer, World(0, 1, 1, torch.device("cpu")))) as saver:
        saver.save(state, checkpoint.tensors_of(sparse))
        written = saver.wait()
    assert written is not None
    total = sum(p.numel() for p in sparse.parameters())
    unused = sum(
        (one.first.numel() + one.second.numel()) * (one.experts - one.top_k) // one.experts for one in mixtures(sparse)
    )
    return Upcycled(written, blocks, sum(p.numel() for p in dense.parameters()), total, total - unused, differences)


@torch.no_grad()
def difference(one: nn.Module, other: nn.Module, dtype: torch.dtype) -> float:
    """The largest difference of two models' outputs on drawn inputs, relative to the largest output."""
    found, same = (outputs(model.to(dtype).eval()) for model in (one, other))
    pairs = zip(found, same, strict=True)
    return max(float((a - b).abs().max() / a.abs().max().clamp(min=1e-30)) for a, b in pairs)


def outputs(model: Any) -> list[Tensor]:
    """What a model of any kind makes of inputs drawn with a fixed seed."""
    draw = torch.Generator().manual_seed(0)

    def pictures(size: int) -> Tensor:
        return torch.randint(0, 256, (2, 3, size, size), generator=draw, dtype=torch.uint8)

    def ids(length: int, most: int) -> Tensor:
        return torch.randint(5, most, (2, length), generator=draw)

    if isinstance(model, Cosmos):
        images = model.student.images(model.normalised(pictures(model.student.visual.size)))
        words = ids(model.student.context, model.student.token_embedding.num_embeddings)
        words[:, -1] = model.student.end
        texts = model.student.texts(words)
        return [images.pooled, images.tokens, texts.pooled, texts.tokens]
    if isinstance(model, CuMo):
        words = ids(model.image_tokens + 8, int(model.lm.get_input_embeddings().num_embeddings))
        words[words == model.visual_token] = 5
        words[:, 1 : 1 + model.image_tokens] = model.visual_token
        size = model.vision.size * max(model.scales)
        return [model(pictures(size), words, torch.ones_like(words, dtype=torch.bool))]
    assert isinstance(model, CosMo)
    media = model.encode_media(
        pictures(model.vision.size),
        torch.ones(2, 1, 1, dtype=torch.bool),
        torch.zeros(2, 1, 1).to(model.log_scale.dtype),
    )
    words = ids(8, int(model.language.lm.get_input_embeddings().num_embeddings))
    words[:, 1] = model.visual_token
    logits, states = model(words, media.tokens)
    return [media.query, logits, states]
