"""CosMo as a whole: each text sees only what it may, in packed rows too, and every part learns only if it should."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from cosmos_train.errors import UserError
from cosmos_train.families.cosmo import objective as objective
from cosmos_train.families.cosmo.model import CosMo, Layout, build_cosmo
from cosmos_train.recipe import Recipe
from cosmos_train.stream.batch import BadSample, Batch, Sample
from cosmos_train.stream.collate import Placed, collate, collate_packed
from cosmos_train.stream.tokenizer import Tokenizer

Tiny = Callable[..., Recipe]
MakeSamples = Callable[..., list[Sample]]

FAMILIES: dict[str, dict[str, Any]] = {
    "opt": {"ffn_dim": 96, "word_embed_proj_dim": 48, "dropout": 0.0},
    "gpt_neox": {"intermediate_size": 96},
    "mistral": {"intermediate_size": 96, "num_key_value_heads": 1},
    "qwen2": {"intermediate_size": 96, "num_key_value_heads": 1},
    "mixtral": {"intermediate_size": 96, "num_key_value_heads": 1, "num_local_experts": 4},
}


def opened(recipe: Recipe, words: Tokenizer) -> CosMo:
    """A model whose gates are open."""
    torch.manual_seed(0)
    model = build_cosmo(recipe, words).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("_gate"):
            torch.nn.init.constant_(parameter, 1.0)
    return model


def family(name: str) -> dict[str, Any]:
    size = {"hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 2, "max_position_embeddings": 64}
    return {"model_type": name, **size, **FAMILIES[name]}


def packed(samples: list[Sample], words: Tokenizer) -> Batch:
    """Four samples in two rows and a bad one in a third, which stays padding."""
    alone = [collate([sample], words, 64).num_tokens for sample in samples]
    placed = [
        Placed(0, 0, alone[0], samples[0]),
        Placed(0, alone[0], alone[1], samples[1]),
        Placed(1, 0, 5, BadSample("bad", "gone")),
        Placed(1, 5, alone[2], samples[2]),
        Placed(1, 5 + alone[2], alone[3], samples[3]),
        Placed(2, 0, 9, BadSample("worse", "gone")),
    ]
    return collate_packed(placed, 3, words, 60)


def layout(batch: Batch) -> Layout:
    return Layout(batch.rows.document, batch.rows.position, batch.rows.media_from, batch.rows.media_upto)


@pytest.fixture
def batch(make_samples: MakeSamples, words: Tokenizer) -> Batch:
    return collate(make_samples(4), words, 64)


@pytest.mark.parametrize("attend", ["immediate", "all"])
@pytest.mark.parametrize("name", FAMILIES)
def test_packed_rows_give_the_logits_of_rows_alone(
    name: str, attend: str, tiny: Tiny, words: Tokenizer, make_samples: MakeSamples
) -> None:
    model = opened(tiny(model__language__config=family(name), model__fusion__attend=attend), words)
    samples = make_samples(4)
    together = packed(samples, words)
    with torch.no_grad():
        media = model.encode_media(together.media.frames, together.media.mask, together.media.times)
        logits, states = model(together.rows.tokens, media.tokens, layout(together))
        assert torch.isfinite(logits).all()
        for number, sample in enumerate(samples):
            alone = collate([sample], words, 64)
            own = model.encode_media(alone.media.frames, alone.media.mask, alone.media.times)
            expected, expected_states = model(alone.rows.tokens, own.tokens)
            row = int(together.row_of[number])
            place = together.rows.document[row] == number % 2
            assert torch.equal(together.rows.tokens[row][place], alone.rows.tokens[0])
            assert torch.allclose(logits[row][place], expected[0], atol=1e-5)
            assert torch.allclose(states[row][place], expected_states[0], atol=1e-5)


@pytest.mark.parametrize("pairs", ["first", "every"])
def test_packing_changes_neither_losses_nor_embeddings(
    pairs: str, tiny: Tiny, words: Tokenizer, make_samples: MakeSamples
) -> None:
    recipe = tiny(objective__pairs=pairs)
    model, samples = opened(recipe, words), make_samples(4)
    with torch.no_grad():
        one = objective.compute(model, collate(samples, words, 64), recipe.objective)
        two = objective.compute(model, packed(samples, words), recipe.objective)
    assert torch.allclose(one.language, two.language, rtol=1e-5)
    assert torch.allclose(one.media, two.media, atol=1e-5)
    assert torch.allclose(one.text, two.text, atol=1e-5)
    assert torch.equal(one.group, two.group)


def test_the_second_clips_frames_reach_only_the_second_clips_text(tiny: Tiny, words: Tokenizer, batch: Batch) -> None:
    model = opened(tiny(), words)
    with torch.no_grad():
        media = model.encode_media(batch.media.frames, batch.media.mask, batch.media.times).tokens
        changed = media.clone()
        changed[:, 1] = 0
        before, after = model(batch.rows.tokens, media)[0], model(batch.rows.tokens, changed)[0]
    second = model.text_time(batch.rows.tokens) == 2
    assert second.any()
    assert torch.equal(before[~second], after[~second])
    two_clips = batch.media.clip_mask.all(1, keepdim=True)
    assert ((before - after).abs().amax(-1) > 1e-4)[second & batch.rows.mask & two_clips].all()


def test_every_part_learns_once_the_gates_are_open(tiny: Tiny, words: Tokenizer, batch: Batch) -> None:
    recipe = tiny(objective__contrastive="siglip")
    model = opened(recipe, words)
    outputs = objective.compute(model, batch, recipe.objective)
    (outputs.language + objective.contrast(outputs, recipe.objective)).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A key's bias shifts all scores of a query alike, which the softmax does not see.
    assert [name for name in silent if "k_proj.bias" not in name] == []


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("model__vision__frozen", "vision."),
        ("model__resampler__frozen", "resampler."),
        ("model__fusion__frozen", "language.blocks."),
        ("model__embedding_frozen", ("text_query.", "project_", "log_scale")),
    ],
)
def test_each_part_can_be_frozen_alone(setting: str, part: Any, tiny: Tiny, words: Tokenizer, batch: Batch) -> None:
    recipe = tiny(**{setting: True})
    model = opened(recipe, words).train()
    outputs = objective.compute(model, batch, recipe.objective)
    (outputs.language + objective.contrast(outputs, recipe.objective)).backward()
    still = {name for name, p in model.named_parameters() if p.grad is None}
    assert still == {name for name, _ in model.named_parameters() if name.startswith(part)}
    assert model.vision.tower.training == (setting != "model__vision__frozen")


def test_the_temperature_is_clips_and_bounded(tiny: Tiny, words: Tokenizer) -> None:
    model = opened(tiny(), words)
    assert float(model.scale().detach()) == pytest.approx(1 / 0.07, rel=1e-5)
    torch.nn.init.constant_(model.log_scale, 10.0)
    assert float(model.scale().detach()) == pytest.approx(100, rel=1e-5)


def test_as_released_the_temperature_begins_at_a_fifth_and_has_no_bound(tiny: Tiny, words: Tokenizer) -> None:
    model = opened(tiny(model__paper_compat={"temperature": True}), words)
    assert float(model.scale().detach()) == pytest.approx(math.exp(0.2), rel=1e-5)
    torch.nn.init.constant_(model.log_scale, 10.0)
    assert float(model.scale().detach()) > 100


def test_as_released_padding_is_pooled(tiny: Tiny, words: Tokenizer, batch: Batch) -> None:
    for padded_counts in (False, True):
        model = opened(tiny(model__paper_compat={"pool_padding": padded_counts}), words)
        longer = torch.nn.functional.pad(batch.pairs.tokens, (0, 3), value=words.pad)
        mask = torch.nn.functional.pad(batch.pairs.mask, (0, 3))
        with torch.no_grad():
            one, two = model.encode_text(batch.pairs.tokens, batch.pairs.mask), model.encode_text(longer, mask)
        assert torch.allclose(one, two, atol=1e-5) != padded_counts


def test_one_word_sets_every_switch_of_the_released_code(tiny: Tiny, words: Tokenizer, batch: Batch) -> None:
    recipe = tiny(model__paper_compat=True, objective__paper_compat=True)
    assert all(value for _, value in recipe.model.paper_compat)
    assert all(value for _, value in recipe.objective.paper_compat)
    outputs = objective.compute(opened(recipe, words), batch, recipe.objective)
    assert torch.isfinite(outputs.language)


def test_a_split_beyond_the_last_layer_is_refused(tiny: Tiny, words: Tokenizer) -> None:
    with pytest.raises(UserError, match="unimodal_depth is 4"):
        build_cosmo(tiny(model__fusion__unimodal_depth=4), words)


def test_both_libraries_import_through_the_door_in_a_fresh_process() -> None:
    code = "from cosmos_train.models.backends import *; open_clip(); transformers().OPTForCausalLM; print('both')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "both\n"
