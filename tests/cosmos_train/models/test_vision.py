"""The visual tower gives open_clip's own tokens, whatever kind of tower it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cosmos_train.errors import UserError
from cosmos_train.models.backends import open_clip
from cosmos_train.models.settings import VisionSettings
from cosmos_train.models.vision import build_vision

TOWERS: dict[str, dict[str, Any]] = {
    "vit": {"layers": 2, "width": 48, "head_width": 24, "patch_size": 8},
    "resnet": {"layers": [1, 1, 1, 1], "width": 8, "head_width": 16},
    "timm_vit": {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "avg", "timm_proj": "linear"},
    "timm_convnext": {"timm_model_name": "convnext_atto", "timm_pool": "", "timm_proj": "linear"},
}


def reference(kind: str, tower: Any, pixels: torch.Tensor) -> torch.Tensor:
    """The tokens that open_clip says the tower's last layer has."""
    if kind == "vit":
        tower.output_tokens = True
        return tower(pixels)[1]
    found = tower.forward_intermediates(pixels, indices=1, normalize_intermediates=True, output_fmt="NCHW")
    return found["image_intermediates"][-1].flatten(2).transpose(1, 2)


@pytest.mark.parametrize("kind", TOWERS)
def test_patch_tokens_are_open_clips(kind: str) -> None:
    torch.manual_seed(0)
    vision = build_vision(VisionSettings(config=TOWERS[kind]), 64).eval()
    torch.manual_seed(0)
    library = open_clip()
    text = library.CLIPTextCfg(context_length=1, vocab_size=2, width=8, heads=1, layers=1)
    theirs = library.CLIP(8, library.CLIPVisionCfg(image_size=64, **TOWERS[kind]), text).visual.eval()
    if kind == "timm_vit":
        theirs.set_input_size(64)
    frames = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (library.OPENAI_DATASET_MEAN, library.OPENAI_DATASET_STD))
    with torch.no_grad():
        found = vision(frames)
        expected = reference(kind, theirs, (frames.float() / 255 - mean) / std)
    assert found.shape[-1] == vision.width
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_named_tower_is_open_clips_and_has_its_own_pixel_statistics() -> None:
    name = "ViT-B-16-SigLIP"
    with torch.device("meta"):
        vision = build_vision(VisionSettings(name=name, pretrained="webli"), 224, weights=False)
    assert vision.width == 768
    assert open_clip().get_model_config(name)["vision_cfg"]["image_size"] == 224


def test_no_frames_give_no_tokens_and_leave_the_tower_in_the_graph() -> None:
    vision = build_vision(VisionSettings(config=TOWERS["vit"], frozen=False), 32)
    found = vision(torch.zeros(0, 3, 1, 1, dtype=torch.uint8))
    assert found.shape == (0, 16, 48)
    found.sum().backward()
    assert all(p.grad is not None for name, p in vision.named_parameters() if "ln_post" not in name)


def test_as_released_pixels_are_normalised_with_imagenets_statistics() -> None:
    vision = build_vision(VisionSettings(config=TOWERS["vit"]), 32, imagenet_pixels=True)
    assert vision.mean == (0.485, 0.456, 0.406)
    assert torch.allclose(vision.pixel_std.flatten(), 255 * torch.tensor([0.229, 0.224, 0.225]))


def test_bad_vision_settings_are_explained() -> None:
    with pytest.raises(UserError, match="layerz"):
        build_vision(VisionSettings(config={"layerz": 2}), 32)
    with pytest.raises(UserError, match="sees 64 px"):
        build_vision(VisionSettings(config={**TOWERS["vit"], "image_size": 64}), 32)
    with pytest.raises(UserError, match="cannot make the visual tower ViT-Q-14"):
        build_vision(VisionSettings(name="ViT-Q-14"), 224)
