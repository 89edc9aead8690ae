"""COSMOS's step: gradients do not depend on the split of a batch; the teacher's formula; weight decay; costs."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from cosmos_recipe import cosmos_recipe
from cosmos_train import recipe as recipes
from cosmos_train.errors import UserError
from cosmos_train.families.base import StepContext
from cosmos_train.families.cosmos.distill import cosmos_losses
from cosmos_train.families.cosmos.family import CosmosFamily
from cosmos_train.families.cosmos.flops import CosmosFlopCount, Rows
from cosmos_train.families.cosmos.model import Cosmos, build_cosmos
from cosmos_train.families.cosmos.momentum import Teacher, momentum
from cosmos_train.families.cosmos.objective import accumulate, compute
from cosmos_train.families.registry import family_of
from cosmos_train.losses.settings import TeacherSettings
from cosmos_train.models.pretrained import PlannedVocabulary
from cosmos_train.recipe import BUNDLED, Recipe, dump, load
from cosmos_train.stream.stream import open_data, open_stream
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train import checkpoint
from cosmos_train.train.trainer import Trainer, train
from ranks import finish, read_diary, start

QUIET = Console(quiet=True)


def step(recipe: Recipe, words: Tokenizer, count: int = 1) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """(losses, gradients) of a step of so many batches."""
    torch.manual_seed(0)
    model = build_cosmos(recipe, words)
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


def assert_close(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    """Equal to a millionth of the norm of all gradients."""
    norm = torch.stack([g.norm() for g in wanted.values()]).norm()
    for name, gradient in wanted.items():
        assert (gradient - found[name]).abs().max() < 1e-6 * norm, name


def test_accumulated_gradients_are_those_of_the_large_batch(shards: Path, words: Tokenizer) -> None:
    whole, wanted = step(cosmos_recipe(shards, train__batch_size=12), words)
    losses, found = step(cosmos_recipe(shards, train__batch_size=4), words, 3)
    assert found.keys() == wanted.keys()
    assert {"student.logit_scale", "student.distill_logit_scale", "student.visual.attn_cross_pool.ln_q.bias"} <= set(
        found
    )
    assert not [name for name in found if name.startswith("teacher")]
    assert_close(found, wanted)
    for name in ("loss", "clip", "distill"):
        assert losses[name].item() == pytest.approx(whole[name].item(), rel=1e-6)
    alone, _ = step(cosmos_recipe(shards, train__batch_size=4, objective__pool="batch"), words, 3)
    assert alone["clip"] < losses["clip"]  # fewer candidates


PLAIN = {"objective__distill_weight": 0}


def test_a_plain_clip_is_open_clips_loss(shards: Path, words: Tokenizer) -> None:
    """One view of a picture and one text: value and every gradient are those of open_clip's ClipLoss."""
    from cosmos_train.models.backends import open_clip

    one = {"data__views": {"global_views": 1, "local_views": 0, "local_size": 16, "sentences": 2, "augment": 0.0}}
    recipe = cosmos_recipe(shards, **PLAIN, **one)
    losses, found = step(recipe, words)
    torch.manual_seed(0)
    student = build_cosmos(recipe, words)
    batch = open_stream(recipe, words, open_data(recipe.data)).next()
    seen = F.normalize(student.student.visual(student.normalised(batch.images[0]))[0], dim=-1)
    said = F.normalize(student.student.texts(batch.texts[0]).pooled, dim=-1)
    wanted = open_clip().loss.ClipLoss()(seen, said, student.student.logit_scale.exp())
    assert losses["loss"].item() == losses["clip"].item() == pytest.approx(wanted.item(), rel=1e-6)
    assert losses["distill"] == 0
    wanted.backward()
    gradients = {name: p.grad for name, p in student.named_parameters() if p.grad is not None}
    assert_close(found, gradients)
    left_out = found.keys() - gradients.keys()
    assert "student.distill_logit_scale" in left_out and not any(found[name].any() for name in left_out)


def test_a_plain_clip_has_the_gradients_of_the_contrastive_loss_alone(shards: Path, words: Tokenizer) -> None:
    """As with a teacher whose loss is multiplied by almost nothing; and small crops are left out."""
    losses, found = step(cosmos_recipe(shards, **PLAIN), words)
    full, wanted = step(cosmos_recipe(shards, objective__distill_weight=1e-12), words)
    assert losses["clip"].item() == pytest.approx(full["clip"].item(), rel=1e-6)
    assert found.keys() == wanted.keys()  # replicas and shards expect a gradient of every weight
    assert_close(found, wanted)
    recipe = cosmos_recipe(shards, **PLAIN)
    model = build_cosmos(recipe, words)
    batch = open_stream(recipe, words, open_data(recipe.data)).next()
    views, _ = compute(model, batch, recipe.objective)
    assert (views.image.shape, views.text.shape) == ((2, 4, 32), (5, 4, 32))
    assert all(len(part) == 0 for part in views.features[2:])
    useful, _ = CosmosFamily().work(batch, recipe)
    assert CosmosFlopCount(model, recipe).of(useful).keys() == {"vision", "text"}


def test_a_plain_clips_step_does_not_depend_on_its_split(shards: Path, words: Tokenizer) -> None:
    whole, wanted = step(cosmos_recipe(shards, train__batch_size=12, **PLAIN), words)
    losses, found = step(cosmos_recipe(shards, train__batch_size=4, **PLAIN), words, 3)
    assert losses["loss"].item() == pytest.approx(whole["loss"].item(), rel=1e-6)
    assert_close(found, wanted)


def test_every_parameter_of_the_student_learns(shards: Path, words: Tokenizer) -> None:
    _, found = step(cosmos_recipe(shards), words)
    model = build_cosmos(cosmos_recipe(shards), words)
    assert {f"student.{name}" for name, _ in model.student.named_parameters()} == set(found)


def test_a_batch_without_readable_samples_costs_nothing_and_runs_all_of_the_model(
    make_shards: Callable[..., Path], words: Tokenizer
) -> None:
    folder = make_shards(documents=2, broken=(0, 1))
    losses, found = step(cosmos_recipe(folder, data__max_bad_share=1.0), words)
    assert losses["loss"] == 0
    assert len(found) > 40
    assert all(gradient.abs().sum() == 0 for gradient in found.values())


def test_the_teacher_sees_only_global_views_and_without_cross_attention(shards: Path, words: Tokenizer) -> None:
    recipe = cosmos_recipe(shards)
    model = build_cosmos(recipe, words)
    batch = open_stream(recipe, words, open_data(recipe.data)).next()
    views, routing = compute(model, batch, recipe.objective)
    assert (views.image.shape, views.cross_text.shape, views.teacher_text.shape) == ((5, 4, 32), (5, 4, 32), (2, 4, 32))
    assert routing == 0
    # As it begins, the teacher is the student.
    assert torch.allclose(views.teacher_image, views.image[:2], atol=1e-6)
    assert torch.allclose(views.teacher_text, views.text[:2], atol=1e-6)
    assert not views.teacher_image.requires_grad
    # The cross-modal features of all views look at the tokens of the first global view alone.
    pixels = model.normalised(batch.images[0])
    tokens = model.student.images(pixels).tokens
    said = model.student.texts(batch.texts[3]).pooled
    seen = model.student.visual.attn_cross_pool(said[:, None], tokens)[:, 0]
    assert torch.allclose(F.normalize(said + seen, dim=-1), views.cross_text[3], atol=1e-6)


def test_momentum_by_its_formula() -> None:
    constant = TeacherSettings(momentum=0.99)
    assert {momentum(step, 100, constant) for step in (0, 50, 99)} == {0.99}
    rising = TeacherSettings(momentum=0.9, schedule="cosine")
    for at in range(101):
        wanted = 1 + 0.5 * (0.9 - 1) * (1 + math.cos(math.pi * at / 100))
        assert momentum(at, 100, rising) == pytest.approx(wanted, rel=1e-12)
    assert momentum(0, 100, rising) == pytest.approx(0.9)


@pytest.mark.parametrize("order", ["after_step", "before_step"])
def test_the_teacher_follows_and_the_scales_are_kept_in_bounds(shards: Path, words: Tokenizer, order: Any) -> None:
    model = build_cosmos(cosmos_recipe(shards), words).double()
    teacher = Teacher(model, TeacherSettings(momentum=0.7, order=order), 5)
    name = "visual.proj"
    student, expected = model.student.get_parameter(name), model.teacher.get_parameter(name).detach().clone()
    for at in range(5):
        before = student.detach().clone()
        teacher.before_step(at)
        with torch.no_grad():
            student.add_(torch.sin(torch.arange(student.numel()) + at).reshape(student.shape))
            model.student.logit_scale.fill_(7.0)
            model.student.distill_logit_scale.fill_(-1.0)
        teacher.after_step(at)
        expected = 0.7 * expected + 0.3 * (student.detach() if order == "after_step" else before)
        assert model.student.logit_scale.item() == pytest.approx(math.log(100))
        assert model.student.distill_logit_scale.item() == 0
    assert torch.allclose(model.teacher.get_parameter(name), expected, atol=1e-12)


def test_only_norms_biases_and_scales_are_left_undecayed() -> None:
    with torch.device("meta"):
        model = build_cosmos(load("cosmos_vitb16_cc3m"), PlannedVocabulary(49408, end=49407)).student
    decays = CosmosFamily().decays
    found = {name for name, p in model.named_parameters() if decays(name, p) and ".resblocks." not in name}
    pools = {f"{one}.attn.{what}" for one in ("visual.attn_cross_pool", "text_attn_cross_pool")
             for what in ("in_proj_weight", "out_proj.weight")}  # fmt: skip
    assert found == pools | {
        "positional_embedding", "visual.positional_embedding", "token_embedding.weight", "visual.proj",
        "text_projection", "visual.conv1.weight", "image_token_mapping.weight", "text_token_mapping.weight",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(path.stem for path in BUNDLED.glob("*cosmos_*.yaml")))
def test_a_recipe_is_built_and_says_what_the_paper_says(name: str) -> None:
    recipe = load(name)
    with torch.device("meta"):
        model = build_cosmos(recipe, PlannedVocabulary(49408, end=49407))
    assert (
        recipe.optimiser.lr == 5e-4 and recipe.optimiser.weight_decay == 0.5 and recipe.optimiser.warmup_steps == 2000
    )
    assert recipe.train.batch_size == (1024 if name.endswith("cc3m") else 4096)
    assert recipe.objective.teacher.momentum == (0.999 if name.endswith("cc3m") else 0.99)
    flops = CosmosFlopCount(model, recipe)
    whole = Rows(1, 8 * 77, 8 * 77**2, 2 * 77, 2 * 77**2)
    assert sum(part.total for part in flops.of(whole).values()) > 1e11


def test_its_operations_are_those_that_are_counted(shards: Path, words: Tokenizer) -> None:
    recipe = cosmos_recipe(shards)
    model = build_cosmos(recipe, words)
    batch = open_stream(recipe, words, open_data(recipe.data)).next()
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # written out, so that it is counted
        views, _ = compute(model, batch, recipe.objective)
        forward = counter.get_total_flops()
    useful, padded = CosmosFamily().work(batch, recipe)
    found = CosmosFlopCount(model, recipe).of(padded)
    assert useful.rows == padded.rows == 4
    assert useful.tokens < padded.tokens < 5 * 4 * 16
    assert sum(part.forward for part in found.values()) == pytest.approx(forward, rel=0.02)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        losses = cosmos_losses(views)
        contrasted = counter.get_total_flops()
        (losses.clip + losses.distill).backward()  # type: ignore[no-untyped-call]
        backward = counter.get_total_flops() - 3 * contrasted
    assert sum(part.backward for part in found.values()) == pytest.approx(backward, rel=0.02)


class Diary:
    def __init__(self, stop_after: int = 0) -> None:
        self.steps: dict[int, tuple[list[str], float]] = {}
        self.stop_after = stop_after

    def __call__(self, step: int, batches: list[Any], loss: float) -> None:
        self.steps[step] = ([batch.digest() for batch in batches], loss)
        if step == self.stop_after:
            raise KeyboardInterrupt


def test_a_killed_run_goes_on_with_the_same_batches_losses_and_teacher(shards: Path, tmp_path: Path) -> None:
    recipe = cosmos_recipe(shards, train__accumulation=2, train__batch_size=2)
    whole, first, second = Diary(), Diary(stop_after=6), Diary()
    train(recipe, tmp_path / "whole", False, QUIET, whole)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "cut", False, QUIET, first)
    train(recipe, tmp_path / "cut", True, QUIET, second)
    assert sorted(second.steps) == [5, 6, 7, 8]
    assert second.steps == {at: whole.steps[at] for at in range(5, 9)}
    models = [Trainer(recipe, tmp_path / name, True, QUIET).model for name in ("whole", "cut")]
    for one, other in zip(models[0].state_dict().items(), models[1].state_dict().items(), strict=True):
        assert torch.equal(one[1], other[1]), one[0]


def test_a_run_begins_with_the_weights_of_another_and_refuses_other_models(shards: Path, tmp_path: Path) -> None:
    first = cosmos_recipe(shards, train__steps=2)
    train(first, tmp_path / "first", False, QUIET)
    other = copy.deepcopy(cosmos_recipe(shards, train__steps=1, train__start_from=str(tmp_path / "first")))
    begun = Trainer(other, tmp_path / "second", False, QUIET)
    trained = Trainer(first, tmp_path / "first", True, QUIET)
    for one, two in zip(begun.model.parameters(), trained.model.parameters(), strict=True):
        assert torch.equal(one, two)
    assert begun.step == 0 and begun.stream.state.samples == (0,)
    wider = cosmos_recipe(shards, train__start_from=str(tmp_path / "first"), model__embedding_width=16)
    with pytest.raises(UserError, match=r"is of another model: .* is \(32, 32\), not"):
        Trainer(wider, tmp_path / "third", False, QUIET)


def test_a_run_with_experts_begins_with_the_dense_one(shards: Path, tmp_path: Path) -> None:
    train(cosmos_recipe(shards, train__steps=1), tmp_path / "dense", False, QUIET)
    recipe = cosmos_recipe(
        shards, train__steps=3, train__start_from=str(tmp_path / "dense"),
        model__experts={"count": 3, "top_k": 2, "places": ["vision", "text"]},
    )  # fmt: skip
    sparse = Trainer(recipe, tmp_path / "sparse", False, QUIET)
    dense = Trainer(cosmos_recipe(shards, train__steps=2), tmp_path / "dense", True, QUIET)
    batch = dense.stream.next()
    found = []
    for one in (dense.model, sparse.model):
        assert isinstance(one, Cosmos)
        with torch.no_grad():
            found.append(compute(one.eval(), batch, recipe.objective)[0])
    for one, two in zip(found[0].features, found[1].features, strict=True):
        assert (one - two).abs().max() < 1e-5
    result = sparse.run()
    assert result.numbers["routing"] > 0
    assert result.numbers["experts/blocks"] == 4
    assert 0 <= result.numbers["experts/least_used"] <= 1 <= result.numbers["experts/most_used"]


def test_settings_that_do_not_go_together_are_refused(shards: Path) -> None:
    with pytest.raises(UserError, match=r"needs data\.form views, not clips"):
        family_of(cosmos_recipe(shards, data__form="clips"))
    with pytest.raises(UserError, match="has a moving average already, its teacher"):
        family_of(cosmos_recipe(shards, train__ema_decay=0.9))
    with pytest.raises(ValueError, match="rows are not packed"):
        cosmos_recipe(shards, data__pack={"tokens": 64})
    with pytest.raises(UserError, match=r"reads 16 tokens, data\.max_tokens is 20"):
        build_cosmos(cosmos_recipe(shards, data__max_tokens=20), PlannedVocabulary(400, end=2))
    with pytest.raises(UserError, match="cannot be divided into patches of 8"):
        build_cosmos(cosmos_recipe(shards, data__views={"local_size": 20}), PlannedVocabulary(400, end=2))


@pytest.mark.processes
@pytest.mark.parametrize("variant", [{}, pytest.param(PLAIN, marks=pytest.mark.slow, id="plain")])
def test_two_ranks_replicas_or_shards_are_one(
    make_shards: Callable[..., Path], tmp_path: Path, variant: dict[str, Any]
) -> None:
    """Losses of three steps and the weights of student and teacher after them; samples that are missing on one rank,
    accumulation and experts among them."""
    shards = make_shards(documents=10, broken=(3,))
    common: dict[str, Any] = {
        "train__steps": 3, "train__accumulation": 2, "data__max_bad_share": 1.0, "train__save_every": 3,
        "optimiser__eps": 1e-3,  # biases of keys have no gradient but rounding, which Adam would make a step of
        "model__experts": {"count": 3, "top_k": 2, "places": ["vision"]}, "objective__balance_weight": 0.0,
        "objective__router_z_weight": 0.0,
    }  # fmt: skip
    modes: dict[str, dict[str, Any]] = {
        "single": {},
        "ddp": {"parallel__mode": "ddp"},
        "fsdp": {"parallel__mode": "fsdp", "parallel__recompute_every": 2},
    }
    jobs = {}
    for name, settings in modes.items():
        (tmp_path / f"{name}.yaml").write_text(dump(cosmos_recipe(shards, **common, **settings, **variant)))
        paths = {"recipe": f"{name}.yaml", "out": name, "diary": f"{name}.jsonl"}
        jobs[name] = {key: str(tmp_path / path) for key, path in paths.items()}
    alone = start([jobs.pop("single")], 1)
    together = start(list(jobs.values()), 2)
    for code, said in finish(alone) + finish(together):
        assert code == 0, said
    whole, expected = read_diary(tmp_path / "single.jsonl"), weights(tmp_path / "single")
    assert len(whole) == 3
    for name in jobs:
        found = read_diary(tmp_path / f"{name}.jsonl")
        for at, (digests, loss) in whole.items():
            assert found[at][0] == digests
            assert found[at][1] == pytest.approx(loss, rel=1e-5), (name, at)
        for key, tensor in weights(tmp_path / name).items():
            assert (tensor - expected[key]).abs().max() < 2e-4, (name, key)


def weights(out: Path) -> dict[str, torch.Tensor]:
    loaded = checkpoint.load(out)
    model = build_cosmos(recipes.load(str(loaded.folder / "recipe.yaml")), loaded.tokenizer)
    checkpoint.restore(loaded, model)
    return model.state_dict()
