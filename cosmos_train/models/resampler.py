"""The perceiver resampler (Alayrac et al. 2022): turns the frames of a clip, any number, into n latents and one query.

Cost per clip: depth x (attention of n + 1 queries over F v + n + 1 keys, and a feed-forward on n + 1 tokens).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cosmos_train.models.settings import ResamplerSettings


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(…, L, heads * width) to (…, heads, L, width)."""
    return x.view(*x.shape[:-1], heads, x.shape[-1] // heads).transpose(-3, -2)


def merge_heads(x: Tensor) -> Tensor:
    """(…, heads, L, width) to (…, L, heads * width)."""
    return x.transpose(-3, -2).flatten(-2)


def feed_forward(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, hidden, bias=False), nn.GELU(), nn.Linear(hidden, width, bias=False)
    )


class PerceiverAttention(nn.Module):
    """Latents attend to media and to themselves. The result has no residual added."""

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        inner = heads * head_width
        self.heads = heads
        self.norm_media = nn.LayerNorm(width)
        self.norm_latents = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, width, bias=False)

    def forward(self, media: Tensor, latents: Tensor, media_mask: Tensor | None = None) -> Tensor:
        """media (B, M, D), latents (B, n, D), media_mask (B, M) True on valid media; gives (B, n, D)."""
        latents = self.norm_latents(latents)
        keys, values = self.to_kv(torch.cat([self.norm_media(media), latents], 1)).chunk(2, -1)
        mask = None
        if media_mask is not None:
            mask = F.pad(media_mask, (0, latents.shape[1]), value=True)[:, None, None]
        attended = F.scaled_dot_product_attention(
            split_heads(self.to_q(latents), self.heads),
            split_heads(keys, self.heads),
            split_heads(values, self.heads),
            attn_mask=mask,
        )
        return self.to_out(merge_heads(attended))  # type: ignore[no-any-return]


class FrameTime(nn.Module):
    """The time of a frame, seconds since the clip's first, as a vector: sines of periods 0.5 s to 512 s, projected."""

    periods: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("periods", 2.0 ** torch.arange(-1, 10), persistent=False)
        self.project = nn.Linear(2 * len(self.periods), width)

    def forward(self, times: Tensor) -> Tensor:
        """(…,) to (…, width)."""
        angles = 2 * math.pi * times[..., None] / self.periods
        return self.project(torch.cat([angles.sin(), angles.cos()], -1))  # type: ignore[no-any-return]


class ResamplerLayer(nn.Module):
    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.attention = PerceiverAttention(width, heads, head_width)
        self.feed_forward = feed_forward(width, 4 * width)

    def forward(self, media: Tensor, latents: Tensor, media_mask: Tensor | None) -> Tensor:
        latents = latents + self.attention(media, latents, media_mask)
        return latents + self.feed_forward(latents)  # type: ignore[no-any-return]


class Resampler(nn.Module):
    """Latent 0 is the contrastive query; the language model's cross-attention sees latents 1 to n."""

    def __init__(self, width: int, settings: ResamplerSettings) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(settings.latents + 1, width))
        self.frame_time = FrameTime(width) if settings.frame_time else None
        self.layers = nn.ModuleList(
            ResamplerLayer(width, settings.heads, settings.head_width) for _ in range(settings.depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, patches: Tensor, times: Tensor | None = None, frame_mask: Tensor | None = None) -> Tensor:
        """patches (C, F, v, D) of C clips, times (C, F) seconds, frame_mask (C, F); gives (C, n + 1, D)."""
        if self.frame_time is not None and times is not None:
            patches = patches + self.frame_time(times)[:, :, None]
        media = patches.flatten(1, 2)
        media_mask = None if frame_mask is None else frame_mask.repeat_interleave(patches.shape[2], 1)
        latents = self.latents.expand(len(patches), -1, -1)
        for layer in self.layers:
            latents = layer(media, latents, media_mask)
        return self.norm(latents)  # type: ignore[no-any-return]
