"""Beam search over a context, with one row of beams per prompt; greedy is one beam. Costs beams x new tokens.

A text's score is its log-probability / its length^penalty, including the end token. The search for a prompt ends when
no unfinished text can beat the finished ones: so it finds what an unbounded search with these beams would.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor


class Growing(Protocol):
    """N rows of text to continue. logits (N, V): of the next token."""

    logits: Tensor

    def pick(self, rows: Tensor) -> None:
        """Replaces the rows by those with these numbers."""

    def go_on(self, tokens: Tensor) -> Tensor:
        """Appends tokens (N, L), the same number to each row; returns their logits (N, L, V)."""


@dataclass
class _Finished:
    """The best finished texts of one prompt: (score, token ids)."""

    most: int
    texts: list[tuple[float, list[int]]] = field(default_factory=list)

    def add(self, score: float, ids: list[int]) -> None:
        self.texts.append((score, ids))
        self.texts.sort(key=lambda text: -text[0])  # stable: among equal scores the first found stays first
        del self.texts[self.most :]

    def cannot_lose(self, best_to_come: float) -> bool:
        return len(self.texts) == self.most and best_to_come <= self.texts[-1][0]


def beam_search(
    context: Growing,
    beams: int,
    length_penalty: float,
    max_tokens: int,
    ends: tuple[int, ...],
    never: tuple[int, ...] = (),
) -> list[list[int]]:
    """The best text after each row of `context`, as token ids without the end token. Consumes the context.

    ends: tokens that end a text; never: tokens that must not be generated.
    """
    prompts, device = len(context.logits), context.logits.device
    finished = [_Finished(beams) for _ in range(prompts)]
    context.pick(torch.arange(prompts, device=device).repeat_interleave(beams))
    scores = torch.full((prompts, beams), float("-inf"), device=device)
    scores[:, 0] = 0.0  # the beams of a prompt are identical at first
    texts: list[list[list[int]]] = [[[] for _ in range(beams)] for _ in range(prompts)]
    for length in range(1, max_tokens + 1):
        likely = context.logits.float().log_softmax(-1)
        if never:
            likely[:, list(never)] = float("-inf")
        vocabulary = likely.shape[-1]
        total = (scores[..., None] + likely.view(prompts, beams, vocabulary)).flatten(1)
        best, places = total.topk(
            min((1 + len(ends)) * beams, total.shape[1])
        )  # enough, even if every end token is among them
        found, where = best.tolist(), places.tolist()
        rows, following, kept = [], [], []
        for prompt in range(prompts):
            grown: list[tuple[float, int, int]] = []
            for rank, (score, place) in enumerate(zip(found[prompt], where[prompt], strict=True)):
                beam, token = divmod(place, vocabulary)
                if token in ends:
                    if rank < beams and score > float("-inf"):
                        finished[prompt].add(score / length**length_penalty, texts[prompt][beam])
                elif len(grown) < beams:
                    grown.append((score, beam, token))
            texts[prompt] = [[*texts[prompt][beam], token] for _, beam, token in grown]
            rows += [prompt * beams + beam for _, beam, _ in grown]
            following += [token for _, _, token in grown]
            kept.append([score for score, _, _ in grown])
        scores = torch.tensor(kept, device=device)
        # Log-probabilities only fall. With a penalty above 0 a longer text can score higher, at most at full length.
        reach = max_tokens if length_penalty > 0 else length
        done = all(one.cannot_lose(row[0] / reach**length_penalty) for one, row in zip(finished, kept, strict=True))
        if done or length == max_tokens:
            break
        context.pick(torch.tensor(rows, device=device))
        context.go_on(torch.tensor(following, device=device)[:, None])
    for prompt, one in enumerate(finished):
        if not one.cannot_lose(kept[prompt][0] / reach**length_penalty):
            for score, text in zip(kept[prompt], texts[prompt], strict=True):
                if score > float("-inf"):
                    one.add(score / length**length_penalty, text)
    return [one.texts[0][1] for one in finished]
