"""A trained COSMOS leaves the run as a plain CLIP and in the authors' layout."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from cosmos_recipe import cosmos_recipe
from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.families.cosmo.model import build_cosmo
from cosmos_train.families.cosmos.model import Cosmos
from cosmos_train.families.words import write_text_tower_tokenizer
from cosmos_train.models.backends import open_clip
from cosmos_train.recipe import Recipe
from cosmos_train.stream.talk.corpus import squared
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.stream.views.batch import tokenize_caption
from cosmos_train.train.export import export
from cosmos_train.train.starting import load_any, load_model
from cosmos_train.train.trainer import Trainer, train
from interlink.engines.imagetext import ImageTextSettings, OpenClip


@pytest.mark.parametrize("part", ["teacher", "student"])
def test_open_clip_reads_it_and_says_the_same(shards: Path, tmp_path: Path, part: str) -> None:
    train(cosmos_recipe(shards, train__steps=3), tmp_path / "run", False, Console(quiet=True))
    said = CliRunner().invoke(app, ["export", str(tmp_path / "run"), str(tmp_path / "out"), "--part", part])
    assert said.exit_code == 0, said.output
    _, model = load_any(tmp_path / "run")
    assert isinstance(model, Cosmos)
    ours = getattr(model, part)
    plain = open_clip().create_model(f"local-dir:{tmp_path / 'out'}").eval()
    words = Tokenizer.load(tmp_path / "out" / "tokenizer.json", {"begin": "<s>", "end": "</s>", "pad": "<pad>"})
    tokens = torch.zeros(1, 16, dtype=torch.long)
    ids = tokenize_caption("a red square lies left", words, 16)
    tokens[0, : len(ids)] = torch.tensor(ids)
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(plain.encode_text(tokens), ours.texts(tokens).pooled, atol=1e-5)
        assert torch.allclose(plain.encode_image(pixels), ours.images(pixels).pooled, atol=1e-5)
    scorer = OpenClip(ImageTextSettings(model=str(tmp_path / "out"), device="cpu"))
    assert scorer.open().revision.startswith("folder-")
    with torch.no_grad():
        pooled = torch.nn.functional.normalize(ours.texts(tokens).pooled, dim=-1)
    assert torch.allclose(torch.from_numpy(scorer.texts(["a red square lies left"])), pooled, atol=1e-5)
    # The other file is one to begin with.
    begun = Trainer(
        cosmos_recipe(shards, train__start_from=str(tmp_path / "out" / "cosmos.pt")), tmp_path / "next", False,
        Console(quiet=True),
    )  # fmt: skip
    for name, tensor in model.state_dict().items():
        assert torch.equal(begun.model.state_dict()[name], tensor), name


TEXTS = ("a red square lies left", "  Two\tcircles, and  1 triangle! ", "", "of <s>marks</s> and <pad>", "word " * 40)


def test_embeddings_by_open_clip_alone_equal_ours(shards: Path, tmp_path: Path) -> None:
    """Model, transform and tokenizer come from the folder, as a user of open_clip loads them."""
    train(cosmos_recipe(shards, train__steps=2), tmp_path / "run", False, Console(quiet=True))
    export(tmp_path / "run", tmp_path / "out")
    trained, model = load_any(tmp_path / "run")
    assert isinstance(model, Cosmos)
    name = f"local-dir:{tmp_path / 'out'}"
    plain, prepare = open_clip().create_model_from_pretrained(name)
    tokens = open_clip().get_tokenizer(name)(list(TEXTS))
    wanted = [tokenize_caption(" ".join(text.split()), trained.tokenizer, 16) for text in TEXTS]
    assert [row[: len(ids)].tolist() for row, ids in zip(tokens, wanted, strict=True)] == wanted
    assert all(not row[len(ids) :].any() for row, ids in zip(tokens, wanted, strict=True))
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (44, 44, 3), np.uint8))
    shown = torch.from_numpy(squared(np.asarray(picture), 32, False))
    pixels = (shown[None] - model.pixel_mean) / model.pixel_std
    with torch.no_grad():
        assert torch.allclose(plain.eval().encode_text(tokens), model.teacher.texts(tokens).pooled, atol=1e-5)
        assert torch.allclose(
            plain.encode_image(prepare(picture)[None]), model.teacher.images(pixels).pooled, atol=1e-4
        )


def test_a_tokenizer_with_clips_ids_is_padded_with_its_end(tmp_path: Path) -> None:
    words = Tokenizer.clip()
    write_text_tower_tokenizer(tmp_path, words, 49408, 12)
    (tmp_path / "open_clip_config.json").write_text('{"model_cfg": {"text_cfg": {"hf_tokenizer_name": "x"}}}')
    read = open_clip().get_tokenizer(f"local-dir:{tmp_path}", context_length=12)
    usual = open_clip().get_tokenizer("ViT-B-32", context_length=12)
    for text in ("A red <visual> square!", "hello world", "naïve café"):
        ids = tokenize_caption(text, words, 12)
        (row,) = read([text]).tolist()
        assert row == ids + [words.end] * (12 - len(ids))
        if "<" not in text:
            assert usual([text])[0, : len(ids)].tolist() == ids
    assert Tokenizer.load(tmp_path / "tokenizer.json", words.names).size == words.size


def test_files_are_readable_by_the_group_as_the_umask_says(shards: Path, tmp_path: Path) -> None:
    train(cosmos_recipe(shards, train__steps=1), tmp_path / "run", False, Console(quiet=True))
    before = os.umask(0o027)
    try:
        export(tmp_path / "run", tmp_path / "out")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()}
    assert set(modes.values()) == {0o640}, modes


def test_what_wants_a_cosmo_says_so(shards: Path, tmp_path: Path) -> None:
    train(cosmos_recipe(shards, train__steps=1), tmp_path / "run", False, Console(quiet=True))
    with pytest.raises(UserError, match="is a cosmos, not a CosMo"):
        load_model(tmp_path / "run")


def test_its_tower_serves_a_cosmo_of_the_same_shape_and_no_other(
    shards: Path, tiny: Callable[..., Recipe], words: Tokenizer, tmp_path: Path
) -> None:
    train(cosmos_recipe(shards, train__steps=1), tmp_path / "run", False, Console(quiet=True))
    export(tmp_path / "run", tmp_path / "out")
    _, model = load_any(tmp_path / "run")
    assert isinstance(model, Cosmos)
    config = {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
    vision = {"config": config, "frozen": False, "pretrained": str(tmp_path / "out" / "open_clip_model.safetensors")}
    tower = build_cosmo(tiny(model__vision=vision), words).vision.tower.state_dict()
    for name, tensor in model.teacher.visual.state_dict().items():
        if name != "proj" and not name.startswith("attn_cross_pool"):
            assert torch.equal(tower[name], tensor), name
    with pytest.raises(UserError, match=r"does not fit model\.vision\.config: "):
        build_cosmo(tiny(model__vision={**vision, "config": {**config, "layers": 3}}), words)
    with pytest.raises(UserError, match="cannot read the visual tower"):
        build_cosmo(tiny(model__vision={**vision, "pretrained": "nowhere"}), words)
