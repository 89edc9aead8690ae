"""The vision tower: any of open_clip's (vision transformers, ResNets, timm models). It gives patch tokens.

Costs its forward pass per frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cosmos_train.errors import UserError
from cosmos_train.models.backends import open_clip
from cosmos_train.models.settings import VisionSettings

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Vision(nn.Module):
    """Frames (N, 3, H, W) uint8 to patch tokens (N, v, width); N may be 0. mean, std: of pixels in 0 to 1."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self, tower: nn.Module, width: int, size: int, mean: tuple[float, ...], std: tuple[float, ...], frozen: bool
    ) -> None:
        super().__init__()
        self.tower = tower
        self.width = width
        self.size = size
        self.mean, self.std = mean, std
        self.frozen = frozen
        self.register_buffer("pixel_mean", 255 * torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", 255 * torch.tensor(std).view(3, 1, 1), persistent=False)
        if frozen:
            self.tower.requires_grad_(False)

    def forward(self, frames: Tensor) -> Tensor:
        count = len(frames)
        if not count:  # the tower still runs: processes that share its weights wait for each other in it
            frames = frames.new_zeros(1, 3, self.size, self.size)
        pixels = (frames - self.pixel_mean) / self.pixel_std
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            found: Tensor = patch_tokens(self.tower, pixels.to(next(self.tower.parameters()).dtype))
        return found[:count]

    def train(self, mode: bool = True) -> Vision:
        """A frozen tower stays in evaluation mode: no dropout in weights that do not learn."""
        super().train(mode)
        if self.frozen:
            self.tower.eval()
        return self


def patch_tokens(tower: Any, pixels: Tensor) -> Tensor:
    """A tower's last features before pooling, by position: (N, v, width)."""
    if hasattr(tower, "output_tokens"):  # open_clip's transformer
        return tower(pixels)[1]  # type: ignore[no-any-return]
    if hasattr(tower, "trunk"):  # timm
        features = tower.trunk.forward_features(pixels)
        prefix = getattr(tower.trunk, "num_prefix_tokens", 0)
        return features[:, prefix:] if features.ndim == 3 else features.flatten(2).transpose(1, 2)  # type: ignore[no-any-return]
    for stage in (tower.stem, tower.layer1, tower.layer2, tower.layer3, tower.layer4):  # open_clip's ResNet
        pixels = stage(pixels)
    return pixels.flatten(2).transpose(1, 2)


def build_vision(
    settings: VisionSettings, image_size: int, weights: bool = True, imagenet_pixels: bool = False
) -> Vision:
    """The tower of the settings. UserError for an unknown name or missing weights.

    weights=False: as if `pretrained` were empty, for counting and planning.
    """
    from_scratch = settings if weights else settings.model_copy(update={"pretrained": ""})
    tower = _from_config(from_scratch, image_size) if settings.config else _by_name(settings, weights)
    size = tower.image_size if isinstance(tower.image_size, int) else tower.image_size[0]
    if size != image_size:
        raise UserError(f"the visual tower sees {size} px, data.image.size is {image_size}", "make them equal", 2)
    mean = settings.mean or getattr(tower, "image_mean", None) or open_clip().OPENAI_DATASET_MEAN
    std = settings.std or getattr(tower, "image_std", None) or open_clip().OPENAI_DATASET_STD
    if imagenet_pixels:
        mean, std = _IMAGENET
    return Vision(tower, _without_pooling(tower), image_size, tuple(mean), tuple(std), settings.frozen)


def _from_config(settings: VisionSettings, image_size: int) -> Any:
    library = open_clip()
    fields: dict[str, Any] = {"image_size": image_size, **settings.config}
    quick_gelu = bool(fields.pop("quick_gelu", False))
    try:
        # open_clip builds a text tower too: it is made as small as possible, and dropped.
        text = library.CLIPTextCfg(context_length=1, vocab_size=2, width=8, heads=1, layers=1)
        tower = library.CLIP(8, library.CLIPVisionCfg(**fields), text, quick_gelu=quick_gelu).visual
    except (TypeError, ValueError) as error:
        raise UserError(
            f"model.vision.config: {error}", "its keys are the fields of open_clip's CLIPVisionCfg", 2
        ) from error
    if settings.pretrained:
        _fill(tower, Path(settings.pretrained))
    if hasattr(tower, "set_input_size"):  # timm builds a model for the image size of its weights
        tower.set_input_size(fields["image_size"])
    return tower


def read_visual(path: Path) -> dict[str, Tensor]:
    """The vision weights of a plain CLIP, as open_clip and `cosmos_train export` of a COSMOS write it.

    Raises UserError if the file cannot be read.
    """
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except Exception as error:  # safetensors and the file system raise unrelated types
        raise UserError(
            f"cannot read the visual tower {path}: {error}", "give open_clip_model.safetensors of an export", 2
        ) from error
    return {name.removeprefix("visual."): t for name, t in state.items() if name.startswith("visual.")}


def _fill(tower: nn.Module, path: Path) -> None:
    found = read_visual(path)
    wanted = tower.state_dict()
    wrong = [
        name
        for name, tensor in wanted.items()
        if name != "proj" and getattr(found.get(name), "shape", None) != tensor.shape
    ]
    if wrong:
        raise UserError(f"{path} does not fit model.vision.config: {', '.join(wrong[:3])}", "make them the same", 2)
    tower.load_state_dict({name: found[name] for name in wanted if name != "proj"}, strict=False)


def _by_name(settings: VisionSettings, weights: bool) -> Any:
    library = open_clip()
    if not (weights and settings.pretrained):
        config = library.get_model_config(settings.name)
        if config is not None:
            fields = {"quick_gelu": config.get("quick_gelu", False), **config["vision_cfg"]}
            fields["timm_model_pretrained"] = False
            return _from_config(VisionSettings(config=fields), config["vision_cfg"].get("image_size", 224))
    try:
        model = library.create_model(settings.name, pretrained=settings.pretrained or None)
    except (RuntimeError, OSError) as error:
        raise UserError(
            f"cannot make the visual tower {settings.name} ({settings.pretrained}): {error}",
            "check model.vision.name; without network, give a local file as model.vision.pretrained",
        ) from error
    return model.visual


def _without_pooling(tower: Any) -> int:
    """Removes modules that only the pooled output needs; returns the width of the patch tokens."""
    if hasattr(tower, "output_tokens"):
        tower.output_tokens = True
        tower.proj = None
        return int(tower.positional_embedding.shape[-1])
    if hasattr(tower, "trunk"):
        tower.trunk.attn_pool = None
        tower.trunk.fc_norm = nn.Identity()
        tower.trunk.head = nn.Identity()
        tower.head = nn.Identity()
        return int(tower.trunk.num_features)
    width = int(tower.attnpool.positional_embedding.shape[-1])
    tower.attnpool = nn.Identity()
    return width
