"""Gated cross-attention from text to media, with a bottleneck (CosMo §4.1), and the query that pools the first half.

A block costs one cross-attention of inner width heads * head_width / r and a feed-forward of hidden width 4 D / r.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cosmos_train.models.resampler import PerceiverAttention, feed_forward, merge_heads, split_heads
from cosmos_train.recipe import FusionSettings


def media_mask(text_time: Tensor, clips: int, attend: str) -> Tensor:
    """(B, L, clips): which media each token may see. text_time (B, L) counts the media before and at a token.

    immediate: the last one before it; all: every one before it. A token with text_time 0 sees none.
    """
    number = torch.arange(1, clips + 1, device=text_time.device)
    return text_time[..., None] == number if attend == "immediate" else text_time[..., None] >= number


class MaskedCrossAttention(nn.Module):
    """Text attends to the media that its mask allows; where there are none the result is zero."""

    def __init__(self, width: int, media_width: int, settings: FusionSettings, paper_compat: bool) -> None:
        super().__init__()
        inner = settings.heads * settings.head_width // settings.bottleneck
        self.heads = settings.heads
        self.attend = settings.attend
        # The released code divides by the root of the uncompressed head width, though the bottleneck narrows it.
        self.scale = settings.head_width**-0.5 if paper_compat else (inner / settings.heads) ** -0.5
        self.averages_before_media = paper_compat and settings.attend == "all"
        self.norm = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(media_width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, width, bias=False)

    def forward(self, text: Tensor, media: Tensor, text_time: Tensor) -> Tensor:
        """text (B, L, D), media (B, T, n, M), text_time (B, L); gives (B, L, D)."""
        allowed = media_mask(text_time, media.shape[1], self.attend)
        sees_any = allowed.any(-1, keepdim=True)
        mask = (allowed | ~sees_any).repeat_interleave(media.shape[2], 2)  # a row without any key would give NaN
        keys, values = self.to_kv(media.flatten(1, 2)).chunk(2, -1)
        attended = F.scaled_dot_product_attention(
            split_heads(self.to_q(self.norm(text)), self.heads),
            split_heads(keys, self.heads),
            split_heads(values, self.heads),
            attn_mask=mask[:, None],
            scale=self.scale,
        )
        nothing = values.mean(1, keepdim=True) if self.averages_before_media else values.new_zeros(())
        merged = torch.where(sees_any, merge_heads(attended), nothing)
        return self.to_out(merged)  # type: ignore[no-any-return]


class GatedCrossAttentionBlock(nn.Module):
    """x += tanh(a) CrossAttention(x, media); x += tanh(f) FeedForward(x). The gates start at 0, shut."""

    def __init__(self, width: int, media_width: int, settings: FusionSettings, paper_compat: bool = False) -> None:
        super().__init__()
        self.attention = MaskedCrossAttention(width, media_width, settings, paper_compat)
        self.feed_forward = feed_forward(width, 4 * width // settings.bottleneck)
        self.attention_gate = nn.Parameter(torch.zeros(1))
        self.feed_forward_gate = nn.Parameter(torch.zeros(1))

    def forward(self, text: Tensor, media: Tensor, text_time: Tensor) -> Tensor:
        text = text + self.attention(text, media, text_time) * self.attention_gate.tanh()
        return text + self.feed_forward(text) * self.feed_forward_gate.tanh()  # type: ignore[no-any-return]


class TextQuery(nn.Module):
    """One learnable query over the hidden states of the first half: (B, L, D) and a mask to (B, D)."""

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, width))
        self.attention = PerceiverAttention(width, heads, head_width)
        self.feed_forward = feed_forward(width, 4 * width)
        self.norm = nn.LayerNorm(width)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        pooled = self.query.expand(len(states), -1, -1)
        pooled = pooled + self.attention(states, pooled, mask)
        pooled = pooled + self.feed_forward(pooled)
        return self.norm(pooled)[:, 0]  # type: ignore[no-any-return]
