"""CuMo: its tower and scales against their definitions, three stages, gradients, routing, and what upcycling keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from cosmos_recipe import cosmos_recipe
from cosmos_train import recipe as recipes
from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.families.base import StepContext
from cosmos_train.families.cumo.family import CuMoFamily
from cosmos_train.families.cumo.model import CuMo, PatchTower, build_cumo
from cosmos_train.families.cumo.objective import accumulate, compute
from cosmos_train.families.registry import family_of
from cosmos_train.families.routing import alarm, routing_numbers
from cosmos_train.models.backends import open_clip
from cosmos_train.models.moe import MixtureMlp, mixtures
from cosmos_train.models.pretrained import PlannedVocabulary
from cosmos_train.models.routing import record_routing
from cosmos_train.models.settings import ExpertSettings
from cosmos_train.models.towers import VisionTower
from cosmos_train.recipe import BUNDLED, Recipe, dump, load
from cosmos_train.stream.batch import IGNORED
from cosmos_train.stream.stream import open_data, open_stream
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train import checkpoint
from cosmos_train.train.starting import load_any
from cosmos_train.train.trainer import Trainer, train
from cosmos_train.train.upcycle import difference, upcycle
from cumo_recipe import cumo_recipe
from ranks import finish, read_diary, start

QUIET = Console(quiet=True)
EXPERTS = {"count": 4, "top_k": 2, "places": ["vision", "connector"]}


def step(recipe: Recipe, words: Tokenizer, count: int = 1) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    model = build_cumo(recipe, words)
    stream = open_stream(recipe, words, open_data(recipe.data))
    losses = accumulate(
        lambda *given: compute(model, *given),
        [stream.next() for _ in range(count)],
        recipe.objective,
        StepContext(
            nullcontext,
            lambda loss: loss.backward(),  # type: ignore[no-untyped-call]
            lambda last: nullcontext(),
        ),
    )
    return losses, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_the_tower_stops_before_its_last_layer_and_is_open_clips() -> None:
    torch.manual_seed(0)
    library = open_clip()
    fields = {"image_size": 32, "layers": 3, "width": 32, "head_width": 16, "patch_size": 8}
    text = library.CLIPTextCfg(context_length=1, vocab_size=2, width=8, heads=1, layers=1)
    theirs = library.CLIP(8, library.CLIPVisionCfg(**fields), text, quick_gelu=True).visual.eval()
    tower = PatchTower(32, 8, 32, 3, 16, 4.0, True).eval()
    state = theirs.state_dict()
    tower.load_state_dict({name: state[name] for name in tower.state_dict()})
    theirs.transformer.resblocks[2] = torch.nn.Identity()
    theirs.ln_post = torch.nn.Identity()
    theirs.proj, theirs.output_tokens = None, True
    theirs.transformer.resblocks[2].forward = lambda x, attn_mask=None: x
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(theirs(pixels)[1], tower.patches(pixels), atol=1e-5)


def test_the_tower_may_be_an_exported_clips(shards: Path, words: Tokenizer, tmp_path: Path) -> None:
    fields = {"layers": 3, "width": 32, "head_width": 16, "patch_size": 8}
    torch.manual_seed(1)
    clip = VisionTower(16, 8, 32, 3, 16, 8)  # as large as a tile of the largest scale
    path = tmp_path / "open_clip_model.safetensors"
    save_file({f"visual.{name}": tensor for name, tensor in clip.state_dict().items()}, path)
    model = build_cumo(
        cumo_recipe(shards, model__vision={"config": fields, "frozen": False, "pretrained": str(path)}), words
    )
    state = clip.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.vision.state_dict().items())
    narrow = {"config": {**fields, "width": 16}, "pretrained": str(path)}
    with pytest.raises(UserError, match="does not fit model"):
        build_cumo(cumo_recipe(shards, model__vision=narrow), words)
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot read the visual tower"):
        build_cumo(cumo_recipe(shards, model__vision={"config": fields, "pretrained": str(path)}), words)


def test_scales_are_tiles_laid_together_and_averaged(shards: Path, words: Tokenizer) -> None:
    model = build_cumo(cumo_recipe(shards), words)
    frames = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    found = model.features(frames)
    assert found.shape == (2, 4, 64)
    pixels = (frames - model.pixel_mean) / model.pixel_std
    half = F.interpolate(pixels, (16, 16), mode="bicubic", antialias=True)
    assert torch.allclose(found[..., :32], model.vision.patches(half), atol=1e-5)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        tile = pixels[:, :, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
        mean = model.vision.patches(tile).mean(1)  # a tile's 2 x 2 patches become one place
        assert torch.allclose(found[:, 2 * row + column, 32:], mean, atol=1e-5)


def test_pictures_take_their_places_and_text_alone_is_read_too(shards: Path, words: Tokenizer) -> None:
    model = build_cumo(cumo_recipe(shards), words).eval()
    frames = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    tokens = torch.randint(5, 200, (3, 9))
    tokens[0, 1:5] = tokens[2, 3:7] = words.visual
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask[1, 6:] = False
    with torch.no_grad():
        logits = model(frames, tokens, mask)
        swapped = model(frames.flip(0), tokens, mask)
        alone = model(frames[:0], tokens[1:2], mask[1:2])
    assert not torch.allclose(logits[0, 5:], swapped[0, 5:])
    assert torch.allclose(logits[0, 0], swapped[0, 0])
    assert torch.allclose(logits[1, :6], alone[0, :6], atol=1e-5)
    seen = model.connector(model.features(frames))
    embedded = model.lm.get_input_embeddings()(tokens.where(tokens != words.visual, 0))
    embedded[0, 1:5], embedded[2, 3:7] = seen[0], seen[1]
    by_hand = model.lm(inputs_embeds=embedded, attention_mask=mask.long()).logits
    assert torch.allclose(by_hand[mask], logits[mask], atol=1e-5)


def test_accumulated_gradients_are_those_of_the_large_batch(shards: Path, words: Tokenizer) -> None:
    whole, wanted = step(cumo_recipe(shards, train__batch_size=12), words)
    losses, found = step(cumo_recipe(shards, train__batch_size=4), words, 3)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert torch.allclose(gradient, found[name], atol=1e-6), name
    assert losses["loss"].item() == pytest.approx(whole["loss"].item(), rel=1e-6)


def test_the_released_codes_loss_is_the_mean_of_the_batches_means(shards: Path, words: Tokenizer) -> None:
    recipe = cumo_recipe(shards, objective__paper_compat={"mean_of_batches": True})
    losses, found = step(recipe, words, 3)
    torch.manual_seed(0)
    model = build_cumo(recipe, words)
    stream = open_stream(recipe, words, open_data(recipe.data))
    means = []
    for _ in range(3):
        batch = stream.next()
        summed, _, _ = compute(model, batch, recipe.objective)
        means.append(summed / int((batch.labels[:, 1:] != IGNORED).sum()))
    wanted = torch.stack(means).mean()
    wanted.backward()  # type: ignore[no-untyped-call]
    assert losses["language"].item() == pytest.approx(wanted.item(), rel=1e-6)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.allclose(parameter.grad, found[name], atol=1e-6), name


def test_blank_pictures_of_text_alone_reach_the_routers_and_nothing_else(shards: Path, words: Tokenizer) -> None:
    recipe = cumo_recipe(shards, model__experts=EXPERTS)
    model = build_cumo(recipe, words)
    batch = open_stream(recipe, words, open_data(recipe.data)).next()
    tokens = batch.tokens.clone()
    tokens[1, batch.tokens[1] == words.visual] = 5  # the second row is text alone
    batch = replace(
        batch, tokens=tokens, frames=batch.frames[[0, 2, 3]], pictured=torch.tensor([True, False, True, True])
    )
    compat = recipe.objective.model_copy(
        update={"paper_compat": recipe.objective.paper_compat.model_copy(update={"blank_pictures": True})}
    )
    plain, balance, _ = compute(model, batch, recipe.objective)
    routing_numbers(model)
    with_blank, other, _ = compute(model, batch, compat)
    assert with_blank.item() == pytest.approx(plain.item(), rel=1e-6)
    assert other.item() != pytest.approx(balance.item(), rel=1e-4)
    connector: Any = model.connector
    assert connector.used.sum() == 4 * model.image_tokens
    with record_routing(model) as calls:  # the mean colour is zero after normalising
        pixels = (batch.frames - model.pixel_mean) / model.pixel_std
        model._at(1, torch.cat([pixels, torch.zeros(1, *pixels.shape[1:])]))
        model._at(2, torch.cat([pixels, torch.zeros(1, *pixels.shape[1:])]))
    vision = calls.losses()
    assert vision is not None and other.item() > vision[0].item()
    with record_routing(model) as calls:
        model.connector(model.features(batch.frames, 1))
    whole = calls.losses()
    assert whole is not None and other.item() == pytest.approx(whole[0].item(), rel=1e-5)
    alone = replace(batch, frames=batch.frames[:0], tokens=tokens.where(tokens != words.visual, 5),
                    pictured=torch.zeros(4, dtype=torch.bool))  # fmt: skip
    compute(model, alone, compat)
    assert "blank_pictures" not in recipe.objective.paper_compat.model_dump()


def test_the_loss_is_the_language_models_and_the_routers(shards: Path, words: Tokenizer) -> None:
    recipe = cumo_recipe(shards, model__experts=EXPERTS)
    losses, found = step(recipe, words)
    total = losses["language"] + 0.1 * losses["balance"] + 0.01 * losses["router_z"]
    assert losses["loss"].item() == pytest.approx(total.item(), rel=1e-6)
    assert losses["balance"] > 1  # of two places, each about 1
    assert all(found[name].abs().sum() > 0 for name in found if name.endswith("gate.weight"))
    assert len([name for name in found if name.endswith("gate.weight")]) == 3


def test_batches_without_readable_samples_or_pictures_run_all_of_the_model(
    make_shards: Callable[..., Path], words: Tokenizer
) -> None:
    folder = make_shards(documents=2, broken=(0, 1))
    losses, found = step(cumo_recipe(folder, data__max_bad_share=1.0), words)
    assert losses["loss"] == 0
    assert {name.partition(".")[0] for name in found} == {"vision", "connector", "lm"}
    assert all(gradient.abs().sum() == 0 for gradient in found.values())


def test_three_stages_each_begin_with_the_last(shards: Path, tmp_path: Path) -> None:
    one = cumo_recipe(
        shards, train__steps=2, model__vision={"config": cumo_recipe(shards).model.vision.config, "frozen": True},
        model__language={**cumo_recipe(shards).model.language.model_dump(), "trained": "none"},
    )  # fmt: skip
    begun = Trainer(one, tmp_path / "one", False, QUIET)
    before = {name: tensor.clone() for name, tensor in begun.model.state_dict().items()}
    begun.run()
    changed = {
        name.partition(".")[0] for name, t in begun.model.state_dict().items() if not torch.equal(t, before[name])
    }
    assert changed == {"connector"}
    two = cumo_recipe(shards, train__steps=2, train__start_from=str(tmp_path / "one"))
    second = Trainer(two, tmp_path / "two", False, QUIET)
    for name, tensor in begun.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], tensor), name
    assert sum(p.requires_grad for p in second.model.parameters()) == len(list(second.model.parameters()))
    second.run()
    three = cumo_recipe(shards, train__steps=3, train__start_from=str(tmp_path / "two"), model__experts=EXPERTS)
    third = Trainer(three, tmp_path / "three", False, QUIET)
    _, dense = load_any(tmp_path / "two")
    assert difference(CuMoFamily(), dense, third.model, torch.float32) < 1e-6
    third.model.float()
    numbers = third.run().numbers
    assert numbers["experts/blocks"] == 3
    assert 0 <= numbers["experts/least_used"] <= 1 <= numbers["experts/most_used"] <= 4
    lines = [json.loads(line) for line in (tmp_path / "three" / "metrics.jsonl").read_text().splitlines()]
    assert all(line["balance"] > 0 for line in lines)


def test_a_killed_run_goes_on_with_bit_equal_losses(shards: Path, tmp_path: Path) -> None:
    recipe = cumo_recipe(
        shards, train__steps=6, train__save_every=3, model__experts=EXPERTS,
        data__talk={"prompt": "plain", "image_tokens": 4, "group_batches": 3},
    )  # fmt: skip
    losses: dict[str, dict[int, float]] = {"whole": {}, "cut": {}}
    train(recipe, tmp_path / "whole", False, QUIET, lambda at, _, loss: losses["whole"].update({at: loss}))

    def stop(at: int, _: list[Any], loss: float) -> None:
        losses["cut"][at] = loss
        if at == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "cut", False, QUIET, stop)
    train(recipe, tmp_path / "cut", True, QUIET, lambda at, _, loss: losses["cut"].update({at: loss}))
    assert losses["cut"] == losses["whole"]


def test_collapse_is_reported(shards: Path, words: Tokenizer) -> None:
    model = build_cumo(cumo_recipe(shards, model__experts=EXPERTS), words)
    assert isinstance(model.connector, MixtureMlp)
    batch = open_stream(cumo_recipe(shards), words, open_data(cumo_recipe(shards).data)).next()
    compute(model, batch, cumo_recipe(shards).objective)
    with torch.no_grad():  # two experts get everything
        for one in mixtures(model):
            one.gate.weight.zero_()
    routing_numbers(model)  # a new count begins
    compute(model, batch, cumo_recipe(shards).objective)
    numbers = routing_numbers(model)
    assert numbers["experts/starved"] == 6
    assert numbers["experts/most_used"] == pytest.approx(2)
    assert "routing is collapsing: 6 experts" in alarm(numbers)
    assert alarm({"loss": 1.0}) == ""


@pytest.mark.parametrize("kind", ["cumo", "cosmos"])
def test_upcycling_is_checked_printed_and_a_checkpoint_to_begin_with(shards: Path, tmp_path: Path, kind: str) -> None:
    make = cumo_recipe if kind == "cumo" else cosmos_recipe
    train(make(shards, train__steps=2), tmp_path / "dense", False, QUIET)
    said = CliRunner().invoke(
        app, ["upcycle", str(tmp_path / "dense"), str(tmp_path / "sparse"), "--experts", "3", "--top-k", "2"]
    )
    assert said.exit_code == 0, said.output
    assert "blocks of 3 experts, 2 in use" in said.output
    assert "in float32: the same function" in said.output and "in float64: the same function" in said.output
    _, dense = load_any(tmp_path / "dense")
    loaded, sparse = load_any(tmp_path / "sparse")
    outputs = family_of(loaded.recipe).drawn_outputs
    assert loaded.recipe.model.experts.count == 3
    assert len(mixtures(sparse)) == (3 if kind == "cumo" else 8)
    for dtype, most in ((torch.float32, 1e-6), (torch.float64, 1e-12)):
        for one, other in zip(outputs(dense.to(dtype)), outputs(sparse.to(dtype)), strict=True):
            assert (one - other).abs().max() < most * max(1, one.abs().max()), dtype
    experts = loaded.recipe.model.experts.model_dump()
    begun = Trainer(
        make(shards, train__start_from=str(tmp_path / "sparse"), model__experts=experts),
        tmp_path / "next",
        False,
        QUIET,
    )
    for name, tensor in sparse.float().state_dict().items():
        assert torch.equal(begun.model.state_dict()[name], tensor), name
    with pytest.raises(UserError, match="has experts already"):
        upcycle(tmp_path / "sparse", tmp_path / "twice", ExpertSettings(count=2, top_k=1))


def test_a_cosmos_tower_and_a_gated_lm_become_experts_of_a_cosmo(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    config = {
        "model_type": "llama", "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 4,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64, "tie_word_embeddings": False,
    }  # fmt: skip
    recipe = tiny(train__steps=1, model__language={"config": config, "vocabulary": 400})
    train(recipe, tmp_path / "dense", False, QUIET)
    found = upcycle(
        tmp_path / "dense", tmp_path / "sparse", ExpertSettings(count=2, top_k=1, places=["vision", "language"])
    )
    assert found.blocks == 6
    assert found.active < found.sparse
    assert found.differences["float64"] < 1e-12
    with pytest.raises(UserError, match="has no feed-forward networks in connector"):
        upcycle(tmp_path / "dense", tmp_path / "no", ExpertSettings(count=2, top_k=1, places=["connector"]))


@pytest.mark.parametrize("name", sorted(path.stem for path in BUNDLED.glob("cumo_*.yaml")))
def test_a_full_recipe_is_built(name: str) -> None:
    recipe = load(name)
    with torch.device("meta"):
        model = build_cumo(recipe, PlannedVocabulary(32002), weights=False)
    assert model.image_tokens == 576
    assert len(model.vision.transformer.resblocks) == 23
    learning = {part for part, p in model.named_parameters() if p.requires_grad}
    if "stage1" in name:
        assert {part.partition(".")[0] for part in learning} == {"connector"}
    assert recipe.train.batch_size * recipe.train.accumulation == (
        256 if "stage1" in name else 32 if name == "cumo_stage3_mixtral" else 64
    )
    if "stage3" in name:
        assert isinstance(model.connector, MixtureMlp)
        connector = sum(p.numel() for p in model.connector.parameters()) - model.connector.gate.weight.numel()
        assert connector / 1e6 == pytest.approx(100.7, abs=0.1)
        experts = sum(p.numel() for one in mixtures(model.vision) for p in (one.first, one.second)) / 23 * 24
        assert experts / 1e6 == pytest.approx(805.3, abs=0.5)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_tiny_twin_trains(stage: int, shards: Path, tmp_path: Path) -> None:
    settings = {
        "data.shards": shards,
        "train.steps": 2,
        "train.batch_size": 4,
        "train.threads": 1,
        "train.start_from": "",
    }
    recipe = load(f"tiny_cumo_stage{stage}", [f"{key}={value}" for key, value in settings.items()])
    result = train(recipe, tmp_path / "run", False, QUIET)
    assert result.numbers["loss"] > 0 and result.bad_samples == 0


def test_its_operations_are_those_that_are_counted(shards: Path, words: Tokenizer) -> None:
    recipe = cumo_recipe(shards)
    model = build_cumo(recipe, words)
    batch = open_stream(recipe, words, open_data(recipe.data)).next()
    _, padded = CuMoFamily().work(batch, recipe)
    found = CuMoFamily().flop_count(model, recipe).of(padded)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        compute(model, batch, recipe.objective)
    assert sum(part.forward for part in found.values()) == pytest.approx(counter.get_total_flops(), rel=0.03)


def test_parts_that_do_not_fit_are_refused(shards: Path) -> None:
    with pytest.raises(UserError, match=r"a picture is 4 tokens, data\.talk\.image_tokens is 9"):
        build_cumo(cumo_recipe(shards, data__talk={"image_tokens": 9}), PlannedVocabulary(400))
    with pytest.raises(UserError, match="cannot be divided by the largest scale 3"):
        build_cumo(cumo_recipe(shards, model__connector={"scales": [1, 3]}), PlannedVocabulary(400))
    with pytest.raises(ValueError, match="scales must start with 1 and ascend"):
        cumo_recipe(shards, model__connector={"scales": [3, 1]})


@pytest.mark.processes
def test_two_ranks_that_share_the_weights_are_one(shards: Path, tmp_path: Path) -> None:
    common: dict[str, Any] = {
        "train__steps": 2, "train__accumulation": 2, "train__save_every": 2, "optimiser__eps": 1e-3,
        "model__experts": EXPERTS,
    }  # fmt: skip
    modes: dict[str, dict[str, Any]] = {
        "single": {},
        "fsdp": {"parallel__mode": "fsdp", "parallel__recompute_every": 2},
    }
    jobs = {}
    for name, settings in modes.items():
        (tmp_path / f"{name}.yaml").write_text(dump(cumo_recipe(shards, **common, **settings)))
        paths = {"recipe": f"{name}.yaml", "out": name, "diary": f"{name}.jsonl"}
        jobs[name] = {key: str(tmp_path / path) for key, path in paths.items()}
    alone = start([jobs.pop("single")], 1)
    together = start(list(jobs.values()), 2)
    for code, said in finish(alone) + finish(together):
        assert code == 0, said
    whole, expected = read_diary(tmp_path / "single.jsonl"), weights(tmp_path / "single")
    for name in jobs:
        found = read_diary(tmp_path / f"{name}.jsonl")
        for at, (digests, loss) in whole.items():
            assert found[at][0] == digests
            # The balance of the connector is each picture's, so it does not depend on how a batch was shared out.
            assert found[at][1] == pytest.approx(loss, rel=1e-5), (name, at)
        for key, tensor in weights(tmp_path / name).items():
            assert (tensor - expected[key]).abs().max() < 2e-4, (name, key)


def weights(out: Path) -> dict[str, torch.Tensor]:
    loaded = checkpoint.load(out)
    model = build_cumo(recipes.load(str(loaded.folder / "recipe.yaml")), loaded.tokenizer)
    assert isinstance(model, CuMo)
    checkpoint.restore(loaded, model)
    return model.state_dict()
