"""Gated cross-attention from text to media, with a bottleneck (CosMo §4.1), and the query that pools the first half.

A block costs one cross-attention of inner width heads * head_width / r and a feed-forward of hidden width 4 D / r.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cosmos_train.models.resampler import PerceiverAttention, feed_forward, merge_heads, split_heads
from cosmos_train.models.settings import FusionSettings, ModelCompat


class View(NamedTuple):
    """The media that text sees, the same for every block.

    media (B, T * n, M): the media of a row, concatenated. allowed (B, L, T * n): the media that each token may see; all
    True for a token that may see none, since a softmax over nothing is NaN. sees_any (B, L, 1).
    """

    media: Tensor
    allowed: Tensor
    sees_any: Tensor


def media_mask(media_from: Tensor, media_upto: Tensor, clips: int, attend: str) -> Tensor:
    """(B, L, clips): the media of its row that each token may see; media_from, media_upto (B, L) as in stream.batch.

    immediate: number media_upto - 1, unless that is before media_from; all: media_from to media_upto - 1.
    """
    number = torch.arange(clips, device=media_upto.device)
    first = media_from if attend == "all" else torch.maximum(media_from, media_upto - 1)
    return (number >= first[..., None]) & (number < media_upto[..., None])


def view(media: Tensor, media_from: Tensor, media_upto: Tensor, attend: str) -> View:
    """Builds the view from media (B, T, n, M) of rows with tokens' media_from, media_upto (B, L)."""
    if not media.shape[1]:  # not every kernel supports attention over an empty sequence
        media = media.new_zeros(len(media), 1, *media.shape[2:])
    allowed = media_mask(media_from, media_upto, media.shape[1], attend)
    sees_any = allowed.any(-1, keepdim=True)
    return View(media.flatten(1, 2), (allowed | ~sees_any).repeat_interleave(media.shape[2], 2), sees_any)


class MaskedCrossAttention(nn.Module):
    """Text attends to the media that its view allows; if there are none the result is zero."""

    def __init__(self, width: int, media_width: int, settings: FusionSettings, compat: ModelCompat) -> None:
        super().__init__()
        inner = settings.heads * settings.head_width // settings.bottleneck
        self.heads = settings.heads
        # The released code divides by the root of the uncompressed head width, although the bottleneck narrows it.
        self.scale = settings.head_width**-0.5 if compat.attention_scale else (inner / settings.heads) ** -0.5
        self.averages_before_media = compat.average_before_media and settings.attend == "all"
        self.norm = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(media_width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, width, bias=False)

    def forward(self, text: Tensor, seen: View) -> Tensor:
        """text (B, L, D) to (B, L, D)."""
        keys, values = self.to_kv(seen.media).chunk(2, -1)
        attended = F.scaled_dot_product_attention(
            split_heads(self.to_q(self.norm(text)), self.heads),
            split_heads(keys, self.heads),
            split_heads(values, self.heads),
            attn_mask=seen.allowed[:, None],
            scale=self.scale,
        )
        nothing = values.mean(1, keepdim=True) if self.averages_before_media else values.new_zeros(())
        merged = torch.where(seen.sees_any, merge_heads(attended), nothing)
        return self.to_out(merged)  # type: ignore[no-any-return]


class GatedCrossAttentionBlock(nn.Module):
    """x += tanh(a) CrossAttention(x, media); x += tanh(f) FeedForward(x). The gates start at 0 (closed)."""

    def __init__(self, width: int, media_width: int, settings: FusionSettings, compat: ModelCompat) -> None:
        super().__init__()
        self.attention = MaskedCrossAttention(width, media_width, settings, compat)
        self.feed_forward = feed_forward(width, 4 * width // settings.bottleneck)
        self.attention_gate = nn.Parameter(torch.zeros(1))
        self.feed_forward_gate = nn.Parameter(torch.zeros(1))

    def forward(self, text: Tensor, seen: View) -> Tensor:
        text = text + self.attention(text, seen) * self.attention_gate.tanh()
        return text + self.feed_forward(text) * self.feed_forward_gate.tanh()  # type: ignore[no-any-return]


class TextQuery(nn.Module):
    """One learnable query that attends to the first half's hidden states: (P, L, D) and a mask to (P, D)."""

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, width))
        self.attention = PerceiverAttention(width, heads, head_width)
        self.feed_forward = feed_forward(width, 4 * width)
        self.norm = nn.LayerNorm(width)

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """mask (P, L): the tokens to attend to; None: all."""
        pooled = self.query.expand(len(states), -1, -1)
        pooled = pooled + self.attention(states, pooled, mask)
        pooled = pooled + self.feed_forward(pooled)
        return self.norm(pooled)[:, 0]  # type: ignore[no-any-return]
