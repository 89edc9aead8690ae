"""CosMo as a whole: it is its language model until the gates open, and each text sees only what it may."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cosmos_train.errors import UserError
from cosmos_train.models.cosmo import CosMo, build_cosmo
from cosmos_train.models.language import LanguageModel, build_lm
from cosmos_train.objectives import cosmo as objective
from cosmos_train.recipe import FusionSettings, LanguageSettings, Recipe
from cosmos_train.stream.batch import Batch
from cosmos_train.stream.corpus import Corpus
from cosmos_train.stream.loader import Samples, Stream
from cosmos_train.stream.tokenizer import Tokenizer

Tiny = Callable[..., Recipe]

FAMILIES = {
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32, "dropout": 0.0},
    "llama": {"intermediate_size": 48, "num_key_value_heads": 1},
    "mistral": {"intermediate_size": 48, "num_key_value_heads": 1},
    "qwen2": {"intermediate_size": 48, "num_key_value_heads": 1},
    "gpt_neox": {"intermediate_size": 48},
}


def small_lm(family: str) -> LanguageSettings:
    size = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "max_position_embeddings": 64}
    return LanguageSettings(config={"model_type": family, **size, **FAMILIES[family]}, vocabulary=400)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["wash the red mug", "cut the blue boat"], 400)


@pytest.mark.parametrize("family", FAMILIES)
def test_with_gates_at_zero_the_logits_are_the_language_models(family: str, tokenizer: Tokenizer) -> None:
    torch.manual_seed(0)
    lm = build_lm(small_lm(family), tokenizer).eval()
    tokens = torch.randint(0, tokenizer.size, (2, 9))
    with torch.no_grad():
        plain = lm(input_ids=tokens, output_hidden_states=True)
        fused = LanguageModel(lm, 16, FusionSettings(unimodal_depth=2, interval=1, heads=2, head_width=8)).eval()
        logits, states = fused(tokens, torch.randn(2, 1, 3, 16), torch.ones_like(tokens))
        assert torch.allclose(logits, plain.logits, atol=1e-5)
        assert torch.allclose(states, plain.hidden_states[2], atol=1e-5)
        assert torch.allclose(fused.first_half(tokens), states, atol=1e-6)
        for block in fused.blocks.values():
            torch.nn.init.constant_(block.attention_gate, 1.0)
        opened, _ = fused(tokens, torch.randn(2, 1, 3, 16), torch.ones_like(tokens))
        assert not torch.allclose(opened, plain.logits, atol=1e-3)


def test_the_language_model_keeps_its_hugging_face_names(tokenizer: Tokenizer) -> None:
    lm = build_lm(small_lm("llama"), tokenizer)
    before = set(lm.state_dict())
    fused = LanguageModel(lm, 16, FusionSettings(unimodal_depth=2, heads=2, head_width=8))
    assert {name.removeprefix("lm.") for name in fused.state_dict() if name.startswith("lm.")} == before


def test_a_block_stands_before_every_nth_layer_of_the_second_half(tokenizer: Tokenizer) -> None:
    lm = build_lm(small_lm("llama"), tokenizer)
    assert list(LanguageModel(lm, 16, FusionSettings(unimodal_depth=1, interval=2)).blocks) == ["1", "3"]


def test_a_local_checkpoint_is_loaded_with_rows_for_our_tokens(tmp_path: Path, tokenizer: Tokenizer) -> None:
    lm = build_lm(small_lm("llama"), tokenizer)
    lm.save_pretrained(tmp_path / "lm")
    tokenizer.backend.add_tokens(["anotherword"])
    larger = Tokenizer(tokenizer.backend)
    loaded = build_lm(LanguageSettings(name=str(tmp_path / "lm")), larger)
    assert loaded.get_input_embeddings().num_embeddings >= larger.size
    rows = lm.get_input_embeddings().num_embeddings
    assert torch.equal(loaded.get_input_embeddings().weight[:rows], lm.get_input_embeddings().weight)


def test_bad_model_settings_are_explained(tokenizer: Tokenizer, tiny: Tiny) -> None:
    with pytest.raises(UserError, match="no-such-family"):
        build_lm(LanguageSettings(config={"model_type": "no-such-family"}), tokenizer)
    with pytest.raises(UserError, match="cannot load the language model"):
        build_lm(LanguageSettings(name="no/such-model"), tokenizer)
    with pytest.raises(UserError, match="unimodal_depth is 4"):
        build_cosmo(tiny(model__fusion__unimodal_depth=4), tokenizer)
    with pytest.raises(UserError, match="layerz"):
        build_cosmo(tiny(model__vision__config={"layerz": 2}), tokenizer)
    with pytest.raises(UserError, match="sees 64 px"):
        config = {"layers": 2, "width": 48, "head_width": 24, "patch_size": 8, "image_size": 64}
        build_cosmo(tiny(model__vision__config=config), tokenizer)


def opened(recipe: Recipe) -> tuple[CosMo, Batch]:
    """A model whose gates are open, and a batch."""
    corpus = Corpus(recipe.data.shards, recipe.data.text, recipe.data.clips_per_sample)
    tokenizer = Tokenizer.train(corpus.texts(), recipe.model.language.vocabulary)
    torch.manual_seed(0)
    model = build_cosmo(recipe, tokenizer).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("_gate"):
            torch.nn.init.constant_(parameter, 1.0)
    return model, Stream(Samples(corpus, recipe.data, 0), tokenizer, 4).next()


def test_the_second_clips_frames_reach_only_the_second_clips_text(tiny: Tiny) -> None:
    model, batch = opened(tiny())
    with torch.no_grad():
        media = model.encode_media(batch.frames, batch.frame_mask, batch.frame_times).tokens
        changed = media.clone()
        changed[:, 1] = 0
        before, after = model(batch.tokens, media)[0], model(batch.tokens, changed)[0]
    second = model.text_time(batch.tokens) == 2
    assert torch.equal(before[~second], after[~second])
    assert ((before - after).abs().amax(-1) > 1e-4)[second & batch.token_mask].all()


def test_padding_changes_neither_losses_nor_text_embeddings(tiny: Tiny) -> None:
    model, batch = opened(tiny())
    from dataclasses import replace

    from torch.nn.functional import pad

    from cosmos_train.stream.batch import IGNORED

    longer = replace(
        batch,
        tokens=pad(batch.tokens, (0, 5), value=7),
        labels=pad(batch.labels, (0, 5), value=IGNORED),
        token_mask=pad(batch.token_mask, (0, 5)),
        first_clip_mask=pad(batch.first_clip_mask, (0, 5)),
        clip_tokens=pad(batch.clip_tokens, (0, 5), value=7),
        clip_token_mask=pad(batch.clip_token_mask, (0, 5)),
    )
    settings = tiny().objective
    with torch.no_grad():
        short, long = objective.compute(model, batch, settings), objective.compute(model, longer, settings)
        one = model.encode_text(batch.clip_tokens, batch.clip_token_mask)
        two = model.encode_text(longer.clip_tokens, longer.clip_token_mask)
    assert torch.allclose(short.language, long.language, rtol=1e-5)
    assert torch.allclose(one, two, atol=1e-6)


def test_the_first_clips_embedding_is_the_same_from_the_whole_sample_and_alone(tiny: Tiny) -> None:
    model, batch = opened(tiny())
    with torch.no_grad():
        media = model.encode_media(batch.frames, batch.frame_mask, batch.frame_times).tokens
        _, states = model(batch.tokens, media)
        together = model.text_embedding(states, batch.first_clip_mask)
        alone = model.encode_text(batch.clip_tokens, batch.clip_token_mask)[::2]  # two clips a sample
    assert torch.allclose(together, alone, atol=1e-5)


def test_every_part_learns_once_the_gates_are_open(tiny: Tiny) -> None:
    model, batch = opened(tiny())
    losses = objective.compute(model, batch, tiny().objective)
    objective.total(losses, tiny().objective, losses.tokens, 1).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A key's bias shifts all scores of a query alike, which the softmax does not see.
    assert [name for name in silent if "k_proj.bias" not in name] == []


def test_a_frozen_tower_stays_as_it_is(tiny: Tiny) -> None:
    model, batch = opened(tiny(model__vision__frozen=True))
    losses = objective.compute(model.train(), batch, tiny().objective)
    objective.total(losses, tiny().objective, losses.tokens, 1).backward()
    assert all(p.grad is None for p in model.vision.parameters())
    assert not model.vision.tower.training
    assert any(p.grad is not None for p in model.resampler.parameters())


def test_the_temperature_is_clips_and_bounded(tiny: Tiny) -> None:
    model, _ = opened(tiny())
    assert abs(float(model.scale().detach()) - 1 / 0.07) < 1e-4
    torch.nn.init.constant_(model.log_scale, 10.0)
    assert abs(float(model.scale().detach()) - 100) < 1e-3


def test_both_libraries_import_through_the_door_in_a_fresh_process() -> None:
    code = "from cosmos_train.models.backends import *; open_clip(); transformers().OPTForCausalLM; print('both')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "both\n"
