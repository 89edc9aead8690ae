"""Any causal LM, split and fused: until its gates open it is the plain LM, and rows packed together stay strangers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cosmos_train.errors import UserError
from cosmos_train.models.backends import transformers
from cosmos_train.models.fusion import View, view
from cosmos_train.models.language import LanguageModel
from cosmos_train.models.pretrained import build_lm
from cosmos_train.models.settings import FusionSettings, LanguageSettings, ModelCompat
from cosmos_train.stream.tokenizer import Tokenizer

FAMILIES: dict[str, dict[str, Any]] = {
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32, "dropout": 0.0},
    "gpt_neox": {"intermediate_size": 48},
    "llama": {"intermediate_size": 48, "num_key_value_heads": 1},
    "mistral": {"intermediate_size": 48, "num_key_value_heads": 1},
    "qwen2": {"intermediate_size": 48, "num_key_value_heads": 1},
    "qwen3": {"intermediate_size": 48, "num_key_value_heads": 1, "head_dim": 16},
    "mixtral": {"intermediate_size": 48, "num_key_value_heads": 1, "num_local_experts": 4},
}
FUSION = FusionSettings(unimodal_depth=2, interval=1, heads=2, head_width=8)


def small_lm(family: str, **fields: Any) -> LanguageSettings:
    size = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "max_position_embeddings": 64}
    return LanguageSettings(config={"model_type": family, **size, **FAMILIES[family], **fields}, vocabulary=400)


def one_clip(tokens: torch.Tensor) -> View:
    """Every token sees one clip of 3 media tokens, 16 wide."""
    none = torch.zeros_like(tokens)
    return view(torch.randn(len(tokens), 1, 3, 16), none, none + 1, "immediate")


def open_gates(model: LanguageModel) -> LanguageModel:
    for name, parameter in model.named_parameters():
        if name.endswith("_gate"):
            torch.nn.init.constant_(parameter, 1.0)
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_with_gates_at_zero_a_checkpoints_logits_are_hugging_faces(
    family: str, words: Tokenizer, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    build_lm(small_lm(family), words).save_pretrained(tmp_path / "lm")
    theirs = transformers().AutoModelForCausalLM.from_pretrained(tmp_path / "lm").eval()
    ours = build_lm(LanguageSettings(name=str(tmp_path / "lm")), words)
    tokens = torch.randint(0, words.size, (2, 9))
    with torch.no_grad():
        plain = theirs(input_ids=tokens, output_hidden_states=True)
        fused = LanguageModel(ours, 16, FUSION).eval()
        logits, states = fused(tokens, one_clip(tokens))
        assert torch.allclose(logits, plain.logits, atol=1e-5)
        assert torch.allclose(states, plain.hidden_states[2], atol=1e-5)
        assert torch.allclose(fused.first_half(tokens), states, atol=1e-6)
        opened, _ = open_gates(fused)(tokens, one_clip(tokens))
        assert not torch.allclose(opened, plain.logits, atol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cache_of_the_text_before_changes_nothing(family: str, words: Tokenizer) -> None:
    torch.manual_seed(0)
    model = open_gates(LanguageModel(build_lm(small_lm(family), words), 16, FUSION)).eval()
    tokens = torch.randint(0, words.size, (2, 9))
    seen = one_clip(tokens)
    cache = transformers().DynamicCache(config=model.lm.config)
    with torch.no_grad():
        whole, _ = model(tokens, seen)
        parts = [
            model(tokens[:, part], View(seen.media, seen.allowed[:, part], seen.sees_any[:, part]), cache=cache)[0]
            for part in (slice(0, 5), slice(5, 6), slice(6, 9))
        ]
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-5)


def test_as_released_the_text_query_sees_the_states_one_layer_earlier(words: Tokenizer) -> None:
    lm = build_lm(small_lm("llama"), words).eval()
    tokens = torch.randint(0, words.size, (2, 5))
    with torch.no_grad():
        plain = lm(input_ids=tokens, output_hidden_states=True).hidden_states[1]
        model = LanguageModel(lm, 16, FUSION, ModelCompat(earlier_half=True)).eval()
        assert torch.allclose(model(tokens, one_clip(tokens))[1], plain, atol=1e-5)
        assert torch.allclose(model.first_half(tokens), plain, atol=1e-5)


def test_the_language_model_keeps_its_hugging_face_names(words: Tokenizer) -> None:
    lm = build_lm(small_lm("llama"), words)
    before = set(lm.state_dict())
    fused = LanguageModel(lm, 16, FUSION)
    assert {name.removeprefix("lm.") for name in fused.state_dict() if name.startswith("lm.")} == before


def test_a_block_stands_before_every_nth_layer_of_the_second_half(words: Tokenizer) -> None:
    lm = build_lm(small_lm("llama"), words)
    assert list(LanguageModel(lm, 16, FusionSettings(unimodal_depth=1, interval=2)).blocks) == ["1", "3"]


def test_a_local_checkpoint_is_loaded_with_rows_for_our_tokens(tmp_path: Path, words: Tokenizer) -> None:
    lm = build_lm(small_lm("llama", vocab_size=words.size - 2), words)
    lm.resize_token_embeddings(words.size - 2)
    lm.save_pretrained(tmp_path / "lm")
    loaded = build_lm(LanguageSettings(name=str(tmp_path / "lm")), words)
    assert loaded.get_input_embeddings().num_embeddings == words.size
    before = lm.get_input_embeddings().weight
    assert torch.equal(loaded.get_input_embeddings().weight[: len(before)], before)


@pytest.mark.parametrize("tied", [True, False])
def test_of_a_frozen_lm_only_the_rows_of_new_tokens_learn(tied: bool, words: Tokenizer) -> None:
    new = (words.visual, words.end_of_chunk)
    lm = build_lm(small_lm("llama", tie_word_embeddings=tied), words)
    lm.eval()
    tokens = torch.tensor([[5, words.visual, 7, words.end_of_chunk]])
    plain = lm(input_ids=tokens[:, :1]).logits
    model = LanguageModel(lm, 16, FUSION, learns="new_tokens", new_tokens=new).train()
    assert not model.lm.training
    logits, _ = model(tokens, one_clip(tokens))
    old = [i for i in range(words.size) if i not in new]
    assert torch.allclose(logits[:, :1, old], plain[..., old], atol=1e-6)
    logits.square().sum().backward()
    learning = {name for name, p in model.named_parameters() if p.requires_grad and not name.startswith("blocks.")}
    assert learning == {"new_rows.input"} | ({"new_rows.output"} if not tied else set())
    assert all(p.grad is None for p in model.lm.parameters())
    assert model.new_rows is not None
    assert all((p.grad.abs().sum(1) > 0).all() for p in model.new_rows.parameters() if p.grad is not None)
    before = logits.detach()
    with torch.no_grad():
        model.new_rows.input[0] += 1.0
        after = model(tokens, one_clip(tokens))[0]
    assert torch.equal(before[:, 0, old], after[:, 0, old]), "what comes before a new token does not know it"
    assert not torch.allclose(before[:, 1], after[:, 1], atol=1e-4)


@pytest.mark.parametrize(
    ("learns", "wanted"), [("embeddings", {"lm.model.embed_tokens.weight"}), ("none", set()), ("all", None)]
)
def test_what_of_the_lm_learns_is_a_setting(learns: str, wanted: set[str] | None, words: Tokenizer) -> None:
    model = LanguageModel(build_lm(small_lm("mistral"), words), 16, FUSION, learns=learns)
    learning = {name for name, p in model.named_parameters() if p.requires_grad and name.startswith("lm.")}
    assert learning == (
        {name for name, _ in model.named_parameters() if name.startswith("lm.")} if wanted is None else wanted
    )


def test_a_frozen_lm_may_be_kept_in_bfloat16(words: Tokenizer) -> None:
    settings = small_lm("mistral").model_copy(update={"dtype": "bfloat16", "trained": "new_tokens"})
    model = open_gates(
        LanguageModel(build_lm(settings, words), 16, FUSION, learns="new_tokens", new_tokens=(words.visual,))
    )
    assert {p.dtype for p in model.lm.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    tokens = torch.randint(0, words.size, (2, 9))
    with torch.autocast("cpu", torch.bfloat16):
        logits, _ = model(tokens, one_clip(tokens))
    logits.float().square().mean().backward()
    assert torch.isfinite(logits).all()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters() if p.requires_grad)


def test_a_model_that_is_not_what_the_recipe_expects_is_refused(words: Tokenizer, tmp_path: Path) -> None:
    build_lm(small_lm("llama"), words).save_pretrained(tmp_path / "lm")
    with pytest.raises(UserError, match=r"hidden_size 32, model\.language\.config says 64"):
        build_lm(LanguageSettings(name=str(tmp_path / "lm"), config={"hidden_size": 64}), words)


def test_bad_language_settings_are_explained(words: Tokenizer) -> None:
    with pytest.raises(UserError, match="no-such-family"):
        build_lm(LanguageSettings(config={"model_type": "no-such-family"}), words)
    with pytest.raises(UserError, match="cannot load the language model"):
        build_lm(LanguageSettings(name="no/such-model"), words)
    with pytest.raises(ValueError, match="trained weights must be float32"):
        LanguageSettings(config={"model_type": "opt"}, dtype="bfloat16")
    with pytest.raises(ValueError, match="not a multiple of bottleneck"):
        FusionSettings(head_width=7)
