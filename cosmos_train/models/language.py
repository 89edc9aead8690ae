"""Any Hugging Face causal LM, split at a depth, with gated cross-attention before layers of its second half.

The LM itself is not changed: blocks are called by hooks before its layers, so its parameter names stay Hugging Face's.
Cost over the plain LM: the blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cosmos_train.errors import UserError
from cosmos_train.models.backends import transformers
from cosmos_train.models.fusion import GatedCrossAttentionBlock
from cosmos_train.recipe import FusionSettings, LanguageSettings
from cosmos_train.stream.tokenizer import Tokenizer

# Where the families keep the module that holds their layers: OPT; Llama, Mistral, Qwen, Mixtral; GPT-NeoX.
_STACKS = ("model.decoder", "model", "gpt_neox")


class LanguageModel(nn.Module):
    """Right-padded token ids (B, L) in; logits (B, L, V) and the hidden states after the first half (B, L, D) out."""

    def __init__(self, lm: Any, media_width: int, fusion: FusionSettings, paper_compat: bool = False) -> None:
        super().__init__()
        self.lm = lm
        self.width = int(lm.config.hidden_size)
        stack = _find_stack(lm)
        layers = stack.layers
        depth = fusion.unimodal_depth
        if depth >= len(layers):
            raise UserError(
                f"model.fusion.unimodal_depth is {depth}, but the language model has {len(layers)} layers",
                "split it before its last layer",
                2,
            )
        self.blocks = nn.ModuleDict()
        for number in range(depth, len(layers), fusion.interval):
            block = GatedCrossAttentionBlock(self.width, media_width, fusion, paper_compat)
            self.blocks[str(number)] = block
            layers[number].register_forward_pre_hook(self._fuse_with(block), with_kwargs=True)
        layers[depth - 1].register_forward_hook(self._keep_states)
        self._parts = (stack, layers, layers[:depth])  # in a tuple: they are registered below `lm` already
        self._media: tuple[Tensor, Tensor] | None = None
        self._states: Tensor | None = None

    def forward(self, tokens: Tensor, media: Tensor, text_time: Tensor) -> tuple[Tensor, Tensor]:
        """media (B, T, n, M); text_time (B, L): how many media come before or at each token.

        Padding is on the right, so causality alone keeps it from the tokens before it: no mask is passed.
        """
        self._media = (media, text_time)
        try:
            logits = self.lm(input_ids=tokens, use_cache=False).logits
        finally:
            self._media = None
        return logits, self._take_states()

    def first_half(self, tokens: Tensor) -> Tensor:
        """The hidden states (B, L, D) after the first half, which sees no media; the second half is not run."""
        with self._only_first_half():
            self._parts[0](input_ids=tokens, use_cache=False)
        return self._take_states()

    @contextmanager
    def _only_first_half(self) -> Iterator[None]:
        stack, layers, first = self._parts
        stack.layers = first
        try:
            yield
        finally:
            stack.layers = layers

    def _fuse_with(self, block: GatedCrossAttentionBlock) -> Callable[..., Any]:
        def fuse(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            if self._media is None:
                raise RuntimeError("the second half runs only with media")
            if args:
                return (block(args[0], *self._media), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": block(kwargs["hidden_states"], *self._media)}

        return fuse

    def _keep_states(self, _: nn.Module, __: Any, output: Any) -> None:
        self._states = output[0] if isinstance(output, tuple) else output

    def _take_states(self) -> Tensor:
        states, self._states = self._states, None
        if states is None:
            raise RuntimeError("the language model did not run its first half")
        return states


def build_lm(settings: LanguageSettings, tokenizer: Tokenizer) -> Any:
    """The Hugging Face causal LM the settings name, with a row for every token. UserError where it cannot be made."""
    library = transformers()
    if settings.name:
        try:
            lm = library.AutoModelForCausalLM.from_pretrained(settings.name, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise UserError(
                f"cannot load the language model {settings.name}: {error}",
                "name a hub id that is at hand, or a local folder",
            ) from error
        if lm.get_input_embeddings().num_embeddings < tokenizer.size:
            lm.resize_token_embeddings(tokenizer.size)
        return lm
    fields = dict(settings.config)
    family = fields.pop("model_type", "opt")
    ids = {"bos_token_id": tokenizer.begin, "eos_token_id": tokenizer.end, "pad_token_id": tokenizer.pad}
    try:
        config = library.AutoConfig.for_model(family, vocab_size=tokenizer.size, **ids, **fields)
        return library.AutoModelForCausalLM.from_config(config)
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"model.language.config: {error}", "its keys are the fields of the family's Hugging Face config", 2
        ) from error


def _find_stack(lm: nn.Module) -> Any:
    for path in _STACKS:
        module: Any = lm
        for name in path.split("."):
            module = getattr(module, name, None)
        if isinstance(getattr(module, "layers", None), nn.ModuleList):
            return module
    raise UserError(
        f"{type(lm).__name__} keeps its layers where we do not look", f"known places: {', '.join(_STACKS)}", 2
    )
