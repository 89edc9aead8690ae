"""What goes wrong with data and weights is reported by the command: which file, which key, and what to do about it."""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from cosmos_recipe import cosmos_recipe
from cosmos_train import cli, recipe
from cosmos_train.families.cosmos.model import Cosmos, build_student
from cosmos_train.families.cosmos.released import write
from cosmos_train.recipe import Recipe
from cosmos_train.stream.stream import open_data, open_stream
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train.trainer import train

Said = Callable[..., tuple[int, str]]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs the command; its exit code and what it says where errors are said."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["cosmos_train", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


def tar(path: Path, about: dict[str, Any], count: int = 8) -> Path:
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), (90, 20, 30)).save(picture, "JPEG")
    with tarfile.open(path, "w") as archive:
        for number in range(count):
            for name, data in (("jpg", picture.getvalue()), ("json", json.dumps(about).encode())):
                member = tarfile.TarInfo(f"s{number}.{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return path


def written(path: Path, shards: Path, **settings: Any) -> Path:
    path.write_text(recipe.dump(cosmos_recipe(shards, train__steps=1, **settings)))
    return path


@pytest.mark.parametrize(
    ("about", "what"),
    [
        ({"url": "x", "alt": "a cup"}, "its json has none of raw_caption, shortIB_captions,"),
        ({"raw_caption": list("a red cup")}, "its raw_caption is a list of single characters"),
        ({"raw_caption": {"a": 1}}, "its raw_caption is neither a text nor a list of texts, but dict"),
        ({"raw_caption": ["a", 2]}, "its raw_caption is neither a text nor a list of texts, but a list with int"),
    ],
)
def test_reported_bad_captions_even_in_a_run_of_one_step(
    said: Said, tmp_path: Path, about: dict[str, Any], what: str
) -> None:
    """Given DreamLIP's json without its fields, or with strings where lists were meant and the like."""
    shard = tar(tmp_path / "cc3m-0000.tar", about)
    for steps in (1, 10):
        chosen = written(tmp_path / "r.yaml", shard)
        code, printed = said("run", chosen, "--set", f"train.steps={steps}", "--out", tmp_path / f"run{steps}")
        assert code == 1
        assert what in printed and "(in cc3m-0000.tar)" in printed and "s" in printed
        assert "fix or remove these samples" in printed
        assert not list((tmp_path / f"run{steps}").glob("checkpoints/step-*"))
    if "url" in about:
        assert "save_additional_columns" in printed and "but alt, url" in printed


def test_texts_in_place_of_lists_are_read_as_texts(tmp_path: Path) -> None:
    shard = tar(
        tmp_path / "strings.tar", {"raw_caption": "A red cup. It is on a table.", "shortIB_captions": "One\nTwo"}
    )
    found = train(cosmos_recipe(shard, train__steps=1), tmp_path / "run")
    assert found.bad_samples == 0
    settings = cosmos_recipe(shard)
    stream = open_stream(settings, Tokenizer.train(["a red cup on a table"], 400), open_data(settings.data))
    captions = {caption for row in stream.next().captions for caption in row}
    pool = {"A red cup", "It is on a table", "One", "Two"}
    assert all(set(caption.split(". ")) <= pool for caption in captions)


def test_one_shard_feeds_more_readers_than_there_are_shards(tmp_path: Path) -> None:
    """The published loader asserts as many shards as readers; here a shard is read by index, by any number of them."""
    shard = tar(tmp_path / "only.tar", {"raw_caption": ["a red cup", "it stands", "on a table"]})
    words = Tokenizer.train(["a red cup on a table"], 400)
    settings = cosmos_recipe(shard)
    alone = open_stream(settings, words, open_data(settings.data))
    ranks = [open_stream(settings, words, open_data(settings.data), rank, 4) for rank in range(4)]
    for _ in range(3):
        shares = [one.next() for one in ranks]
        assert sorted(key for one in shares for key in one.keys) == sorted(alone.next().keys)


def checkpoint(path: Path, **settings: Any) -> Path:
    torch.manual_seed(0)
    made = cosmos_recipe("", **settings)
    write(Cosmos(build_student(made.model, made.data.image.size, 2)), path, "x", 1)
    return path


def test_reported_weights_of_another_architecture_with_both_shapes(said: Said, shards: Path, tmp_path: Path) -> None:
    config = {"layers": 3, "width": 48, "head_width": 16, "patch_size": 16}
    other = checkpoint(tmp_path / "other.pt", model__vision={"config": config, "frozen": False})
    chosen = written(tmp_path / "r.yaml", shards)
    code, printed = said("run", chosen, "--set", f"train.start_from={other}", "--out", tmp_path / "run")
    assert code == 1
    assert f"the student in {other} does not fit the recipe's model" in printed
    assert "visual.transformer.resblocks.2.ln_1.weight is not in the model" in printed or "more" in printed
    assert "a ViT of 3 layers, width 48, patch 16, embedding 32, the recipe's has 2, 32, 8, 32" in printed


def test_reported_files_that_are_not_weights_without_running_them(said: Said, shards: Path, tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"student": Runs()}))
    (tmp_path / "cut.pt").write_bytes(checkpoint(tmp_path / "whole.pt").read_bytes()[:-500])
    torch.save({"state_dict": {}}, tmp_path / "plain.pt")
    chosen = written(tmp_path / "r.yaml", shards)
    for name, what in (
        ("evil", "could run code"),
        ("cut", "is not a file of weights"),
        ("plain", "holds no COSMOS student"),
    ):
        for command in (
            ("run", chosen, "--set", f"train.start_from={tmp_path / name}.pt", "--out", tmp_path / "run"),
            ("evaluate", tmp_path / f"{name}.pt", "--task", "winoground", "--data", tmp_path),
        ):
            code, printed = said(*command)
            assert code == 1
            assert f"{name}.pt" in printed and what in printed
            assert "weights_only" not in printed and len(printed.splitlines()) >= 2
    assert not (tmp_path / "ran").exists()


class Planted:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch planted",)


def test_reported_command_for_a_model_of_another_kind(
    said: Said, shards: Path, tiny: Callable[..., Recipe], tmp_path: Path
) -> None:
    train(cosmos_recipe(shards, train__steps=1), tmp_path / "cosmos")
    code, printed = said("evaluate", tmp_path / "cosmos", "--set", f"data.shards={shards}")
    assert code == 2 and "is a cosmos, not a CosMo" in printed and "cosmos_train retrieve" in printed
    code, printed = said("evaluate", tmp_path / "cosmos", "--task", "coco-caption", "--data", tmp_path)
    assert code == 2 and "a COSMOS cannot do coco-caption" in printed and "winoground" in printed
    (tmp_path / "cosmo.yaml").write_text(recipe.dump(tiny(train__start_from=str(tmp_path / "cosmos"))))
    code, printed = said("run", tmp_path / "cosmo.yaml", "--out", tmp_path / "run")
    assert code == 2 and "is a cosmos, the recipe asks for a cosmo" in printed
    wide = written(tmp_path / "wide.yaml", shards, model__embedding_width=16)
    code, printed = said("run", wide, "--resume", "--out", tmp_path / "cosmos", "--set", "train.steps=2")
    assert code and "model.embedding_width 32 → 16" in printed
    code, printed = said("run", wide, "--set", f"train.start_from={tmp_path / 'cosmos'}", "--out", tmp_path / "run")
    assert code == 2 and "student.visual.proj is (32, 32), not (32, 16)" in printed
    for command in (("retrieve",), ("upcycle", tmp_path / "up")):
        name, *rest = command
        code, printed = said(name, checkpoint(tmp_path / "released.pt"), *rest)
        assert code == 2 and "released.pt is a file, not a run" in printed and "evaluate --task" in printed
    (tmp_path / "junk.pt").write_bytes(b"junk")
    code, printed = said("export", tmp_path / "junk.pt", tmp_path / "out")
    assert code == 1 and "junk.pt is not a file of weights" in printed and not (tmp_path / "out").exists()
    torch.save({"state_dict": Planted()}, tmp_path / "planted.pt")
    code, printed = said("export", tmp_path / "planted.pt", tmp_path / "out")
    assert code == 1 and "planted.pt holds more than weights and could run code" in printed
    assert not (tmp_path / "out").exists()
    code, printed = said("export", tmp_path / "released.pt", tmp_path / "out", "--average")
    assert code == 2 and "released.pt has no averaged weights" in printed


def test_reported_reason_when_shards_have_no_captions(said: Said, shards: Path, tmp_path: Path) -> None:
    train(cosmos_recipe(shards, train__steps=1), tmp_path / "cosmos")
    shard = tar(tmp_path / "bad.tar", {"alt": "a cup"}, 2)
    code, printed = said("retrieve", tmp_path / "cosmos", "--set", f"data.shards={shard}")
    assert code == 1
    assert "none of 2 documents holds a readable scene, for example s0: its json has none of" in printed
    assert "(in bad.tar)" in printed
