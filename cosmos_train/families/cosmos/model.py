"""COSMOS (Kim et al. 2024): a CLIP with two cross-attention poolers, and a teacher that is its moving average.

The poolers are for training only: without them a student is a plain CLIP. Parameters have the names of the released
checkpoints: open_clip's and 21 more. The two scales have one dimension here, because a tensor without dimensions cannot
be sharded. A step costs the student on every view and the teacher, forward only, on the global views.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cosmos_train.errors import UserError
from cosmos_train.models.moe import expert_layers
from cosmos_train.models.pixels import CLIP_MEAN, CLIP_STD
from cosmos_train.models.pretrained import Vocabulary
from cosmos_train.models.settings import ModelSettings
from cosmos_train.models.towers import Attention, TextTower, VisionTower
from cosmos_train.recipe import Recipe

LARGEST_LOG_SCALE = math.log(100.0)

# Parameters of a COSMOS checkpoint in addition to open_clip's CLIP.
_POOLER = ("attn.in_proj_weight", "attn.in_proj_bias", "attn.out_proj.weight", "attn.out_proj.bias",
           "ln_q.weight", "ln_q.bias", "ln_k.weight", "ln_k.bias")  # fmt: skip
EXTRA = (
    "distill_logit_scale",
    *(f"{modality}_token_mapping.{what}" for modality in ("image", "text") for what in ("weight", "bias")),
    *(f"{pooler}.{name}" for pooler in ("visual.attn_cross_pool", "text_attn_cross_pool") for name in _POOLER),
)


class CrossPooler(nn.Module):
    """One attention layer from a pooled feature to the other modality's tokens, both normed first; no feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.ln_q = nn.LayerNorm(width)
        self.ln_k = nn.LayerNorm(width)

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        """query (B, n, E), tokens (B, s, E) to (B, n, E)."""
        return self.attn(self.ln_q(query), self.ln_k(tokens))  # type: ignore[no-any-return]

    def weights(self, query: Tensor, tokens: Tensor) -> Tensor:
        """(B, n, s): the attention weights of each query."""
        return self.attn.weights(self.ln_q(query), self.ln_k(tokens))


@dataclass(frozen=True)
class Encoded:
    """pooled (N, E): not normalised; tokens (N, s, E): mapped into the same space."""

    pooled: Tensor
    tokens: Tensor


class Student(TextTower):
    """end: id of the token where a text is pooled."""

    def __init__(
        self, visual: VisionTower, context: int, vocabulary: int, width: int, layers: int, heads: int, embedding: int,
        pooler_heads: int, end: int, log_scale: float,
    ) -> None:  # fmt: skip
        super().__init__(context, vocabulary, width, layers, heads, embedding)
        self.context, self.end = context, end
        self.visual = visual
        self.visual.attn_cross_pool = CrossPooler(embedding, pooler_heads)
        self.text_attn_cross_pool = CrossPooler(embedding, pooler_heads)
        self.image_token_mapping = nn.Linear(visual.width, embedding)
        self.text_token_mapping = nn.Linear(width, embedding)
        self.logit_scale = nn.Parameter(torch.full((1,), log_scale))
        self.distill_logit_scale = nn.Parameter(torch.full((1,), log_scale))

    def images(self, pixels: Tensor) -> Encoded:
        pooled, patches = self.visual(pixels)
        return Encoded(pooled, self.image_token_mapping(patches))

    def texts(self, tokens: Tensor) -> Encoded:
        pooled, states = self.read(tokens, self.end)
        return Encoded(pooled, self.text_token_mapping(states))

    def cross(self, images: Tensor, texts: Tensor, patches: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled views (K, b, E) and (M, b, E), tokens of one image (b, v, E) and one text (b, l, E) of each row.

        Returns the cross-modal features: every view plus its attention to the other modality's tokens, as unit vectors.
        """
        found = self.text_attn_cross_pool(images.transpose(0, 1), words).transpose(0, 1)
        seen = self.visual.attn_cross_pool(texts.transpose(0, 1), patches).transpose(0, 1)
        return F.normalize(images + found, dim=-1), F.normalize(texts + seen, dim=-1)


class Cosmos(nn.Module):
    """teacher: gets no gradients; `momentum.Teacher` updates it after each step."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student
        self.teacher = copy.deepcopy(student).requires_grad_(False)
        self.register_buffer("pixel_mean", 255 * torch.tensor(CLIP_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", 255 * torch.tensor(CLIP_STD).view(3, 1, 1), persistent=False)

    def normalised(self, frames: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) as normalised pixels for the towers."""
        return (frames - self.pixel_mean) / self.pixel_std


def build_cosmos(recipe: Recipe, vocabulary: Vocabulary) -> Cosmos:
    """The model of a recipe, drawn from torch's random state; under `torch.device("meta")` it costs no memory."""
    student = build_student(recipe.model, recipe.data.image.size, vocabulary.end)
    if recipe.data.max_tokens != student.context:
        raise UserError(
            f"the text tower reads {student.context} tokens, data.max_tokens is {recipe.data.max_tokens}",
            "make them equal",
            2,
        )
    for size in (recipe.data.image.size, recipe.data.views.local_size):
        if size % student.visual.patch:
            raise UserError(
                f"pictures of {size} px cannot be divided into patches of {student.visual.patch}", "change either", 2
            )
    if recipe.data.views.local_size > recipe.data.image.size:
        raise UserError("data.views.local_size is larger than data.image.size", "make it smaller", 2)
    if vocabulary.end >= recipe.model.language.vocabulary:
        raise UserError(
            f"the tokenizer's end is id {vocabulary.end}, model.language.vocabulary {recipe.model.language.vocabulary}",
            "give the vocabulary of the tokenizer (clip: 49408)",
            2,
        )
    return Cosmos(student)


def build_student(settings: ModelSettings, image_size: int, end: int) -> Student:
    """Builds both towers. UserError for configs with unknown or missing fields."""
    vision, text = dict(settings.vision.config), dict(settings.language.config)
    try:
        tower = VisionTower(
            image_size,
            vision.pop("patch_size"),
            vision.pop("width"),
            vision.pop("layers"),
            vision.pop("head_width", 64),
            settings.embedding_width,
            vision.pop("mlp_ratio", 4.0),
        )
        student = Student(
            tower,
            text.pop("context_length"),
            settings.language.vocabulary,
            text.pop("width"),
            text.pop("layers"),
            text.pop("heads"),
            settings.embedding_width,
            settings.pooler_heads,
            end,
            -math.log(settings.temperature),
        )
    except KeyError as error:
        raise UserError(f"model.vision.config or model.language.config lacks {error}", _FIELDS, 2) from None
    unknown = sorted([*(f"model.vision.config.{key}" for key in vision), *(f"model.language.config.{k}" for k in text)])
    if unknown:
        raise UserError(f"unknown: {', '.join(unknown)}", _FIELDS, 2)
    if settings.experts.count:
        expert_layers(student, settings.experts)
    return student


_FIELDS = (
    "a COSMOS needs vision.config with layers, width, patch_size (head_width, mlp_ratio) and language.config with "
    "context_length, width, heads, layers, as in open_clip"
)
