"""A third-party family is one class and one entry point; every command works on it, or refuses in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cosmos_train import cli
from cosmos_train import recipe as recipes
from cosmos_train.errors import UserError
from cosmos_train.families.registry import FAMILIES, family_of, find

# What the package offers: as small as a family can be, and one with everything.
MODULE = '''
from cosmos_train.families.base import Evaluation, Family
from cosmos_train.settings import Settings


class Options(Settings):
    width: int = 16


class Penalty(Settings):
    penalty: float = 0.0


def build(recipe, vocabulary):
    import torch
    from torch import nn

    width = Options(**recipe.model.options).width

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    class Bigram(nn.Module):
        """Predicts the next token from the last."""

        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(vocabulary.size, width)
            self.language = nn.ModuleList([Block()])
            self.head = nn.Linear(width, vocabulary.size)

        def forward(self, tokens):
            states = self.words(tokens)
            for block in self.language:
                states = states + block.mlp(states)
            return self.head(states)

    return Bigram()


class Plain(Family):
    kind, name, form = "plain", "Plain", "clips"

    def build(self, recipe, vocabulary, weights=True):
        return build(recipe, vocabulary)

    def compute(self, model, batch, settings):
        from torch.nn import functional as F

        logits = model(batch.rows.tokens)[:, :-1]
        loss = F.cross_entropy(logits.flatten(0, 1), batch.rows.labels[:, 1:].flatten(), ignore_index=-100)
        return {"loss": loss, "language": loss.detach()}


class Toy(Plain):
    kind, name = "toy", "Toy"
    losses = ("language",)
    model_options, objective_options = Options, Penalty
    expert_places = ("language",)
    evaluation = Evaluation(probe="acme_families:make_probe")

    def build(self, recipe, vocabulary, weights=True):
        from cosmos_train.models.moe import expert_layers

        model = build(recipe, vocabulary)
        if recipe.model.experts.count:
            expert_layers(model, recipe.model.experts)
        return model

    def export(self, out, trained, model, part):
        from cosmos_train.families.folder import write_folder

        write_folder(out, trained, model, self.kind, self.name, trained.recipe, {}, "A toy.")

    def load_exported(self, folder):
        from cosmos_train.families.folder import load_folder

        return load_folder(folder, self.kind, self.name, self.build)

    def drawn_outputs(self, model):
        from cosmos_train.families.drawn import Drawn

        return [model(Drawn().tokens(8, model.words.num_embeddings))]


def make_probe(recipe, heldout, tokenizer, slots):
    return lambda model, device: {"probe/words": float(model.words.num_embeddings)}


class Unfinished(Family):
    kind, name, form = "unfinished", "Unfinished", "clips"
'''
ENTRY_POINTS = """[cosmos_train.families]
plain = acme_families:Plain
toy = acme_families:Toy
unfinished = acme_families:Unfinished
other = acme_families:Toy
function = acme_families:build
missing = acme_elsewhere:Family
"""

Said = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that offers families."""
    site = tmp_path / "site"
    (site / "acme_families-3.dist-info").mkdir(parents=True)
    (site / "acme_families.py").write_text(MODULE)
    (site / "acme_families-3.dist-info" / "METADATA").write_text("Name: acme-families\nVersion: 3\n")
    (site / "acme_families-3.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "acme_families", raising=False)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs a command; its exit code, and what it prints to stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cosmos_train", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def values(shards: Path, kind: str, **model: Any) -> dict[str, Any]:
    return {
        "name": "toy",
        "data": {"shards": str(shards), "image": {"size": 32}, "max_tokens": 32},
        "model": {"kind": kind, "language": {"vocabulary": 400}, **model},
        "optimiser": {"lr": 1e-2, "warmup_steps": 0},
        "train": {
            "steps": 6, "batch_size": 4, "accumulation": 2, "precision": "fp32", "device": "cpu", "threads": 1,
            "log_every": 1, "save_every": 3,
        },
    }  # fmt: skip


def written(path: Path, values: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def toy(shards: Path, tmp_path: Path) -> Path:
    return written(tmp_path / "toy.yaml", values(shards, "toy", options={"width": 8}))


@pytest.fixture
def plain(shards: Path, tmp_path: Path) -> Path:
    return written(tmp_path / "plain.yaml", values(shards, "plain"))


def refused(found: tuple[int, str, str], what: str) -> None:
    """By one line of what is wrong, one of what to do, and no trace."""
    code, _, err = found
    assert code == 2
    first, second = err.splitlines()
    assert first.startswith("error: ") and what in first
    assert second.strip()


def test_it_is_listed_after_the_built_in_families() -> None:
    assert FAMILIES.names()[:3] == ["cosmo", "cosmos", "cumo"]
    assert {"plain", "toy"} <= set(FAMILIES.names())
    assert find("toy").name == "Toy"


def test_looking_families_up_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from cosmos_train.families.registry import find\n"
        "for kind in ('cosmo', 'cosmos', 'cumo'): find(kind)\n"
        "heavy = {'torch', 'transformers', 'open_clip', 'numpy', 'PIL', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_commands_work_on_a_family_that_has_everything(said: Said, toy: Path, shards: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert said("run", toy, "--out", run)[0] == 0
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < lines[0]["loss"] and lines[-1]["language"] == lines[-1]["loss"]
    assert "tflops" not in lines[-1]
    code, _, err = said("run", toy, "--out", run, "--resume", "--set", "train.steps=8")
    assert code == 0, err
    code, out, _ = said("size", toy)
    assert code == 0 and "words" in out and "head" in out and "language" in out
    code, out, _ = said("evaluate", run, "--probe", "--set", f"data.shards={shards}", "--json")
    assert code == 0 and json.loads(out)["probe/words"] > 100
    refused(said("evaluate", run, "--task", "coco-caption", "--data", tmp_path), "a Toy cannot do coco-caption")
    assert said("export", run, tmp_path / "out")[0] == 0
    code, out, _ = said("evaluate", tmp_path / "out", "--probe", "--set", f"data.shards={shards}", "--json")
    assert code == 0 and json.loads(out)["probe/words"] > 100
    code, out, err = said("upcycle", run, tmp_path / "sparse", "--experts", "2", "--top-k", "1")
    assert code == 0, err
    assert "1 blocks of 2 experts" in out and "in float64: the same function" in out
    sparse = {"count": 2, "top_k": 1, "places": ["language"]}
    begun = values(shards, "toy", options={"width": 8}, experts=sparse)
    begun["train"] |= {"start_from": str(tmp_path / "sparse"), "steps": 2}
    begun["probe"] = {"every": 1, "shards": str(shards)}
    assert said("run", written(tmp_path / "begun.yaml", begun), "--out", tmp_path / "begun")[0] == 0
    last = json.loads((tmp_path / "begun" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["probe/words"] > 100


def test_what_a_small_family_does_not_have_is_refused_and_nothing_is_written(
    said: Said, plain: Path, shards: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert said("run", plain, "--out", run)[0] == 0
    assert said("size", plain)[0] == 0  # parameters can be counted of any model
    out = tmp_path / "out"
    refused(said("export", run, out), "a Plain cannot be exported")
    refused(said("upcycle", run, out), "a Plain cannot be upcycled by default")
    refused(said("upcycle", run, out, "--places", "language"), "a Plain cannot be upcycled")
    refused(said("evaluate", run, "--probe", "--set", f"data.shards={shards}"), "a Plain cannot be probed")
    refused(said("evaluate", run, "--set", f"data.shards={shards}"), "is a plain, not a CosMo")
    refused(said("evaluate", run, "--task", "imagenet-classify", "--data", tmp_path), "a Plain cannot do")
    refused(said("generate", run, tmp_path / "a.jpg"), "is a plain, not a CosMo")
    refused(said("retrieve", run), "is not a COSMOS")
    refused(said("attend", run, tmp_path / "a.jpg", "a cup", "--out", out / "a.png"), "is not a COSMOS")
    (tmp_path / "weights.pt").write_bytes(b"")
    begun = ("run", plain, "--out", out, "--set", f"train.start_from={tmp_path / 'weights.pt'}")
    refused(said(*begun), "a Plain cannot begin with the file")
    probed = ("run", plain, "--out", out, "--set", "probe.every=1", "--set", f"probe.shards={shards}")
    refused(said(*probed), "a Plain cannot be probed in training")
    assert not out.exists()


def test_a_refused_export_leaves_an_empty_folder_empty(said: Said, plain: Path, tmp_path: Path) -> None:
    assert said("run", plain, "--out", tmp_path / "run")[0] == 0
    (tmp_path / "out").mkdir()
    refused(said("export", tmp_path / "run", tmp_path / "out"), "a Plain cannot be exported")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("model", "what"),
    [
        ({"kind": "cosmoss"}, "there is no model family 'cosmoss'"),
        ({"kind": "toy", "options": {"wide": 3}}, "model.options.wide: Extra inputs are not permitted"),
        ({"kind": "plain", "options": {"width": 3}}, "model.options.width: Extra inputs are not permitted"),
        ({"kind": "unfinished"}, "'unfinished' of acme-families 3 does not define build and compute"),
        ({"kind": "other"}, "'other' of acme-families 3 has the kind 'toy'"),
        ({"kind": "function"}, "'function' of acme-families 3 is not a Family"),
        ({"kind": "missing"}, "'missing' of acme-families 3 cannot be imported"),
        ({"kind": "cosmos"}, "model.kind cosmos needs data.form views, not clips"),
        ({"kind": "cosmo"}, "model.vision of a CosMo has neither"),
    ],
)
def test_every_command_refuses_a_recipe_that_does_not_fit_before_any_work(
    said: Said, tmp_path: Path, model: dict[str, Any], what: str
) -> None:
    """Also where its shards do not exist: the model is looked at first."""
    recipe = written(tmp_path / "recipe.yaml", values(tmp_path / "none", **model))
    out = tmp_path / "out"
    chain = written(tmp_path / "chain.yaml", {"name": "c", "stages": {"one": {"recipe": str(recipe)}}})
    variants = {"recipe": str(recipe), "measures": {"loss": "loss"}, "baseline": "a", "variants": {"a": {}}}
    for command in (
        ("run", recipe, "--out", out),
        ("launch", recipe, "--out", out, "--nproc", "2"),
        ("size", recipe),
        ("index", recipe),
        ("run", chain, "--out", out),
        ("ablate", written(tmp_path / "ablate.yaml", variants), "--out", out),
    ):
        refused(said(*command), what)
        assert not out.exists()


def test_a_family_that_is_no_longer_installed_is_named(
    said: Said, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said("run", toy, "--out", tmp_path / "run")[0] == 0
    assert said("export", tmp_path / "run", tmp_path / "out")[0] == 0
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != str(tmp_path / "site")])
    for trained in ("run", "out"):
        refused(said("evaluate", tmp_path / trained, "--probe"), "there is no model family 'toy'")


def test_options_are_in_a_recipe_only_where_they_are_given(shards: Path) -> None:
    """Recipes without them dump as they always did: what is compared and hashed stays the same."""
    with_options = recipes.build(values(shards, "toy", options={"width": 8}), ["objective.options.penalty=0.5"], "here")
    assert family_of(with_options).kind == "toy"
    assert yaml.safe_load(recipes.dump(with_options))["model"]["options"] == {"width": 8}
    assert yaml.safe_load(recipes.dump(with_options))["objective"]["options"] == {"penalty": 0.5}
    without = yaml.safe_load(recipes.dump(recipes.load("tiny_cosmo")))
    assert "options" not in without["model"] and "options" not in without["objective"]
    with pytest.raises(UserError, match=r"objective\.options\.penalty: Input should be a valid number"):
        family_of(recipes.build(values(shards, "toy"), ["objective.options.penalty=much"], "here"))


def test_default_steps_are_means_over_batches(shards: Path) -> None:
    """The gradients of two batches are those of their mean loss."""
    from contextlib import nullcontext

    from cosmos_train.families.base import StepContext
    from cosmos_train.stream.stream import open_data, open_stream

    recipe = recipes.build(values(shards, "toy"), (), "here")
    family, data = family_of(recipe), open_data(recipe.data)
    tokenizer = family.tokenizer(recipe, data)
    model = family.build(recipe, tokenizer)
    stream = open_stream(recipe, tokenizer, data)
    batches = [stream.next() for _ in range(2)]
    last = []

    def no_sync(is_last: bool) -> Any:
        last.append(is_last)
        return nullcontext()

    def backward(loss: torch.Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    context = StepContext(nullcontext, backward, no_sync)
    losses = family.step(lambda *given: family.compute(model, *given), batches, recipe, context)
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    mean = sum(family.compute(model, batch, recipe.objective)["loss"] for batch in batches) / 2
    mean.backward()
    assert last == [False, True]
    assert losses["loss"].item() == pytest.approx(mean.item())
    for name, parameter in model.named_parameters():
        assert torch.allclose(found[name], parameter.grad, atol=1e-7), name
