"""CLIP's two towers (Radford et al. 2021) under open_clip's names, which give every token and the pooled feature.

Written here instead of taken from open_clip because COSMOS needs images smaller than the positions' grid, tokens of
both towers, attention weights on request, and parts that a mixture of experts can replace.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_OFFSET = 0.1  # DINO's offset on the target side: rounding never makes the resized grid a row too small


class Attention(nn.Module):
    """Multi-head attention with the parameters of nn.MultiheadAttention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, keys: Tensor, causal: bool = False) -> Tensor:
        """query (B, L, D), keys (B, S, D) to (B, L, D)."""
        q, k, v = self._heads(query, keys)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def weights(self, query: Tensor, keys: Tensor) -> Tensor:
        """(B, L, S): the attention weights of each query, mean over heads; they sum to 1."""
        q, k, _ = self._heads(query, keys)
        return ((q @ k.transpose(-1, -2)) / math.sqrt(q.shape[-1])).softmax(-1).mean(1)

    def correlative(self, tokens: Tensor) -> Tensor:
        """(B, L, D) to (B, L, D): tokens attend to similar tokens (SCLIP, Wang et al. 2024).

        softmax(q qᵀ) + softmax(k kᵀ) in place of softmax(q kᵀ): attention to what a place shows, not to what helps
        training.
        """
        q, k, v = self._heads(tokens, tokens)
        alike, known = ((one @ one.transpose(-1, -2) / math.sqrt(one.shape[-1])).softmax(-1) for one in (q, k))
        return self.out_proj(((alike + known) @ v).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _heads(self, query: Tensor, keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if query is keys:
            q, k, v = F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        else:
            wq, wkv = self.in_proj_weight.tensor_split([query.shape[-1]])
            bq, bkv = self.in_proj_bias.tensor_split([query.shape[-1]])
            q = F.linear(query, wq, bq)
            k, v = F.linear(keys, wkv, bkv).chunk(2, -1)
        return self._split(q), self._split(k), self._split(v)

    def _split(self, tokens: Tensor) -> Tensor:
        return torch.unflatten(tokens, -1, (self.heads, -1)).transpose(1, 2)


class Mlp(nn.Module):
    """quick: x·sigmoid(1.702 x) in place of GELU, as OpenAI's weights need it."""

    def __init__(self, width: int, inner: int, quick: bool = False) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, inner)
        self.c_proj = nn.Linear(inner, width)
        self.quick = quick

    def forward(self, tokens: Tensor) -> Tensor:
        inner = self.c_fc(tokens)
        return self.c_proj(inner * torch.sigmoid(1.702 * inner) if self.quick else F.gelu(inner))  # type: ignore[no-any-return]


class Block(nn.Module):
    def __init__(self, width: int, heads: int, inner: int, quick: bool = False) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp: nn.Module = Mlp(width, inner, quick)

    def forward(self, tokens: Tensor, causal: bool = False) -> Tensor:
        normed = self.ln_1(tokens)
        tokens = tokens + self.attn(normed, normed, causal)
        return tokens + self.mlp(self.ln_2(tokens))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    def __init__(self, width: int, layers: int, heads: int, inner: int, quick: bool = False) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, heads, inner, quick) for _ in range(layers))

    def forward(self, tokens: Tensor, causal: bool = False) -> Tensor:
        for block in self.resblocks:
            tokens = block(tokens, causal)
        return tokens


class VisionTower(nn.Module):
    """A vision transformer: pixels (N, 3, H, W), normalised, H and W multiples of the patch, to

    pooled (N, E): the projected class token; patches (N, v, D): after the last norm, row by row.
    """

    attn_cross_pool: nn.Module  # only in a COSMOS student, which sets it

    def __init__(
        self, size: int, patch: int, width: int, layers: int, head_width: int, embedding: int, mlp_ratio: float = 4.0,
        quick: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.size, self.patch, self.width = size, patch, width
        scale = width**-0.5
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn((size // patch) ** 2 + 1, width))
        self.proj = nn.Parameter(scale * torch.randn(width, embedding))
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, layers, width // head_width, int(width * mlp_ratio), quick)
        self.ln_post = nn.LayerNorm(width)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.ln_post(self.transformer(self.ln_pre(self.embed(pixels))))
        return tokens[:, 0] @ self.proj, tokens[:, 1:]

    def dense(self, pixels: Tensor, correlative: bool = True) -> Tensor:
        """Pixels (N, 3, H, W) to (N, v, E): every patch in the space of the pooled feature.

        correlative: the last block attends as in `Attention.correlative`.
        """
        tokens = self.ln_pre(self.embed(pixels))
        *blocks, last = self.transformer.resblocks
        for block in blocks:
            tokens = block(tokens)
        if correlative:
            tokens = tokens + last.attn.correlative(last.ln_1(tokens))  # type: ignore[operator,union-attr]
            tokens = tokens + last.mlp(last.ln_2(tokens))  # type: ignore[operator]
        else:
            tokens = last(tokens)
        return self.ln_post(tokens)[:, 1:] @ self.proj  # type: ignore[no-any-return]

    def embed(self, pixels: Tensor) -> Tensor:
        """(N, 1 + v, D): the class token and the patches, with their positions."""
        tokens = self.conv1(pixels)
        grid = tokens.shape[-2:]
        tokens = tokens.flatten(2).transpose(1, 2)
        first = self.class_embedding.to(tokens.dtype).expand(len(tokens), 1, -1)
        return torch.cat([first, tokens], 1) + self._positions(grid).to(tokens.dtype)

    def _positions(self, grid: torch.Size) -> Tensor:
        """(1 + h w, D): as learned, or resized as DINO does it (bicubic)."""
        side = self.size // self.patch
        if tuple(grid) == (side, side):
            return self.positional_embedding
        learned = torch.unflatten(self.positional_embedding[1:].float(), 0, (side, side)).permute(2, 0, 1)[None]
        factors = tuple((wanted + _OFFSET) / side for wanted in grid)
        resized = F.interpolate(learned, scale_factor=factors, mode="bicubic")
        return torch.cat([self.positional_embedding[:1], resized[0].flatten(1).T])


class TextTower(nn.Module):
    """A causal transformer. It adds no prefix in a checkpoint: its parameters are at the top level (`Student`)."""

    def __init__(self, context: int, vocabulary: int, width: int, layers: int, heads: int, embedding: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.empty(context, width))
        self.text_projection = nn.Parameter(torch.empty(width, embedding))
        self.transformer = Transformer(width, layers, heads, 4 * width)
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.ln_final = nn.LayerNorm(width)
        self._draw(width, layers)

    def _draw(self, width: int, layers: int) -> None:
        """OpenAI's initialisation of CLIP's text transformer."""
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        inner = width**-0.5 * (2 * layers) ** -0.5
        block: Any
        for block in self.transformer.resblocks:
            nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5)
            nn.init.normal_(block.attn.out_proj.weight, std=inner)
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.c_proj.weight, std=inner)
        nn.init.normal_(self.text_projection, std=width**-0.5)

    def read(self, tokens: Tensor, end: int) -> tuple[Tensor, Tensor]:
        """Ids (N, L) with the token `end`: the feature at that token, projected (N, E), and all states (N, L, D)."""
        states = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        states = self.ln_final(self.transformer(states, causal=True))
        place = (tokens == end).int().argmax(-1)
        return states[torch.arange(len(tokens), device=tokens.device), place] @ self.text_projection, states
