"""An exported folder is the model: equal logits, read without the run, the recipe's names or the network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from cosmos_train.errors import UserError
from cosmos_train.families import folder
from cosmos_train.families.base import Trained
from cosmos_train.families.cosmo import export
from cosmos_train.families.cosmo.model import CosMo, build_cosmo
from cosmos_train.models.backends import transformers
from cosmos_train.models.pretrained import build_lm
from cosmos_train.recipe import Recipe
from cosmos_train.stream.batch import Batch, Sample
from cosmos_train.stream.collate import collate
from cosmos_train.stream.tokenizer import Tokenizer

Tiny = Callable[..., Recipe]
MakeSamples = Callable[..., list[Sample]]

SIZE = {"hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 2, "max_position_embeddings": 64}
FAMILIES: dict[str, dict[str, Any]] = {
    "opt": {"ffn_dim": 96, "word_embed_proj_dim": 48, "dropout": 0.0},
    "gpt_neox": {"intermediate_size": 96, "rotary_pct": 0.5},
    "mistral": {"intermediate_size": 96, "num_key_value_heads": 1, "tie_word_embeddings": True},
    "qwen2": {"intermediate_size": 96, "num_key_value_heads": 1},
    "mixtral": {"intermediate_size": 96, "num_key_value_heads": 1, "num_local_experts": 4},
}


def made(recipe: Recipe, words: Tokenizer, folder: Path) -> tuple[Trained, CosMo]:
    torch.manual_seed(1)
    model = build_cosmo(recipe, words).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("_gate"):
            torch.nn.init.constant_(parameter, 1.0)
    return Trained(folder, recipe, words, 7, "shards' signature"), model


def said(model: CosMo, batch: Batch) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        media = model.encode_media(batch.media.frames, batch.media.mask, batch.media.times)
        logits, states = model(batch.rows.tokens, media.tokens)
        return logits, states, model.media_embedding(media.query), model.scale()


@pytest.mark.parametrize("family", FAMILIES)
def test_it_reloads_to_equal_logits(
    family: str, tiny: Tiny, words: Tokenizer, make_samples: MakeSamples, tmp_path: Path
) -> None:
    recipe = tiny(model__language__config={"model_type": family, **SIZE, **FAMILIES[family]})
    loaded, model = made(recipe, words, tmp_path)
    export.write(tmp_path, loaded, model)
    found, again = export.load(tmp_path)
    batch = collate(make_samples(3), words, 64)
    for one, two in zip(said(model, batch), said(again, batch), strict=True):
        assert torch.equal(one, two)
    assert found.step == 7
    assert found.tokenizer.encode("a red square") == words.encode("a red square")
    assert (found.tokenizer.visual, found.tokenizer.end_of_chunk) == (words.visual, words.end_of_chunk)


def test_a_language_model_and_a_tower_that_came_by_name_are_spelled_out(
    tiny: Tiny, words: Tokenizer, make_samples: MakeSamples, tmp_path: Path
) -> None:
    """Given both by name and frozen but for new tokens, the folder needs neither name when it is read."""
    lm = tmp_path / "lm"
    config = {"model_type": "llama", **SIZE, "intermediate_size": 96, "rms_norm_eps": 1e-3, "dtype": "float32"}
    build_lm(tiny(model__language__config=config).model.language, words).save_pretrained(lm)
    recipe = tiny(
        model__language={"name": str(lm)}, model__vision={"name": "ViT-S-32-alt"}, data__image={"size": 224},
    )  # fmt: skip
    loaded, model = made(recipe, words, tmp_path)
    assert model.language.new_rows is not None
    (tmp_path / "out").mkdir()
    export.write(tmp_path / "out", loaded, model)
    shutil.rmtree(lm)
    _, again = export.load(tmp_path / "out")
    batch = collate(make_samples(2, size=224), words, 64)
    for one, two in zip(said(model, batch), said(again, batch), strict=True):
        assert torch.equal(one, two)
    assert {n for n, p in again.named_parameters() if p.requires_grad} == {
        n for n, p in model.named_parameters() if p.requires_grad
    }
    assert str(tmp_path) not in (tmp_path / "out" / "config.json").read_text()


def test_hugging_faces_own_classes_read_tokenizer_and_preprocessor(
    tiny: Tiny, words: Tokenizer, tmp_path: Path
) -> None:
    export.write(tmp_path, *made(tiny(data__image__fit="crop"), words, tmp_path))
    library = transformers()
    tokenizer = library.AutoTokenizer.from_pretrained(tmp_path)
    text = "<visual>a red square lies left<|endofchunk|>"
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == [
        words.visual, *words.encode("a red square lies left"), words.end_of_chunk,
    ]  # fmt: skip
    assert tokenizer.pad_token_id == words.pad
    processor = library.AutoImageProcessor.from_pretrained(tmp_path)
    assert dict(processor.size) == {"shortest_edge": 32}
    assert processor.image_mean == pytest.approx([0.48145466, 0.4578275, 0.40821073])


def test_weights_of_several_files_are_read_too(
    tiny: Tiny, words: Tokenizer, make_samples: MakeSamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "_SHARD", "300KB")
    loaded, model = made(tiny(), words, tmp_path)
    export.write(tmp_path, loaded, model)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    batch = collate(make_samples(1), words, 64)
    assert torch.equal(said(model, batch)[0], said(export.load(tmp_path)[1], batch)[0])


def test_what_is_no_export_or_a_damaged_one_is_said(tiny: Tiny, words: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not an exported CosMo"):
        export.load(tmp_path)
    export.write(tmp_path, *made(tiny(), words, tmp_path))
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(UserError, match="is damaged"):
        export.load(tmp_path)
    weights.write_bytes(whole)
    config = json.loads((tmp_path / "config.json").read_text())
    config["recipe"]["model"]["embedding_width"] += 1
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="is damaged"):
        export.load(tmp_path)
    config["format_version"] = 99
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="its format_version is 99"):
        export.load(tmp_path)


def test_a_run_is_exported_and_captions_a_clip(tiny: Tiny, shards: Path, tmp_path: Path) -> None:
    from PIL import Image

    from cosmos_train.cli import app
    from cosmos_train.train.starting import load_model
    from cosmos_train.train.trainer import train

    train(tiny(train__steps=2), tmp_path / "run")
    picture = tmp_path / "frame.jpg"
    Image.new("RGB", (64, 48), (200, 30, 30)).save(picture)
    run = CliRunner()
    exported = run.invoke(app, ["export", str(tmp_path / "run"), str(tmp_path / "out")])
    assert exported.exit_code == 0, exported.output
    one, two = load_model(tmp_path / "run")[1], load_model(tmp_path / "out")[1]
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    said = [run.invoke(app, ["generate", str(tmp_path / name), str(picture)]) for name in ("run", "out")]
    assert [answer.exit_code for answer in said] == [0, 0]
    assert said[0].output == said[1].output
    again = run.invoke(app, ["export", str(tmp_path / "run"), str(tmp_path / "out")])
    assert isinstance(again.exception, UserError)
    assert "is not empty" in str(again.exception)
