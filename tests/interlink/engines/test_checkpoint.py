"""The checkpoint engine, on a tiny CosMo exported as `cosmos_train export` does."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from interlink.engines.captioner import ClipRequest, Identity
from interlink.engines.checkpoint import Checkpoint
from interlink.engines.settings import CheckpointSettings
from interlink.errors import StageError, UserError
from interlink.stages.caption import Caption, CaptionSettings
from telling import jpeg


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of an untrained model with open gates: what it says is nonsense that depends on the frames."""
    import torch

    from cosmos_train.families.base import Trained
    from cosmos_train.families.cosmo import export
    from cosmos_train.families.cosmo.model import build_cosmo
    from cosmos_train.recipe import Recipe
    from cosmos_train.stream.tokenizer import Tokenizer

    torch.manual_seed(0)
    words = Tokenizer.train(["stir the soup", "cut the onion"], 400)
    language = {
        "model_type": "opt", "hidden_size": 48, "word_embed_proj_dim": 48, "num_hidden_layers": 2, "ffn_dim": 96,
        "num_attention_heads": 2, "max_position_embeddings": 64, "dropout": 0.0, "init_std": 0.5,
    }  # fmt: skip
    recipe = Recipe.model_validate(
        {
            "name": "kitchen",
            "data": {"frames_per_clip": 2, "image": {"size": 32}},
            "model": {
                "vision": {"config": {"layers": 1, "width": 48, "head_width": 24, "patch_size": 8}},
                "resampler": {"depth": 1, "heads": 2, "head_width": 24, "latents": 4},
                "language": {"config": language, "vocabulary": 400},
                "fusion": {"unimodal_depth": 1, "interval": 1, "heads": 2, "head_width": 24},
                "embedding_width": 16,
            },
            "train": {"steps": 3, "batch_size": 1, "device": "cpu"},
        }
    )
    model = build_cosmo(recipe, words).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("_gate"):
            torch.nn.init.constant_(parameter, 3.0)
        elif name.endswith("attention.to_out.weight"):  # so that frames count beside weights never trained
            parameter.data *= 30
    out = tmp_path_factory.mktemp("exported")
    export.write(out, Trained(out, recipe, words, 3, "abc123"), model)
    return out


def request(number: int, frames: Sequence[bytes]) -> ClipRequest:
    return ClipRequest("film", number, tuple(frames), tuple(5.0 + n for n in range(len(frames))), 5, 15)


def opened(folder: Path, **options: Any) -> tuple[Checkpoint, Identity]:
    engine = Checkpoint(CheckpointSettings(model=str(folder), device="cpu", max_new_tokens=6, **options), "")
    return engine, engine.open()


def test_it_captions_what_it_sees_whatever_the_batch(folder: Path) -> None:
    clips = [request(n, [jpeg(n + 1)] * (1 + n % 3)) for n in range(6)]
    told = {}
    for size in (1, 4):
        engine, _ = opened(folder, batch_size=size)
        told[size] = {answer.clip: answer.caption for answer in engine.caption(clips)}
    assert told[1] == told[4]
    assert len(set(told[1].values())) > 1
    assert all(told[1].values())


def test_it_says_who_speaks_and_warns_that_other_material_is_not_its_own(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        _, identity = opened(folder)
    assert "they mean nothing on other material" in caplog.text
    assert "kitchen trained for 3 steps" in caplog.text
    assert (identity.engine, identity.model) == ("checkpoint", folder.name)
    assert identity.revision.startswith("folder-")
    assert str(folder.parent) not in str(identity)


def test_a_clip_without_frames_or_with_a_broken_one_is_told_apart(folder: Path) -> None:
    engine, _ = opened(folder)
    answers = {a.clip: a for a in engine.caption([request(0, []), request(1, [b"no jpeg"]), request(2, [jpeg(1)])])}
    assert answers[0].flag == "no_frames"
    assert isinstance(answers[1].error, StageError) and answers[1].error.error_class == "unreadable"
    assert answers[2].caption and answers[2].error is None


def test_what_cannot_work_is_said_before_the_first_clip(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no model"):
        Checkpoint(CheckpointSettings(), "").open()
    with pytest.raises(UserError, match="is not an exported CosMo"):
        opened(tmp_path)
    with pytest.raises(UserError, match="takes no prompt"):
        Checkpoint(CheckpointSettings(model=str(folder)), "Tell me more").open()


def test_engine_and_folder_may_be_given_in_one_word() -> None:
    settings = CaptionSettings.model_validate({"engine": "checkpoint:out/model", "checkpoint": {"num_beams": 3}})
    assert (settings.engine, settings.checkpoint.model, settings.checkpoint.num_beams) == ("checkpoint", "out/model", 3)
    assert CaptionSettings.model_validate(settings.model_dump()) == settings
    on_gpu = CaptionSettings.model_validate({"engine": "checkpoint:x", "checkpoint": {"device": "cuda"}})
    assert Caption.resources(on_gpu).gpus == 1
    assert Caption.costly(on_gpu)
