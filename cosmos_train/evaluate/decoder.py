"""Text generation by the LM's cache: prompts of any lengths run once, each new token costs one pass.

Prompts are padded on the left, so that the next token of every row has the same position. Memory holds the LM's keys
and values of prompts x beams, and for new tokens only the media that they can see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cosmos_train.errors import UserError
from cosmos_train.families.cosmo.model import CosMo
from cosmos_train.models.backends import transformers


@dataclass
class Context:
    """N rows to continue.

    logits (N, V): of the next token; media (N, T, n, D): that a new token may see; seen (N, 1): how many of them;
    mask (N, L): False on padding; length (N, 1): number of tokens so far without padding.
    """

    model: CosMo
    logits: Tensor
    media: Tensor
    seen: Tensor
    mask: Tensor
    length: Tensor
    cache: Any

    def pick(self, rows: Tensor) -> None:
        """Replaces the rows by those with these numbers, in this order; a row may be repeated."""
        self.logits, self.media, self.seen = self.logits[rows], self.media[rows], self.seen[rows]
        self.mask, self.length = self.mask[rows], self.length[rows]
        self.cache.reorder_cache(rows)

    def go_on(self, tokens: Tensor) -> Tensor:
        """Appends tokens (N, L), the same number to each row; returns their logits (N, L, V)."""
        count = tokens.shape[1]
        self.mask = torch.nn.functional.pad(self.mask, (0, count), value=True)
        position = self.length + torch.arange(count, device=tokens.device)
        found: Tensor
        view = self.model.view(self.media, self.seen.expand(-1, count))
        found, _ = self.model.language(tokens, view, position, self.mask.long(), self.cache)
        self.length = self.length + count
        self.logits = found[:, -1]
        return found


def begin(model: CosMo, prompts: Sequence[Sequence[int]], media: Sequence[Tensor], pad: int) -> Context:
    """Runs the prompts. media: per row (T, n, D), one for every `<visual>` of its prompt.

    Raises UserError if a prompt is longer than the language model's context.
    """
    device = media[0].device
    width = max(len(prompt) for prompt in prompts)
    check_length(model, width)
    tokens = torch.full((len(prompts), width), pad, dtype=torch.long)
    mask = torch.zeros(len(prompts), width, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        tokens[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = True
    tokens, mask = tokens.to(device), mask.to(device)
    clips = torch.nn.utils.rnn.pad_sequence(list(media), batch_first=True)
    cache = transformers().DynamicCache(config=model.language.lm.config)
    # A prompt's padding precedes it, and its id may be that of `<visual>`: do not count it.
    times = ((tokens == model.visual_token) & mask).cumsum(-1)
    logits, _ = model.language(tokens, model.view(clips, times), positions(mask), mask.long(), cache, last_only=True)
    seen = times[:, -1:]
    if model.attend == "immediate":  # new text sees only the last clip
        clips = torch.stack([clips[row, max(0, count - 1)] for row, count in enumerate(seen[:, 0].tolist())])[:, None]
        seen = seen.clamp(max=1)
    return Context(model, logits[:, -1], clips, seen, mask, mask.sum(1, keepdim=True), cache)


def likelihoods(context: Context, continuations: Sequence[Sequence[int]], pad: int) -> Tensor:
    """(N, C, L): log-probability of each token of C continuations after each of N rows, 0 beyond their ends.

    Consumes the context.
    """
    rows, choices = len(context.logits), len(continuations)
    longest = max(len(one) for one in continuations)
    tokens = torch.full((choices, longest), pad, dtype=torch.long, device=context.logits.device)
    there = torch.zeros(choices, longest, dtype=torch.bool, device=context.logits.device)
    for number, one in enumerate(continuations):
        tokens[number, : len(one)] = torch.tensor(one)
        there[number, : len(one)] = True
    context.pick(torch.arange(rows, device=tokens.device).repeat_interleave(choices))
    first = context.logits[:, None]
    tokens = tokens.repeat(rows, 1)
    before = torch.cat([first, context.go_on(tokens)[:, :-1]], 1) if longest > 1 else first
    found = before.float().log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    return (found * there.repeat(rows, 1)).view(rows, choices, longest)


def check_length(model: CosMo, tokens: int) -> None:
    """Raises UserError (code 2) if this many tokens exceed the language model's context."""
    most = getattr(model.language.lm.config, "max_position_embeddings", None)
    if most is not None and tokens > most:
        raise UserError(
            f"a prompt and its answer take {tokens} tokens, but the language model reads at most {most}",
            "use fewer shots",
            2,
        )


def positions(mask: Tensor) -> Tensor:
    """(N, L): each token's position in its own row, from 0; padding is at 0."""
    return (mask.cumsum(-1) - 1).clamp(min=0)
