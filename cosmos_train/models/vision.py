"""The visual tower: any open_clip vision transformer, giving patch tokens. Cost: its forward pass per frame."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cosmos_train.errors import UserError
from cosmos_train.models.backends import open_clip
from cosmos_train.recipe import VisionSettings


class Vision(nn.Module):
    """Frames (N, 3, H, W) uint8 to patch tokens (N, v, width)."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, tower: nn.Module, width: int, mean: tuple[float, ...], std: tuple[float, ...], frozen: bool
    ) -> None:
        super().__init__()
        self.tower = tower
        self.width = width
        self.frozen = frozen
        self.register_buffer("mean", 255 * torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).view(3, 1, 1), persistent=False)
        if frozen:
            self.tower.requires_grad_(False)

    def forward(self, frames: Tensor) -> Tensor:
        pixels = (frames.to(self.mean.dtype) - self.mean) / self.std
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            _, patches = self.tower(pixels)
        return patches  # type: ignore[no-any-return]

    def train(self, mode: bool = True) -> Vision:
        """A frozen tower stays in evaluation mode: no dropout on what does not learn."""
        super().train(mode)
        if self.frozen:
            self.tower.eval()
        return self


def build_vision(settings: VisionSettings, image_size: int) -> Vision:
    """The tower the settings name. UserError for an unknown name, missing weights, or a tower without patch tokens."""
    library = open_clip()
    if settings.config:
        config: dict[str, Any] = {"image_size": image_size, **settings.config, "output_tokens": True}
        try:
            vision = library.CLIPVisionCfg(**config)
            text = library.CLIPTextCfg(context_length=1, vocab_size=2, width=8, heads=1, layers=1)  # thrown away
            tower = library.CLIP(8, vision, text).visual
        except (TypeError, ValueError) as error:
            raise UserError(
                f"model.vision.config: {error}", "its keys are the fields of open_clip's CLIPVisionCfg", 2
            ) from error
        mean, std = library.OPENAI_DATASET_MEAN, library.OPENAI_DATASET_STD
    else:
        try:
            model, _, _ = library.create_model_and_transforms(settings.name, pretrained=settings.pretrained or None)
        except (RuntimeError, OSError) as error:
            raise UserError(
                f"cannot make the visual tower {settings.name} ({settings.pretrained}): {error}",
                "check model.vision.name; without network, give a local file as model.vision.pretrained",
            ) from error
        tower = model.visual
        mean = getattr(tower, "image_mean", None) or library.OPENAI_DATASET_MEAN
        std = getattr(tower, "image_std", None) or library.OPENAI_DATASET_STD
    if not hasattr(tower, "output_tokens"):
        raise UserError(
            f"{settings.name or 'the tower'} gives no patch tokens", "name a vision transformer of open_clip", 2
        )
    size = tower.image_size if isinstance(tower.image_size, int) else tower.image_size[0]
    if size != image_size:
        raise UserError(f"the visual tower sees {size} px, data.image.size is {image_size}", "make them equal", 2)
    tower.output_tokens = True
    tower.proj = None  # the projection to CLIP's own space is not used
    return Vision(tower, tower.conv1.out_channels, mean, std, settings.frozen)
