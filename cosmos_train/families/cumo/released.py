"""Weights of CuMo as its authors released them: the names of LLaVA with a Hugging Face CLIP, and experts one by one.

The tower's last layer is left out: nothing reads its output. Tokens that our tokenizer adds keep the rows that were
drawn. Costs a copy of what is stacked: experts, and the three projections of attention in the tower.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from cosmos_train.families.cumo.model import CuMo
from cosmos_train.models.weights import fill, read_weights, weight_names

_TOWER = "model.vision_tower.vision_model."
_LAYER = f"{_TOWER}encoder.layers."
_CONNECTOR = "model.mm_projector."
_EMBEDDED = {
    "class_embedding": "embeddings.class_embedding",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_pre.weight": "pre_layrnorm.weight",  # as it is spelt there
    "ln_pre.bias": "pre_layrnorm.bias",
}
_IN_LAYER = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj"}
_STACKED = {"first": ("fc1", "0"), "second": ("fc2", "2")}  # of experts: names in the tower and in the connector
_VOCABULARY = ("lm.model.embed_tokens.weight", "lm.lm_head.weight")
_GROWN = re.compile(r"lm\.model\.layers\.(\d+)\.mlp\.(gate\.weight|experts\.(gate_up_proj|down_proj))")


def recognises(path: Path) -> bool:
    return f"{_TOWER}embeddings.class_embedding" in weight_names(path)


def start(model: CuMo, path: Path) -> None:
    """Loads released weights. Raises UserError if they are of another architecture."""
    state = converted(read_weights(path), model)
    fill(model, state, path, "use a recipe with its scales, experts and language model")


def converted(released: Mapping[str, Tensor], model: CuMo) -> dict[str, Tensor]:
    """Our names and layout; tensors that are absent in the file are left out."""
    own = model.state_dict()
    found: dict[str, Tensor] = {}
    for name, tensor in own.items():
        part = _part(name, released)
        if part is not None:
            found[name] = _grown(part, tensor) if name in _VOCABULARY else part
    return found


def _grown(part: Tensor, own: Tensor) -> Tensor:
    """The rows of the file, then those that our tokenizer's tokens add."""
    if part.shape[0] >= own.shape[0] or part.shape[1:] != own.shape[1:]:
        return part
    return torch.cat([part.to(own.dtype), own[len(part) :].detach().to(part.device)])


def _part(name: str, released: Mapping[str, Tensor]) -> Tensor | None:
    top, _, rest = name.partition(".")
    if top == "lm":
        return _of_lm(rest, name, released)
    if top == "connector":
        return _of_mlp(_CONNECTOR, rest, 1, released)
    if rest in _EMBEDDED:
        return released.get(_TOWER + _EMBEDDED[rest])
    _, _, number, within = rest.split(".", 3)
    prefix = f"{_LAYER}{number}."
    if within.startswith("attn.in_proj_"):
        kind = within.removeprefix("attn.in_proj_")
        return _joined([f"{prefix}self_attn.{one}_proj.{kind}" for one in "qkv"], released, torch.cat)
    if within.startswith("mlp."):
        return _of_mlp(prefix, within.removeprefix("mlp."), 0, released)
    module, _, kind = within.rpartition(".")
    return released.get(f"{prefix}{_IN_LAYER[module]}.{kind}")


def _of_mlp(prefix: str, within: str, place: int, released: Mapping[str, Tensor]) -> Tensor | None:
    """Of a dense network, or of experts. place: which of the names in `_STACKED`."""
    if within == "gate.weight":
        return released.get(f"{prefix}{within}")
    stacked, _, bias = within.partition("_")
    if stacked in _STACKED:
        layer, kind = _STACKED[stacked][place], bias or "weight"
        experts = 0
        while f"{prefix}experts.{experts}.{layer}.{kind}" in released:
            experts += 1
        return _joined([f"{prefix}experts.{e}.{layer}.{kind}" for e in range(experts)], released, torch.cat)
    dense = within.replace("c_fc.", "mlp.fc1.").replace("c_proj.", "mlp.fc2.")
    return released.get(f"{prefix}{dense}")


def _of_lm(rest: str, name: str, released: Mapping[str, Tensor]) -> Tensor | None:
    if rest in released:
        return released[rest]
    if (grown := _GROWN.fullmatch(name)) is None:
        return None
    # A Mixtral's experts, one by one: w1 gates, w3 is multiplied with it, w2 leads back.
    block = f"model.layers.{grown[1]}.block_sparse_moe."
    if grown[2] == "gate.weight":
        return released.get(f"{block}gate.weight")
    experts = 0
    while f"{block}experts.{experts}.w1.weight" in released:
        experts += 1
    if grown[3] == "down_proj":
        return _joined([f"{block}experts.{e}.w2.weight" for e in range(experts)], released, torch.stack)
    both = [
        _joined([f"{block}experts.{e}.{w}.weight" for w in ("w1", "w3")], released, torch.cat) for e in range(experts)
    ]
    whole = [one for one in both if one is not None]
    return torch.stack(whole) if whole and len(whole) == len(both) else None


def _joined(
    names: Iterable[str], released: Mapping[str, Tensor], join: Callable[[list[Tensor]], Tensor]
) -> Tensor | None:
    parts = [released.get(name) for name in names]
    there = [part for part in parts if part is not None]
    return join(there) if there and len(there) == len(parts) else None
