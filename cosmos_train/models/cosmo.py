"""CosMo (Wang et al. 2024): visual tower, resampler with a query, split causal LM with gated cross-attention.

One forward pass gives next-token logits that see the frames, and embeddings of clips and texts in one space.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cosmos_train.models.fusion import TextQuery
from cosmos_train.models.language import LanguageModel, build_lm
from cosmos_train.models.resampler import Resampler
from cosmos_train.models.vision import Vision, build_vision
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer

LARGEST_SCALE = 100.0  # CLIP's bound on the inverse temperature


@dataclass(frozen=True)
class Media:
    """What the resampler makes of B samples of T clips.

    tokens: (B, T, n, D), zero where there is no clip; query: (C, D), one row for each clip there is.
    """

    tokens: Tensor
    query: Tensor


class CosMo(nn.Module):
    def __init__(
        self, vision: Vision, resampler: Resampler, language: LanguageModel, text_query: TextQuery, visual_token: int,
        embedding_width: int, temperature: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.vision = vision
        self.resampler = resampler
        self.language = language
        self.text_query = text_query
        self.visual_token = visual_token
        self.project_media = nn.Linear(vision.width, embedding_width, bias=False)
        self.project_text = nn.Linear(language.width, embedding_width, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))

    def encode_media(self, frames: Tensor, frame_mask: Tensor, frame_times: Tensor) -> Media:
        """frames (N, 3, H, W) uint8: those that frame_mask (B, T, F) marks, in order; frame_times (B, T, F) seconds."""
        clip_mask = frame_mask.any(-1)
        mask = frame_mask[clip_mask]  # (C, F)
        patches = self.vision(frames)
        placed = patches.new_zeros(*mask.shape, *patches.shape[1:])
        placed[mask] = patches
        latents = self.resampler(placed, frame_times[clip_mask], None if bool(mask.all()) else mask)
        tokens = latents.new_zeros(*clip_mask.shape, latents.shape[1] - 1, latents.shape[2])
        tokens[clip_mask] = latents[:, 1:]
        return Media(tokens, latents[:, 0])

    def forward(self, tokens: Tensor, media: Tensor) -> tuple[Tensor, Tensor]:
        """Right-padded tokens (B, L), media (B, T, n, D); gives logits (B, L, V), first-half states (B, L, D)."""
        return self.language(tokens, media, self.text_time(tokens))  # type: ignore[no-any-return]

    def text_time(self, tokens: Tensor) -> Tensor:
        """(B, L): the number of `<visual>` tokens before or at each token."""
        return (tokens == self.visual_token).cumsum(-1)

    def media_embedding(self, query: Tensor) -> Tensor:
        """(C, D) to unit vectors (C, E)."""
        return F.normalize(self.project_media(query).float(), dim=-1)

    def text_embedding(self, states: Tensor, mask: Tensor) -> Tensor:
        """First-half hidden states (C, L, D) and the tokens that count (C, L) to unit vectors (C, E)."""
        return F.normalize(self.project_text(self.text_query(states, mask)).float(), dim=-1)

    def encode_text(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Clips alone, `<s><visual>text<|endofchunk|>`, right-padded (C, L), to unit vectors (C, E)."""
        return self.text_embedding(self.language.first_half(tokens), mask)

    def scale(self) -> Tensor:
        """What similarities are multiplied by: learnable, at most 100."""
        return self.log_scale.clamp(max=math.log(LARGEST_SCALE)).exp()


def build_cosmo(recipe: Recipe, tokenizer: Tokenizer) -> CosMo:
    """The model of a recipe, its new parts drawn from torch's random state."""
    settings = recipe.model
    vision = build_vision(settings.vision, recipe.data.image.size)
    language = LanguageModel(
        build_lm(settings.language, tokenizer), vision.width, settings.fusion, settings.paper_compat
    )
    return CosMo(
        vision,
        Resampler(vision.width, settings.resampler),
        language,
        TextQuery(language.width, settings.fusion.heads, settings.fusion.head_width),
        tokenizer.visual,
        settings.embedding_width,
        settings.temperature,
    )
