"""Any Hugging Face causal LM, split at a depth, with gated cross-attention before layers of its second half.

The LM itself is unchanged: hooks before its layers call the blocks, so its parameter names stay Hugging Face's. The
hooks' input is a keyword argument of each call, which the layers pass along. No state is kept between calls, so
recomputation in backward sees the same input as forward. Cost over the plain LM: the blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cosmos_train.errors import UserError
from cosmos_train.models.fusion import GatedCrossAttentionBlock, View
from cosmos_train.models.settings import FusionSettings, ModelCompat

# Paths of the module that holds the layers: OPT; Llama, Mistral, Qwen, Mixtral; GPT-NeoX.
_STACKS = ("model.decoder", "model", "gpt_neox")
_SIGHT = "cosmo_sight"  # the keyword argument


class _Sight:
    """State of one call: the media that layers may see, and where to store the states at the split."""

    def __init__(self, seen: View | None) -> None:
        self.seen = seen
        self.states: Tensor | None = None

    def take(self) -> Tensor:
        if self.states is None:
            raise RuntimeError("the language model did not run its first half")
        return self.states


class _Split(nn.Module):
    """Replaces the second half if only the first is needed: stores the states that its first layer would see."""

    def forward(self, hidden_states: Tensor, **kwargs: Any) -> Tensor:
        kwargs[_SIGHT].states = hidden_states
        return hidden_states


class NewRows(nn.Module):
    """Learnable rows for some tokens of a frozen LM: in its input embedding and, if untied, in its head."""

    ids: Tensor
    slots: Tensor

    def __init__(self, lm: Any, ids: tuple[int, ...]) -> None:
        super().__init__()
        embedding, head = lm.get_input_embeddings(), lm.get_output_embeddings()
        slots = torch.full((embedding.num_embeddings,), -1)
        slots[list(ids)] = torch.arange(len(ids))
        self.register_buffer("ids", torch.tensor(ids), persistent=False)
        self.register_buffer("slots", slots, persistent=False)
        # A new token starts as the average token, which is harmless to the LM.
        mean = embedding.weight.detach().float().mean(0)
        self.input = nn.Parameter(mean.expand(len(ids), -1).clone())
        tied = head.weight is embedding.weight
        self.output = None if tied else nn.Parameter(head.weight.detach().float().mean(0).expand(len(ids), -1).clone())
        embedding.register_forward_hook(self._embed)
        head.register_forward_hook(self._score)

    def _embed(self, _: nn.Module, args: tuple[Tensor, ...], found: Tensor) -> Tensor:
        slot = self.slots[args[0]]
        own = F.embedding(slot.clamp(min=0), self.input).to(found.dtype)
        return torch.where((slot >= 0)[..., None], own, found)

    def _score(self, _: nn.Module, args: tuple[Tensor, ...], found: Tensor) -> Tensor:
        rows = self.input if self.output is None else self.output
        # In place: logits of a whole vocabulary are too large to copy, and no gradient needs their old values.
        return found.index_copy_(-1, self.ids, F.linear(args[0], rows.to(args[0].dtype)).to(found.dtype))


class LanguageModel(nn.Module):
    """Token ids (B, L) in; logits (B, L, V) and the hidden states after the first half (B, L, D) out."""

    def __init__(
        self,
        lm: Any,
        media_width: int,
        fusion: FusionSettings,
        compat: ModelCompat = ModelCompat(),  # noqa: B008  immutable
        learns: str = "all",
        new_tokens: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.lm = lm
        self.width = int(lm.config.hidden_size)
        self.learns = learns
        stack = find_stack(lm)
        layers = stack.layers
        self.depth = depth = fusion.unimodal_depth
        if depth >= len(layers):
            raise UserError(
                f"model.fusion.unimodal_depth is {depth}, but the language model has {len(layers)} layers",
                "split it before its last layer",
                2,
            )
        if learns != "all":
            lm.requires_grad_(False)
        if learns == "embeddings":
            lm.get_input_embeddings().requires_grad_(True)
        self.new_rows = NewRows(lm, new_tokens) if learns == "new_tokens" else None
        self.blocks = nn.ModuleDict(
            {
                str(number): GatedCrossAttentionBlock(self.width, media_width, fusion, compat)
                for number in range(depth, len(layers), fusion.interval)
            }
        )
        split = depth - 1 if compat.earlier_half else depth
        for number, layer in enumerate(layers):
            layer.register_forward_pre_hook(self._before(number, split), with_kwargs=True)
        # In a tuple, so that they are not registered twice: they are below `lm` already.
        self._parts = (stack, layers, nn.ModuleList([*layers[:split], _Split()]))

    def forward(
        self,
        tokens: Tensor,
        seen: View,
        position: Tensor | None = None,
        attention_mask: Tensor | None = None,
        cache: Any = None,
        last_only: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Without position (B, L) and attention_mask, rows are plain: padding, if any, is on the right.

        Causality alone then hides it from the tokens before it. attention_mask: (B, 1, L, keys) True where a token sees
        another, or Hugging Face's (B, keys), 0 on padding. cache: a Hugging Face cache of the tokens before these; it
        is extended. last_only: logits (B, 1, V) of the last tokens only, enough for a long prompt.
        """
        sight = _Sight(seen)
        rest: dict[str, Any] = {} if cache is None else {"past_key_values": cache}
        if last_only:
            rest["logits_to_keep"] = 1
        logits = self.lm(
            input_ids=tokens,
            position_ids=position,
            attention_mask=attention_mask,
            use_cache=cache is not None,
            **rest,
            **{_SIGHT: sight},
        ).logits
        return logits, sight.take()

    def first_half(
        self, tokens: Tensor, position: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> Tensor:
        """The hidden states (B, L, D) at the split, rows as in `forward`; the second half does not run."""
        sight = _Sight(None)
        with self._only_first_half():
            self._parts[0](
                input_ids=tokens,
                position_ids=position,
                attention_mask=attention_mask,
                use_cache=False,
                **{_SIGHT: sight},
            )
        return sight.take()

    def train(self, mode: bool = True) -> LanguageModel:
        """A frozen LM stays in evaluation mode: no dropout in weights that do not learn."""
        super().train(mode)
        if self.learns != "all":
            self.lm.eval()
        return self

    @contextmanager
    def _only_first_half(self) -> Iterator[None]:
        stack, layers, first = self._parts
        stack.layers = first
        try:
            yield
        finally:
            stack.layers = layers

    def _before(self, number: int, split: int) -> Callable[..., Any]:
        name = str(number)

        def prepare(
            _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            kwargs = dict(kwargs)
            sight: _Sight = kwargs.pop(_SIGHT)
            hidden, rest = (args[0], args[1:]) if args else (kwargs.pop("hidden_states"), ())
            if number == split:
                sight.states = hidden
            if name in self.blocks:
                assert sight.seen is not None, "the second half runs only with media"
                hidden = self.blocks[name](hidden, sight.seen)
            return (hidden, *rest), kwargs

        return prepare


def find_stack(lm: nn.Module) -> Any:
    """The module of a causal LM that holds its layers. UserError if its path is unknown."""
    for path in _STACKS:
        module: Any = lm
        for name in path.split("."):
            module = getattr(module, name, None)
        if isinstance(getattr(module, "layers", None), nn.ModuleList):
            return module
    raise UserError(
        f"{type(lm).__name__} is not supported: its layers are not at a known path",
        f"known paths: {', '.join(_STACKS)}",
        2,
    )
