"""Names and shapes of a released file show its model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cosmos_train.errors import UserError
from cosmos_train.families.cosmos import recognised, released
from cosmos_train.families.cosmos.model import build_student
from cosmos_train.recipe import load


@pytest.mark.parametrize("patch", [16, 32])
def test_released_vit_bs_are_those_of_their_recipes(shared_data: Path, patch: int) -> None:
    shapes = json.loads((shared_data / "golden" / f"cosmos_vitb{patch}_state_dict_shapes.json").read_text())
    shapes = shapes.get("shapes", shapes)
    state = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}  # no memory
    found = recognised.recipe_of_state(state, Path("cosmos.pt"))
    wanted = load(f"cosmos_vitb{patch}_cc3m")
    assert found.data.image.size == wanted.data.image.size == 224
    assert found.model.embedding_width == wanted.model.embedding_width
    assert found.model.language.vocabulary == 49408
    with torch.device("meta"):
        half = build_student(found.model, 224, 49407)
        theirs = build_student(wanted.model, 224, 49407)
    assert {name: list(t.shape) for name, t in released.released_state(half).items()} == {
        name: list(shape) for name, shape in shapes.items()
    }
    for one, other in ((half.visual, theirs.visual), (half, theirs)):
        assert one.transformer.resblocks[0].attn.heads == other.transformer.resblocks[0].attn.heads  # type: ignore[union-attr]


def test_what_is_no_vision_transformer_is_refused() -> None:
    with pytest.raises(UserError, match="is not a CLIP or COSMOS with a vision transformer"):
        recognised.recipe_of_state({"visual.layer1.0.conv1.weight": torch.zeros(1)}, Path("resnet.pt"))


def test_a_folders_pixel_statistics_are_used_and_other_preprocessing_is_refused(tmp_path: Path) -> None:
    model = {
        "embed_dim": 16, "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 999, "width": 64, "heads": 1, "layers": 1},
    }  # fmt: skip

    def folder(**pixels: object) -> Path:
        (tmp_path / recognised.CONFIG).write_text(json.dumps({"model_cfg": model, "preprocess_cfg": pixels}))
        return tmp_path

    recipe, _ = recognised.recipe_of_folder(folder(mean=[0.5, 0.5, 0.5], std=[0.25, 0.5, 1.0], resize_mode="shortest"))
    assert recipe.model.vision.mean == (0.5, 0.5, 0.5) and recipe.model.vision.std == (0.25, 0.5, 1.0)
    recipe, _ = recognised.recipe_of_folder(folder(interpolation="bicubic"))
    assert recipe.model.vision.mean is None
    for other in ({"resize_mode": "squash"}, {"interpolation": "bilinear"}):
        with pytest.raises(UserError, match=r"its pictures are resized by (squash|bilinear)"):
            recognised.recipe_of_folder(folder(**other))
