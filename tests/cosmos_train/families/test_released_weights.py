"""Weights under the names of the released code: they load, and compute what the model computed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from typer.testing import CliRunner

from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.families.cosmo import released as cosmo_released
from cosmos_train.families.cosmo.model import CosMo, build_cosmo
from cosmos_train.families.cosmos import released as cosmos_released
from cosmos_train.families.cosmos.model import Cosmos, build_student
from cosmos_train.families.cumo import released as cumo_released
from cosmos_train.families.cumo.model import CuMo, build_cumo
from cosmos_train.families.registry import find
from cosmos_train.models.backends import open_clip
from cosmos_train.models.misfit import misfit
from cosmos_train.models.pretrained import PlannedVocabulary
from cosmos_train.models.settings import ModelSettings
from cosmos_train.recipe import Recipe, load
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train.starting import family_at, load_initial_weights
from cumo_recipe import cumo_recipe

EXPERTS = {"count": 3, "top_k": 2, "places": ["vision", "connector"]}
MIXTRAL = {
    "config": {
        "model_type": "mixtral", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 128,
        "num_local_experts": 3, "num_experts_per_tok": 2, "tie_word_embeddings": False,
    },
    "vocabulary": 400,
}  # fmt: skip


# -- shapes of the full size --


def stored(shared_data: Path, name: str) -> dict[str, Tensor]:
    found = json.loads((shared_data / "golden" / name).read_text())
    shapes = found.get("shapes", found)
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def fits(model: torch.nn.Module, state: dict[str, Tensor]) -> str:
    wanted, found = ({name: tuple(tensor.shape) for name, tensor in one.items()} for one in (model.state_dict(), state))
    return misfit(wanted, found)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("cosmo_2b_state_dict_shapes.json", []),
        ("cosmo_2b_18m_state_dict_shapes.json", ["model.fusion.interval=1", "model.fusion.bottleneck=1"]),
    ],
)
@pytest.mark.parametrize("aliases", [True, False])
def test_a_cosmos_full_layout_fits(shared_data: Path, name: str, settings: list[str], aliases: bool) -> None:
    with torch.device("meta"):
        recipe = load("cosmo_2b", ["model.resampler.frame_time=false", *settings])
        model = build_cosmo(recipe, PlannedVocabulary(50267), weights=False)
    state = stored(shared_data, name)
    if not aliases:
        kept = ("lang_model.old_decoder_blocks", "lang_model.gated_cross_attn_layers", "lang_model.lm_head")
        state = {key: tensor for key, tensor in state.items() if not key.startswith(kept)}
    assert fits(model, cosmo_released.converted(state, model)) == ""


def test_a_cumos_full_layout_fits(shared_data: Path) -> None:
    with torch.device("meta"):
        model = build_cumo(load("cumo_stage3_mistral7b"), PlannedVocabulary(32002), weights=False)
    state = stored(shared_data, "cumo_mistral7b_state_dict_shapes.json")
    assert fits(model, cumo_released.converted(state, model)) == ""
    del state["model.mm_projector.experts.3.2.bias"]
    assert "connector.second_bias is (12288,), not (16384,)" in fits(model, cumo_released.converted(state, model))


# -- CuMo --


def llava_names(model: CuMo, layers: int) -> dict[str, Tensor]:
    """A CuMo's weights as LLaVA names them, with a last layer of the tower that ours does not have."""
    found: dict[str, Tensor] = {}
    tower = "model.vision_tower.vision_model."

    def experts(prefix: str, one: Any, names: tuple[str, str]) -> None:
        found[f"{prefix}gate.weight"] = one.gate.weight
        for name, weight, bias in ((names[0], one.first, one.first_bias), (names[1], one.second, one.second_bias)):
            for number, (matrix, vector) in enumerate(zip(weight.chunk(3), bias.chunk(3), strict=True)):
                found[f"{prefix}experts.{number}.{name}.weight"] = matrix
                found[f"{prefix}experts.{number}.{name}.bias"] = vector

    vision = model.vision
    found[f"{tower}embeddings.class_embedding"] = vision.class_embedding
    found[f"{tower}embeddings.patch_embedding.weight"] = vision.conv1.weight
    found[f"{tower}embeddings.position_embedding.weight"] = vision.positional_embedding
    found[f"{tower}pre_layrnorm.weight"], found[f"{tower}pre_layrnorm.bias"] = vision.ln_pre.weight, vision.ln_pre.bias
    for number in range(layers):
        block: Any = vision.transformer.resblocks[min(number, layers - 2)]
        prefix = f"{tower}encoder.layers.{number}."
        for name, weight, bias in zip(
            "qkv", block.attn.in_proj_weight.chunk(3), block.attn.in_proj_bias.chunk(3), strict=True
        ):
            found[f"{prefix}self_attn.{name}_proj.weight"] = weight
            found[f"{prefix}self_attn.{name}_proj.bias"] = bias
        pairs = {"self_attn.out_proj": block.attn.out_proj, "layer_norm1": block.ln_1, "layer_norm2": block.ln_2}
        for name, module in pairs.items():
            found[f"{prefix}{name}.weight"], found[f"{prefix}{name}.bias"] = module.weight, module.bias
        if hasattr(block.mlp, "gate"):
            experts(prefix, block.mlp, ("fc1", "fc2"))
        else:
            for name, module in (("mlp.fc1", block.mlp.c_fc), ("mlp.fc2", block.mlp.c_proj)):
                found[f"{prefix}{name}.weight"], found[f"{prefix}{name}.bias"] = module.weight, module.bias
    connector: Any = model.connector
    if hasattr(connector, "gate"):
        experts("model.mm_projector.", connector, ("0", "2"))
    else:
        for number in (0, 2):
            found[f"model.mm_projector.{number}.weight"] = connector[number].weight
            found[f"model.mm_projector.{number}.bias"] = connector[number].bias
    for name, tensor in model.lm.state_dict().items():
        found.update(mixtral_names(name, tensor))
    return {name: tensor.detach().clone().contiguous() for name, tensor in found.items()}


def mixtral_names(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """The language model's own names; a Mixtral's as Mistral released it."""
    block = name.rpartition(".mlp.")[0] + ".block_sparse_moe."
    if name.endswith("mlp.experts.gate_up_proj"):
        return {
            f"{block}experts.{e}.{w}.weight": part
            for e, one in enumerate(tensor) for w, part in zip(("w1", "w3"), one.chunk(2), strict=True)
        }  # fmt: skip
    if name.endswith("mlp.experts.down_proj"):
        return {f"{block}experts.{e}.w2.weight": one for e, one in enumerate(tensor)}
    return {f"{block}gate.weight" if name.endswith("mlp.gate.weight") else name: tensor}


def talked(model: CuMo, words: Tokenizer) -> Tensor:
    torch.manual_seed(5)
    tokens = torch.randint(5, 300, (2, 9))
    tokens[:, 1:5] = words.visual
    frames = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        return model.eval()(frames, tokens, torch.ones_like(tokens, dtype=torch.bool))


@pytest.mark.parametrize("settings", [{}, {"model__experts": EXPERTS}, {"model__language": MIXTRAL}])
def test_a_cumo_as_released_computes_the_same(
    shards: Path, words: Tokenizer, tmp_path: Path, settings: dict[str, Any]
) -> None:
    recipe = cumo_recipe(shards, **settings)
    torch.manual_seed(1)
    model = build_cumo(recipe, words)
    state = llava_names(model, 3)
    names = sorted(state)
    save_file({name: state[name] for name in names[::2]}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({name: state[name] for name in names[1::2]}, tmp_path / "model-00002-of-00002.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava_mistral"}))
    assert family_at(tmp_path).kind == "cumo"
    torch.manual_seed(2)
    other = build_cumo(recipe, words)
    assert not torch.allclose(talked(other, words), talked(model, words))
    begun = recipe.model_copy(update={"train": recipe.train.model_copy(update={"start_from": str(tmp_path)})})
    load_initial_weights(begun).fill(other)
    assert torch.equal(talked(other, words), talked(model, words))


def test_tokens_that_a_cumos_file_lacks_keep_their_rows(shards: Path, words: Tokenizer, tmp_path: Path) -> None:
    recipe = cumo_recipe(shards)
    model = build_cumo(recipe, words)
    state = llava_names(model, 3)
    rows = len(state["lm_head.weight"])
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        state[name] = state[name][: rows - 2] + 1
    torch.save(state, tmp_path / "pytorch_model.bin")
    before = model.lm.lm_head.weight.detach().clone()
    find("cumo").load_file(model, tmp_path / "pytorch_model.bin", recipe)
    assert torch.equal(model.lm.lm_head.weight[: rows - 2], before[: rows - 2] + 1)
    assert torch.equal(model.lm.lm_head.weight[rows - 2 :], before[rows - 2 :])
    with pytest.raises(UserError, match="does not fit the recipe's model"):
        find("cumo").load_file(
            build_cumo(cumo_recipe(shards, model__experts=EXPERTS), words), tmp_path / "pytorch_model.bin", recipe
        )


def test_upsampled_scales_are_the_released_ones(shards: Path, words: Tokenizer) -> None:
    recipe = cumo_recipe(
        shards, data__image={"size": 16}, model__paper_compat={"upsampled_scales": True},
        model__connector={"scales": [1, 3]},
    )  # fmt: skip
    model = build_cumo(recipe, words)
    assert (model.vision.size, model.picture_size, model.image_tokens) == (16, 16, 4)
    frames = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    pixels = (frames - model.pixel_mean) / model.pixel_std
    large = F.interpolate(pixels, size=48, mode="bicubic")
    rows = []
    for row in range(3):
        tiles = [model.vision.patches(large[:, :, 16 * row : 16 * row + 16, 16 * c : 16 * c + 16]) for c in range(3)]
        rows.append(torch.cat([tile.transpose(1, 2).unflatten(2, (2, 2)) for tile in tiles], -1))
    whole = F.interpolate(torch.cat(rows, -2), size=2, mode="area").flatten(2).transpose(1, 2)
    wanted = torch.cat([model.vision.patches(pixels), whole], -1)
    assert torch.allclose(model.features(frames), wanted, atol=1e-5)
    assert "upsampled_scales" not in cumo_recipe(shards).model.paper_compat.model_dump()
    assert find("cumo").drawn_outputs(model)[0].shape[0] == 2


# -- CosMo --


def flamingo_names(model: CosMo) -> dict[str, Tensor]:
    """A CosMo's weights as the released code names them; the vocabulary with its six tokens at the end."""
    found: dict[str, Tensor] = {
        "vision_encoder.visual.proj": torch.zeros(48, 8), "vision_encoder.transformer.resblocks.0.ln_1.weight":
        torch.zeros(8),
    }  # fmt: skip
    for name, tensor in model.state_dict().items():
        top, _, rest = name.partition(".")
        if top == "vision":
            found[name.replace("vision.tower.", "vision_encoder.visual.")] = tensor
        elif top == "resampler":
            found["perceiver." + rest.replace(".attention.", ".0.").replace(".feed_forward.", ".1.")] = tensor
        elif rest.startswith("blocks."):
            _, number, within = rest.split(".", 2)
            for ours, theirs in (("attention_gate", "attn_gate"), ("feed_forward_gate", "ff_gate"),
                                 ("attention.", "attn."), ("feed_forward.", "ff.")):  # fmt: skip
                if within.startswith(ours):
                    within = theirs + within.removeprefix(ours)
                    break
            found[f"lang_model.model.decoder.layers.{number}.gated_cross_attn_layer.{within}"] = tensor
            found[f"lang_model.gated_cross_attn_layers.{number}.{within}"] = tensor
        elif rest.startswith("lm.model.decoder.layers."):
            number, within = rest.removeprefix("lm.model.decoder.layers.").split(".", 1)
            found[f"lang_model.model.decoder.layers.{number}.decoder_layer.{within}"] = tensor
            found[f"lang_model.old_decoder_blocks.{number}.{within}"] = tensor
        elif rest.startswith("lm."):
            found[f"lang_model.{rest.removeprefix('lm.')}"] = tensor
    query = model.text_query
    found |= {
        "temperature": model.log_scale, "text_latent": query.query, "text_cls_norm.gamma": query.norm.weight,
        "text_cls_norm.beta": query.norm.bias, "img_to_latents.to_latents.weight": model.project_media.weight,
        "text_to_latents.to_latents.weight": model.project_text.weight,
    }  # fmt: skip
    for ours, theirs in (("attention.", "text_learn_attnetion_layer."), ("feed_forward.", "text_learn_ff.")):
        for name, tensor in query.state_dict().items():
            if name.startswith(ours):
                found[theirs + name.removeprefix(ours)] = tensor
    base, ids = model.visual_token, [model.visual_token + 1, model.visual_token]  # the end of a chunk comes first
    for name in ("lang_model.model.decoder.embed_tokens.weight", "lang_model.lm_head.weight"):
        found[name] = torch.cat([found[name][:base], found[name][ids], torch.zeros(4, found[name].shape[1])])
    return {name: tensor.detach().clone().contiguous() for name, tensor in found.items()}


def last_words(tiny: Callable[..., Recipe], **settings: Any) -> tuple[Recipe, PlannedVocabulary]:
    """A recipe whose tokenizer has our tokens at the end, as pretrained ones have."""
    return tiny(model__resampler__frame_time=False, **settings), PlannedVocabulary(400)


def seen(model: CosMo) -> list[Tensor]:
    torch.manual_seed(4)
    frames = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    tokens = torch.randint(5, 398, (2, 7))
    tokens[:, 1], tokens[:, -1] = model.visual_token, model.visual_token + 1
    with torch.no_grad():
        media = model.eval().encode_media(frames, torch.ones(2, 1, 1, dtype=torch.bool), torch.zeros(2, 1, 1))
        logits, states = model(tokens, media.tokens)
        return [logits, media.query, model.text_embedding(states, torch.ones(2, 7, dtype=torch.bool)), model.scale()]


@pytest.mark.parametrize("how", ["bin", "safetensors"])
def test_a_cosmo_as_released_computes_the_same(tiny: Callable[..., Recipe], tmp_path: Path, how: str) -> None:
    recipe, words = last_words(tiny)
    torch.manual_seed(1)
    model = build_cosmo(recipe, words)
    with torch.no_grad():
        for block in model.language.blocks.values():
            block.attention_gate.fill_(0.7)  # type: ignore[union-attr,operator]
    state = flamingo_names(model)
    path = tmp_path / f"model.{how}"
    if how == "bin":
        torch.save(state, path)
    else:  # each tensor under one name
        single = ("lang_model.old_decoder_blocks", "lang_model.gated_cross", "lang_model.lm_head")
        save_file({name: tensor for name, tensor in state.items() if not name.startswith(single)}, path)
    assert family_at(path).kind == "cosmo"
    torch.manual_seed(2)
    other = build_cosmo(recipe, words)
    assert not torch.allclose(seen(other)[0], seen(model)[0])
    find("cosmo").load_file(other, path, recipe)
    for one, wanted in zip(seen(other), seen(model), strict=True):
        assert torch.equal(one, wanted)
    timed = build_cosmo(tiny(), words)
    with pytest.raises(UserError, match=r"resampler\.frame_time\.project\.weight is missing") as caught:
        find("cosmo").load_file(timed, path, recipe)
    assert "frame_time=false" in caught.value.do


def test_the_rows_that_alone_learn_are_the_files(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe, words = last_words(tiny, model__language__trained="new_tokens")
    model = build_cosmo(recipe, words)
    state = flamingo_names(model)
    embedding = state["lang_model.model.decoder.embed_tokens.weight"]
    embedding[398] = 2.0  # the end of a chunk
    embedding[399] = 3.0  # <visual>
    state["lang_model.lm_head.weight"] = embedding
    torch.save(state, tmp_path / "a.bin")
    find("cosmo").load_file(model, tmp_path / "a.bin", recipe)
    rows: Any = model.language.new_rows
    assert rows.input.tolist() == [[3.0] * 48, [2.0] * 48]


# -- COSMOS --


def test_a_released_cosmos_becomes_an_open_clip_folder(tmp_path: Path) -> None:
    settings = ModelSettings.model_validate({
        "kind": "cosmos", "embedding_width": 16, "pooler_heads": 2,
        "vision": {"config": {"layers": 1, "width": 64, "patch_size": 16}, "frozen": False},
        "language": {"config": {"context_length": 12, "width": 64, "heads": 1, "layers": 1}, "vocabulary": 49408},
    })  # fmt: skip
    torch.manual_seed(0)
    model = Cosmos(build_student(settings, 32, 49407))
    with torch.no_grad():
        model.teacher.visual.proj.add_(1)
    cosmos_released.write(model, tmp_path / "released.pt", "x", 3)
    for part in ("teacher", "student"):
        out = tmp_path / part
        said = CliRunner().invoke(app, ["export", str(tmp_path / "released.pt"), str(out), "--part", part])
        assert said.exit_code == 0, said.output
        theirs = open_clip().create_model(f"local-dir:{out}").eval()
        pixels, tokens = torch.randn(2, 3, 32, 32), torch.tensor([[49406, 320, 49407, *[0] * 9]])
        half = getattr(model, part)
        with torch.no_grad():
            assert torch.allclose(theirs.encode_image(pixels), half.images(pixels).pooled, atol=1e-5)
            assert torch.allclose(theirs.encode_text(tokens), half.texts(tokens).pooled, atol=1e-5)
    said = CliRunner().invoke(app, ["export", str(tmp_path / "nothing.pt"), str(tmp_path / "no")])
    assert said.exit_code != 0


def test_weights_that_nobody_knows_are_refused(shards: Path, tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.bin")
    recipe = cumo_recipe(shards, train__start_from=str(tmp_path / "a.bin"))
    with pytest.raises(UserError, match="cannot begin with the file"):
        load_initial_weights(recipe)
    (tmp_path / "b.safetensors").write_bytes(b"nonsense")
    assert not find("cumo").recognises(tmp_path / "b.safetensors")
    assert not find("cosmo").recognises(tmp_path)
    with pytest.raises(UserError, match=r"cannot be made of .* without a recipe"):
        find("cumo").load_released(tmp_path / "a.bin")
