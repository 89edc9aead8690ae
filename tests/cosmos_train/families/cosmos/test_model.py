"""COSMOS's model: against the original's outputs, by name and number of its parameters, and against open_clip."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cosmos_train.errors import UserError
from cosmos_train.families.cosmos import released
from cosmos_train.families.cosmos.model import EXTRA, Cosmos, Student, build_cosmos, build_student
from cosmos_train.models.backends import open_clip
from cosmos_train.models.pretrained import PlannedVocabulary
from cosmos_train.models.settings import ModelSettings
from cosmos_train.models.towers import VisionTower
from cosmos_train.recipe import load
from golden import config_of, count


def tiny(**vision: Any) -> ModelSettings:
    return ModelSettings(
        kind="cosmos",
        vision={"config": {"layers": 2, "width": 64, "head_width": 16, "patch_size": 16, **vision}, "frozen": False},
        language={"config": {"context_length": 16, "width": 32, "heads": 4, "layers": 2}, "vocabulary": 400},
        embedding_width=32,
        pooler_heads=4,
    )


@pytest.fixture
def student() -> Student:
    torch.manual_seed(0)
    return build_student(tiny(), 64, 2)


@pytest.fixture
def golden(shared_data: Path) -> tuple[Student, Any]:
    with np.load(shared_data / "golden" / "cosmos_tiny_model.npz") as arrays:
        found = {name: arrays[name] for name in arrays}
    return as_stored(found), found


def as_stored(found: dict[str, Any]) -> Student:
    """The student of a golden file: sizes by the shapes, heads and activation by its config, else as documented."""
    state = {name[7:]: torch.tensor(array) for name, array in found.items() if name.startswith("weight/")}
    about = config_of(found)
    vision, text = about.get("vision_cfg", {}), about.get("text_cfg", {})
    width, _, patch, _ = state["visual.conv1.weight"].shape
    side = round((len(state["visual.positional_embedding"]) - 1) ** 0.5)
    vocabulary, text_width = state["token_embedding.weight"].shape
    embedding = state["text_projection"].shape[1]
    tower = VisionTower(
        side * patch, patch, width, count(state, "visual.transformer.resblocks."), vision.get("head_width", 16),
        embedding, state["visual.transformer.resblocks.0.mlp.c_fc.weight"].shape[0] / width,
    )  # fmt: skip
    model = Student(
        tower, len(state["positional_embedding"]), vocabulary, text_width, count(state, "transformer.resblocks."),
        text.get("heads", 4), embedding, about.get("attn_pooler_heads", 4), vocabulary - 1, math.log(1 / 0.07),
    ).double()  # fmt: skip
    for block in [*model.visual.transformer.resblocks, *model.transformer.resblocks]:
        block.mlp.quick = about.get("quick_gelu", False)
    released.fill(model, state, "the golden file")
    return model


def test_files_of_other_sizes_are_read_by_their_shapes_and_config() -> None:
    torch.manual_seed(0)
    tower = VisionTower(48, 8, 48, 3, 24, 24, 2.0)
    made = Student(tower, 12, 50, 24, 1, 3, 24, 2, 49, 0.0).double()
    config = {"vision_cfg": {"head_width": 24}, "text_cfg": {"heads": 3}, "attn_pooler_heads": 2, "quick_gelu": True}
    state = released.released_state(made)
    found = {f"weight/{name}": tensor.numpy() for name, tensor in state.items()}
    again = as_stored({**found, "config": np.array(json.dumps(config))})
    for block in (*made.visual.transformer.resblocks, *made.transformer.resblocks):
        block.mlp.quick = True
    pixels, tokens = torch.randn(2, 3, 48, 48).double(), torch.randint(1, 50, (2, 12))
    assert torch.equal(again.images(pixels).pooled, made.images(pixels).pooled)
    assert torch.equal(again.texts(tokens).pooled, made.texts(tokens).pooled)
    assert again.text_attn_cross_pool.attn.heads == 2


def test_student_and_teacher_see_what_the_originals_see(golden: tuple[Student, Any]) -> None:
    model, found = golden
    want = {name: torch.tensor(found[name]) for name in found if not name.startswith(("weight/", "config"))}
    large = model.images(want["global_crops"].double().flatten(0, 1))
    small = model.images(want["local_crops"].double().flatten(0, 1))
    texts = model.texts(want["text"])
    long, rows = want["global_crops"].shape[:2]
    seen = torch.cat([large.pooled, small.pooled]).unflatten(0, (-1, rows))
    said = texts.pooled.unflatten(0, (-1, rows))
    cross = model.cross(seen, said, large.tokens[:rows], texts.tokens[:rows])
    outputs = {
        "student/image_features": F.normalize(seen, dim=-1),
        "student/text_features": F.normalize(said, dim=-1),
        "student/img_crossmodal_features": cross[0],
        "student/txt_crossmodal_features": cross[1],
        "teacher/image_features": F.normalize(seen[:long], dim=-1),
        "teacher/text_features": F.normalize(said[:long], dim=-1),
    }
    for name, got in outputs.items():
        assert (got.flatten(0, 1) - want[name]).abs().max() < 1e-7, name
    assert model.logit_scale.exp().item() == pytest.approx(float(found["student/logit_scale"]))


def test_what_is_drawn_are_the_weights_that_give_the_originals_cross_modal_features(
    golden: tuple[Student, Any],
) -> None:
    model, found = golden
    images = model.images(torch.tensor(found["global_crops"]).double().flatten(0, 1))
    rows = found["global_crops"].shape[1]
    said = model.texts(torch.tensor(found["text"])).pooled.unflatten(0, (-1, rows))
    pooler: Any = model.visual.attn_cross_pool
    original = torch.nn.MultiheadAttention(said.shape[-1], pooler.attn.heads, batch_first=True).double()
    original.load_state_dict(pooler.attn.state_dict())
    query, patches = said.transpose(0, 1), images.tokens[:rows]
    tokens = pooler.ln_k(patches)
    pooled, weights = original(pooler.ln_q(query), tokens, tokens, need_weights=True, average_attn_weights=True)
    crossed = F.normalize(query + pooled, dim=-1).transpose(0, 1).flatten(0, 1)
    assert (crossed - torch.tensor(found["student/txt_crossmodal_features"])).abs().max() < 1e-7
    assert (pooler.weights(query, patches) - weights).abs().max() < 1e-12


@pytest.mark.parametrize(("size", "parameters"), [(16, 152_382_466), (32, 154_039_042)])
def test_full_size_has_the_released_names_and_shapes(shared_data: Path, size: int, parameters: int) -> None:
    recipe = load(f"cosmos_vitb{size}_cc3m")
    with torch.device("meta"):
        model = build_cosmos(recipe, PlannedVocabulary(49408, begin=49406, end=49407))
    assert sum(p.numel() for p in model.student.parameters()) == parameters
    wanted = json.loads((shared_data / "golden" / f"cosmos_vitb{size}_state_dict_shapes.json").read_text())
    wanted = wanted.get("shapes", wanted)
    found = {name: list(t.shape) for name, t in released.released_state(model.student).items()}
    assert found == {name: list(shape) for name, shape in wanted.items()}
    assert len(found) == 323
    assert all(not p.requires_grad for p in model.teacher.parameters())


def test_what_open_clip_does_not_have_is_21_tensors_and_the_rest_is_the_same_model(student: Student) -> None:
    assert len(EXTRA) == len(set(EXTRA)) == 21
    student.end = 399  # open_clip pools at the highest id
    library, config = open_clip(), released.open_clip_config(student)
    plain = library.CLIP(
        config["embed_dim"], library.CLIPVisionCfg(**config["vision_cfg"]), library.CLIPTextCfg(**config["text_cfg"])
    ).eval()
    state = released.released_state(student)
    assert set(state) - set(plain.state_dict()) == set(EXTRA)
    plain.load_state_dict(released.to_open_clip(state))
    pixels, tokens = torch.randn(3, 3, 64, 64), torch.randint(3, 99, (3, 16))
    tokens[:, 9] = 399
    with torch.no_grad():
        assert torch.allclose(plain.encode_image(pixels), student.images(pixels).pooled, atol=1e-5)
        assert torch.allclose(plain.encode_text(tokens), student.texts(tokens).pooled, atol=1e-5)
    # And back: what open_clip lacks stays as it was drawn.
    other = build_student(tiny(), 64, 2)
    own = {name: tensor for name, tensor in released.released_state(other).items() if name in EXTRA}
    released.fill(other, released.from_open_clip(plain.state_dict(), other), "open_clip")
    after = released.released_state(other)
    for name, tensor in after.items():
        assert torch.equal(tensor, own[name] if name in EXTRA else state[name]), name


def test_a_file_as_released_loads_with_and_without_prefixes(student: Student, tmp_path: Path) -> None:
    model = Cosmos(student)
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.add_(1)
    path = tmp_path / "cosmos_vitb16_cc3m.pt"
    released.write(model, path, "run", 32)
    content = torch.load(path, weights_only=True)
    content["student"] = {f"module.{name}": tensor for name, tensor in content["student"].items()}
    torch.save(content, path)
    other = Cosmos(build_student(tiny(), 64, 2))
    released.start(other, path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_a_file_of_another_architecture_is_refused_and_explained(student: Student, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    released.write(Cosmos(student), path, "run", 1)
    with pytest.raises(
        UserError, match=r"does not fit the recipe's model.*visual\.conv1\.weight is \(64, 3, 16, 16\)"
    ) as caught:
        released.start(Cosmos(build_student(tiny(patch_size=8), 64, 2)), path)
    assert "2 layers, width 64, patch 16, embedding 32" in caught.value.do
    torch.save({"state_dict": {}}, path)
    with pytest.raises(UserError, match="holds no COSMOS student, but state_dict"):
        released.start(Cosmos(student), path)
    path.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="holds more than weights"):
        released.start(Cosmos(student), path)


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("unpickled",))


def test_nothing_is_unpickled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"student": {}, "optimizer": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match="holds more than weights"):
        released.read(tmp_path / "evil.pt")
    assert "unpickled" not in capsys.readouterr().out


def test_attention_weights_are_those_that_the_pooler_uses(student: Student) -> None:
    pooler: Any = student.text_attn_cross_pool
    query, tokens = torch.randn(2, 3, 32), torch.randn(2, 7, 32)
    weights = pooler.weights(query, tokens)
    assert weights.shape == (2, 3, 7)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 3), atol=1e-6)
    # With one head the output is the projected mean of the values under these weights.
    from cosmos_train.models.towers import Attention

    one = Attention(8, 1)
    query, tokens = torch.randn(1, 2, 8), torch.randn(1, 5, 8)
    values = tokens @ one.in_proj_weight[16:].T + one.in_proj_bias[16:]
    assert torch.allclose(one(query, tokens), one.out_proj(one.weights(query, tokens) @ values), atol=1e-6)


def test_configs_with_unknown_or_missing_fields_are_refused() -> None:
    with pytest.raises(UserError, match=r"unknown: model\.vision\.config\.depth"):
        build_student(tiny(depth=3), 64, 2)
    settings = tiny().model_copy(update={"vision": tiny().vision.model_copy(update={"config": {"width": 64}})})
    with pytest.raises(UserError, match="lacks 'patch_size'"):
        build_student(settings, 64, 2)
