"""CuMo (Li et al. 2024): an LM that reads pictures as tokens, from a vision tower at several scales and a connector.

The tower sees a picture whole and, at larger scales (S², Shi et al. 2024), tile by tile. The tiles' features are put
together, averaged down to the grid of the smallest scale, and concatenated. The tower's last layer is not built: LLaVA
uses the features before it. Costs the tower (1 + 9) times per picture at scales 1 and 3, and its tokens in the LM.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cosmos_train.errors import UserError
from cosmos_train.models.backends import open_clip
from cosmos_train.models.moe import expert_layers
from cosmos_train.models.pixels import CLIP_MEAN, CLIP_STD
from cosmos_train.models.pretrained import Vocabulary, build_lm
from cosmos_train.models.routers import watch_routers
from cosmos_train.models.settings import VisionSettings
from cosmos_train.models.towers import VisionTower
from cosmos_train.models.vision import read_visual
from cosmos_train.recipe import Recipe


class PatchTower(VisionTower):
    """A vision tower without its last layer: pixels (N, 3, S, S) to patches (N, v, D), without a last norm."""

    def __init__(
        self, size: int, patch: int, width: int, layers: int, head_width: int, ratio: float, quick: bool
    ) -> None:
        super().__init__(size, patch, width, layers - 1, head_width, 1, ratio, quick)
        del self.proj, self.ln_post

    def patches(self, pixels: Tensor) -> Tensor:
        return self.transformer(self.ln_pre(self.embed(pixels)))[:, 1:]  # type: ignore[no-any-return]


class CuMo(nn.Module):
    """visual_token: the placeholder id of a picture's tokens. scales: multiples of the smallest scale, ascending.
    upsampled: pictures have the smallest scale, and larger ones are enlarged from it, as released."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        vision: PatchTower,
        connector: nn.Module,
        lm: Any,
        visual_token: int,
        scales: tuple[int, ...],
        frozen: bool,
        upsampled: bool = False,
    ) -> None:
        super().__init__()
        self.vision = vision
        self.connector = connector
        self.lm = lm
        self.visual_token = visual_token
        self.scales = scales
        self.vision_frozen = frozen
        self.upsampled = upsampled
        self.register_buffer("pixel_mean", 255 * torch.tensor(CLIP_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", 255 * torch.tensor(CLIP_STD).view(3, 1, 1), persistent=False)

    @property
    def image_tokens(self) -> int:
        return (self.vision.size // self.vision.patch) ** 2

    @property
    def picture_size(self) -> int:
        """The side of pictures, pixels."""
        return self.vision.size * (1 if self.upsampled else max(self.scales))

    def features(self, frames: Tensor, blanks: int = 0) -> Tensor:
        """Pictures (N, 3, S, S) uint8, with S as of `picture_size`, to (N + blanks, v, D · scales). blanks: pictures of
        the mean colour after them."""
        pixels = (frames - self.pixel_mean) / self.pixel_std
        if blanks:
            pixels = torch.cat([pixels, pixels.new_zeros(blanks, *pixels.shape[1:])])
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.vision_frozen):
            return torch.cat([self._at(scale, pixels) for scale in self.scales], -1)

    def _at(self, scale: int, pixels: Tensor) -> Tensor:
        size, count = self.vision.size, len(pixels)
        if pixels.shape[-1] != scale * size:
            pixels = F.interpolate(pixels, (scale * size,) * 2, mode="bicubic", antialias=not self.upsampled)
        # (N, 3, s, size, s, size) -> the tiles of a picture, row by row
        tiles = pixels.reshape(count, 3, scale, size, scale, size).permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
        found = self.vision.patches(tiles)
        side = self.vision.size // self.vision.patch
        if scale == 1:
            return found
        grid = found.reshape(count, scale, scale, side, side, -1).permute(0, 5, 1, 3, 2, 4)
        whole = grid.reshape(count, found.shape[-1], scale * side, scale * side)
        return F.avg_pool2d(whole, scale).flatten(2).transpose(1, 2)

    def forward(self, frames: Tensor, tokens: Tensor, token_mask: Tensor, blanks: int = 0) -> Tensor:
        """Arguments as of `embedded`, token_mask (B, L): False on padding; logits (B, L, V)."""
        there = self.embedded(frames, tokens, blanks)
        found = self.lm(inputs_embeds=there, attention_mask=token_mask.long(), use_cache=False)
        return found.logits  # type: ignore[no-any-return]

    def embedded(self, frames: Tensor, tokens: Tensor, blanks: int = 0) -> Tensor:
        """frames (N, 3, S, S), tokens (B, L) with image_tokens `<visual>` for each frame in order; gives (B, L, D).

        Without pictures the tower still runs, on a dummy picture: processes that share its weights wait for each other
        in it. blanks: further pictures that it runs on and nothing sees.
        """
        there = frames if len(frames) or blanks else frames.new_zeros(1, *frames.shape[1:])
        seen = self.connector(self.features(there, blanks))
        places = tokens == self.visual_token
        embedded: Tensor = self.lm.get_input_embeddings()(torch.where(places, 0, tokens))
        flat = seen.flatten(0, 1).to(embedded.dtype)
        placed = embedded.masked_scatter(places[..., None], flat)  # ignores the blanks, which come last
        return placed if len(frames) else embedded + 0 * flat.sum()

    def train(self, mode: bool = True) -> CuMo:
        """A frozen tower stays in evaluation mode."""
        super().train(mode)
        if self.vision_frozen:
            self.vision.eval()
        return self


def build_cumo(recipe: Recipe, vocabulary: Vocabulary, weights: bool = True) -> CuMo:
    """The model of a recipe; torch's random state draws connector and gates.

    weights=False: the architecture only; under `torch.device("meta")` that costs no memory. Raises UserError if parts
    do not fit or weights cannot be loaded.
    """
    settings = recipe.model
    scales = tuple(settings.connector.scales)
    upsampled = settings.paper_compat.upsampled_scales
    if not upsampled and recipe.data.image.size % max(scales):
        raise UserError(
            f"pictures of {recipe.data.image.size} px cannot be divided by the largest scale {max(scales)}",
            "set data.image.size to the tower's size times the largest of model.connector.scales",
            2,
        )
    vision = _tower(settings.vision, recipe.data.image.size // (1 if upsampled else max(scales)), weights)
    lm = build_lm(settings.language, vocabulary, weights)
    width = int(lm.get_input_embeddings().embedding_dim)
    connector = nn.Sequential(nn.Linear(vision.width * len(scales), width), nn.GELU(), nn.Linear(width, width))
    model = CuMo(vision, connector, lm, vocabulary.visual, scales, settings.vision.frozen, upsampled)
    if recipe.data.talk.image_tokens != model.image_tokens:
        raise UserError(
            f"a picture is {model.image_tokens} tokens, data.talk.image_tokens is {recipe.data.talk.image_tokens}",
            "make them equal",
            2,
        )
    if settings.experts.count:
        expert_layers(model, settings.experts)
        watch_routers(lm)  # as the original: only in stages with added experts
    vision.requires_grad_(not settings.vision.frozen)
    connector_learns = not settings.connector.frozen
    model.connector.requires_grad_(connector_learns)
    model.lm.requires_grad_(settings.language.learns == "all")
    if settings.language.learns not in ("all", "none"):
        raise UserError(
            f"a CuMo's language model can be trained as a whole or not at all, not {settings.language.learns}",
            "set model.language.trained to all or none",
            2,
        )
    return model


def _tower(settings: VisionSettings, size: int, weights: bool) -> PatchTower:
    fields = dict(settings.config)
    quick = bool(fields.pop("quick_gelu", False))
    if settings.name:
        known = open_clip().get_model_config(settings.name)
        if known is None:
            raise UserError(f"open_clip has no model {settings.name}", "check model.vision.name", 2)
        fields, quick = dict(known["vision_cfg"]), bool(known.get("quick_gelu", False))
    try:
        if fields.get("image_size", size) != size:
            raise UserError(
                f"the tower sees {fields['image_size']} px, the smallest scale is {size}", "make them equal", 2
            )
        tower = PatchTower(
            size, fields["patch_size"], fields["width"], fields["layers"], fields.get("head_width", 64),
            fields.get("mlp_ratio", 4.0), quick,
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise UserError(
            f"a CuMo's tower must be a vision transformer with layers, width, patch_size: {error}",
            "check model.vision",
            2,
        ) from error
    if weights and settings.pretrained:
        _fill(tower, settings)
    return tower


def _fill(tower: PatchTower, settings: VisionSettings) -> None:
    """Loads open_clip's weights by name; if there is a `config`, those of a plain CLIP in a local file."""
    try:
        if settings.name:
            whole = open_clip().create_model(settings.name, pretrained=settings.pretrained).visual.state_dict()
        else:
            whole = read_visual(Path(settings.pretrained))
    except (RuntimeError, OSError) as error:
        raise UserError(
            f"cannot make the visual tower {settings.name} ({settings.pretrained}): {error}",
            "check model.vision.name; without network, give a local file as model.vision.pretrained",
        ) from error
    wanted = tower.state_dict()
    wrong = [name for name, tensor in wanted.items() if getattr(whole.get(name), "shape", None) != tensor.shape]
    if wrong:
        raise UserError(
            f"{settings.pretrained} does not fit model.vision: {', '.join(wrong[:3])}",
            "make them equal; the tower sees data.image.size divided by the largest of model.connector.scales",
            2,
        )
    tower.load_state_dict({name: whole[name] for name in wanted})
