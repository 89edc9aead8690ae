"""CosMo (Wang et al. 2024): vision tower, resampler with a query, split causal LM with gated cross-attention.

One forward pass gives next-token logits that depend on the frames, and embeddings of clips and texts in one space.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cosmos_train.models.fusion import TextQuery, View, view
from cosmos_train.models.language import LanguageModel
from cosmos_train.models.moe import expert_layers
from cosmos_train.models.pretrained import Vocabulary, build_lm
from cosmos_train.models.resampler import Resampler
from cosmos_train.models.settings import ModelCompat
from cosmos_train.models.vision import Vision, build_vision
from cosmos_train.recipe import Recipe

LARGEST_SCALE = 100.0  # CLIP's bound on the inverse temperature
SIGLIP_SCALE, SIGLIP_BIAS = 10.0, -10.0  # SigLIP's initial values (Zhai et al. 2023, §3)
RELEASED_LOG_SCALE = 0.2  # the released code multiplies similarities by e to its "temperature" of 0.2


@dataclass(frozen=True)
class Media:
    """Output of the resampler for B rows of T clips.

    tokens: (B, T, n, D), zero where there is no clip; query: (C, D), one row per existing clip.
    """

    tokens: Tensor
    query: Tensor


@dataclass(frozen=True)
class Layout:
    """The samples of the tokens (B, L) of packed rows, and the media that they may see: as in `stream.batch`."""

    document: Tensor
    position: Tensor
    media_from: Tensor
    media_upto: Tensor

    def attention_mask(self) -> Tensor:
        """(B, 1, L, L): causal within a document. Every token sees itself, padding too, so that no softmax is empty."""
        same = self.document[:, :, None] == self.document[:, None]
        length = self.document.shape[1]
        return (same & torch.ones(length, length, dtype=torch.bool, device=same.device).tril())[:, None]


class CosMo(nn.Module):
    def __init__(
        self, vision: Vision, resampler: Resampler, language: LanguageModel, text_query: TextQuery, visual_token: int,
        embedding_width: int, log_scale: float, logit_bias: float | None, attend: str, compat: ModelCompat,
    ) -> None:  # fmt: skip
        super().__init__()
        self.vision = vision
        self.resampler = resampler
        self.language = language
        self.text_query = text_query
        self.visual_token = visual_token
        self.attend = attend
        self.compat = compat
        self.project_media = nn.Linear(vision.width, embedding_width, bias=False)
        self.project_text = nn.Linear(language.width, embedding_width, bias=False)
        self.log_scale = nn.Parameter(torch.tensor([log_scale]))  # (1,): a tensor without dimensions cannot be sharded
        self.logit_bias = None if logit_bias is None else nn.Parameter(torch.tensor([logit_bias]))

    def encode_media(self, frames: Tensor, frame_mask: Tensor, frame_times: Tensor) -> Media:
        """frames (N, 3, H, W) uint8: those where frame_mask (B, T, F) is True, in order; frame_times (B, T, F)
        seconds."""
        clip_mask = frame_mask.any(-1)
        mask, times = frame_mask[clip_mask], frame_times[clip_mask]  # (C, F)
        clips = len(mask)
        if not clips:  # the resampler still runs, on a dummy clip, for processes that share its weights
            mask, times = mask.new_zeros(1, 1), times.new_zeros(1, 1)
        patches = self.vision(frames)
        placed = patches.new_zeros(*mask.shape, *patches.shape[1:])
        placed[mask] = patches
        latents = self.resampler(placed, times, None if bool(mask.all()) else mask)[:clips]
        tokens = latents.new_zeros(*clip_mask.shape, latents.shape[1] - 1, latents.shape[2])
        tokens[clip_mask] = latents[:, 1:]
        return Media(tokens, latents[:, 0])

    def forward(self, tokens: Tensor, media: Tensor, layout: Layout | None = None) -> tuple[Tensor, Tensor]:
        """Tokens (B, L), media (B, T, n, D); gives logits (B, L, V), first-half states (B, L, D).

        layout: of packed rows. Without it a row is one right-padded sample, and its `<visual>` tokens stand for its
        media in order.
        """
        if layout is None:
            return self.language(tokens, self.view(media, self.text_time(tokens)))  # type: ignore[no-any-return]
        seen = view(media, layout.media_from, layout.media_upto, self.attend)
        return self.language(tokens, seen, layout.position, layout.attention_mask())  # type: ignore[no-any-return]

    def text_time(self, tokens: Tensor) -> Tensor:
        """(B, L): the number of `<visual>` tokens before or at each token."""
        return (tokens == self.visual_token).cumsum(-1)

    def view(self, media: Tensor, text_time: Tensor) -> View:
        """The view of plain rows on media (B, T, n, D)."""
        return view(media, torch.zeros_like(text_time), text_time, self.attend)

    def media_embedding(self, query: Tensor) -> Tensor:
        """(C, D) to unit vectors (C, E)."""
        return F.normalize(self.project_media(query).float(), dim=-1)

    def text_embedding(self, states: Tensor, mask: Tensor) -> Tensor:
        """First-half hidden states (P, L, D) and a mask of the tokens to pool (P, L) to unit vectors (P, E)."""
        pooled = self.text_query(states, None if self.compat.pool_padding else mask)
        return F.normalize(self.project_text(pooled).float(), dim=-1)

    def first_half(self, tokens: Tensor, layout: Layout | None = None) -> Tensor:
        """The states that `forward` gives in addition to logits, without the second half, which alone sees media."""
        if layout is None:
            return self.language.first_half(tokens)
        return self.language.first_half(tokens, layout.position, layout.attention_mask())

    def encode_text(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Separate clips, `<s><visual>text<|endofchunk|>`, right-padded (P, L), to unit vectors (P, E)."""
        return self.text_embedding(self.language.first_half(tokens), mask)

    def scale(self) -> Tensor:
        """The factor on similarities: learnable, at most 100 (unbounded as released)."""
        if self.compat.temperature:
            return self.log_scale.exp()
        return self.log_scale.clamp(max=math.log(LARGEST_SCALE)).exp()


def build_cosmo(recipe: Recipe, vocabulary: Vocabulary, weights: bool = True) -> CosMo:
    """The model of a recipe; torch's random state draws new parts.

    weights=False: the architecture only. Under `torch.device("meta")` that costs no memory, whatever the size.
    """
    settings = recipe.model
    compat = settings.paper_compat
    siglip = recipe.objective.contrastive == "siglip"
    vision = build_vision(settings.vision, recipe.data.image.size, weights, compat.imagenet_pixels)
    language = LanguageModel(
        build_lm(settings.language, vocabulary, weights),
        vision.width,
        settings.fusion,
        compat,
        settings.language.learns,
        (vocabulary.visual, vocabulary.end_of_chunk),
    )
    scale = math.log(SIGLIP_SCALE) if siglip else -math.log(settings.temperature)
    model = CosMo(
        vision,
        Resampler(vision.width, settings.resampler),
        language,
        TextQuery(language.width, settings.fusion.heads, settings.fusion.head_width),
        vocabulary.visual,
        settings.embedding_width,
        RELEASED_LOG_SCALE if compat.temperature else scale,
        SIGLIP_BIAS if siglip else None,
        settings.fusion.attend,
        compat,
    )
    if settings.experts.count:
        expert_layers(model, settings.experts)
    if settings.resampler.frozen:
        model.resampler.requires_grad_(False)
    if settings.fusion.frozen:
        model.language.blocks.requires_grad_(False)
    if settings.embedding_frozen:
        for part in (model.text_query, model.project_media, model.project_text):
            part.requires_grad_(False)
        model.log_scale.requires_grad_(False)
        if model.logit_bias is not None:
            model.logit_bias.requires_grad_(False)
    return model
