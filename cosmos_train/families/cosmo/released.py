"""Weights of CosMo as its authors released them: OpenFlamingo's names, some tensors under two.

CLIP's text tower and the projection of its image tower are left out: nothing reads them. The code adds six tokens to
the language model's; those that ours has too are taken over. Costs one read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from cosmos_train.families.cosmo.model import CosMo
from cosmos_train.models.weights import fill, read_weights, weight_names

_ADDED = 6  # tokens, after those of the language model's tokenizer: <|endofchunk|>, <visual>, and four for chats
_END_OF_CHUNK, _VISUAL = 0, 1

_PLAIN = {
    "temperature": "log_scale",
    "text_latent": "text_query.query",
    "img_to_latents.to_latents.weight": "project_media.weight",
    "text_to_latents.to_latents.weight": "project_text.weight",
    "text_cls_norm.gamma": "text_query.norm.weight",
    "text_cls_norm.beta": "text_query.norm.bias",
}
_PREFIXES = {
    "vision_encoder.visual.": "vision.tower.",
    "text_learn_attnetion_layer.": "text_query.attention.",  # as it is spelt there
    "text_learn_ff.": "text_query.feed_forward.",
}
_PERCEIVER = re.compile(r"perceiver\.layers\.(\d+)\.([01])\.(.+)")
_BLOCK = re.compile(r"lang_model\.(?:.*\.layers\.(\d+)\.gated_cross_attn_layer|gated_cross_attn_layers\.(\d+))\.(.+)")
_ALIAS = re.compile(r"lang_model\.old_decoder_blocks\.(\d+)\.(.+)")
_IN_BLOCK = {
    "attn_gate": "attention_gate", "ff_gate": "feed_forward_gate", "attn.": "attention.", "ff.": "feed_forward.",
}  # fmt: skip


def recognises(path: Path) -> bool:
    return {"perceiver.latents", "text_latent"} <= weight_names(path)


def start(model: CosMo, path: Path) -> None:
    """Loads released weights. Raises UserError if they are of another architecture."""
    fill(
        model,
        converted(read_weights(path), model),
        path,
        "use the recipe of its size with model.resampler.frame_time=false (model.paper_compat=true computes as there)",
    )


def converted(released: Mapping[str, Tensor], model: CosMo) -> dict[str, Tensor]:
    """Our names; tensors that are absent in the file are left out, and those that the model has no place for."""
    own: dict[str, Tensor] = model.state_dict(keep_vars=True)
    stack = next(name for name in own if name.startswith("language.lm.") and ".layers." in name).partition("layers.")[0]
    named = ((_name(name, stack), tensor) for name, tensor in released.items())
    found = {name: tensor for name, tensor in named if name in own}
    for name, other in _tied(own):
        if name in found:
            found.setdefault(other, found[name])
    words = _vocabulary(found, own, model)
    return {name: tensor.detach() for name, tensor in (found | words).items()}


def _name(name: str, stack: str) -> str:
    """Our name of a released tensor; stack: the path of the language model's layers, with a dot at its end."""
    if name in _PLAIN:
        return _PLAIN[name]
    for old, new in _PREFIXES.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    if found := _PERCEIVER.fullmatch(name):
        return f"resampler.layers.{found[1]}.{('attention', 'feed_forward')[int(found[2])]}.{found[3]}"
    if name.startswith("perceiver."):
        return f"resampler.{name.removeprefix('perceiver.')}"
    if found := _BLOCK.fullmatch(name):
        old = next((one for one in _IN_BLOCK if found[3].startswith(one)), found[3])
        return f"language.blocks.{found[1] or found[2]}.{_IN_BLOCK.get(old, old)}{found[3].removeprefix(old)}"
    if found := _ALIAS.fullmatch(name):
        return f"{stack}layers.{found[1]}.{found[2]}"
    return name.replace("lang_model.", "language.lm.", 1).replace(".decoder_layer.", ".")


def _tied(own: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    """Pairs of names of one tensor, both ways round."""
    names: dict[int, list[str]] = {}
    for name, tensor in own.items():
        names.setdefault(id(tensor), []).append(name)
    return [(one, other) for several in names.values() for one in several for other in several if one != other]


def _vocabulary(found: Mapping[str, Tensor], own: Mapping[str, Tensor], model: CosMo) -> dict[str, Tensor]:
    """Embedding and head with their rows where our tokenizer has them, and the learnable rows of new tokens."""
    lm = model.language.lm
    matrices = {"input": lm.get_input_embeddings().weight, "output": lm.get_output_embeddings().weight}
    words: dict[str, Tensor] = {}
    for name, tensor in own.items():
        for side, matrix in matrices.items():
            if tensor is not matrix or name not in found:
                continue
            rows = found[name]
            base = len(rows) - _ADDED
            if rows.shape[1:] != tensor.shape[1:] or not 0 < base <= len(tensor):
                continue  # of another language model: the error names it
            ours = model.visual_token, model.visual_token + 1  # as `Tokenizer` adds them
            added = rows[[base + _VISUAL, base + _END_OF_CHUNK]]
            words[name] = tensor.detach().clone()
            words[name][:base] = rows[:base].to(tensor.dtype)
            words[name][list(ours)] = added.to(tensor.dtype)
            if f"language.new_rows.{side}" in own:
                words[f"language.new_rows.{side}"] = added
    return words
