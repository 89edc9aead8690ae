"""Without distillation a COSMOS is a plain CLIP: open_clip's loss, and neither teacher nor cross-attention runs."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from cosmos_recipe import cosmos_recipe
from cosmos_train.families.base import StepContext
from cosmos_train.families.cosmos.distill import cosmos_losses
from cosmos_train.families.cosmos.family import CosmosFamily
from cosmos_train.families.cosmos.flops import CosmosFlopCount
from cosmos_train.families.cosmos.model import Cosmos, build_cosmos
from cosmos_train.families.cosmos.objective import accumulate, compute
from cosmos_train.models.backends import open_clip
from cosmos_train.recipe import Recipe
from cosmos_train.stream.stream import open_data, open_stream
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.stream.views.batch import ViewBatch

FOR_DISTILLATION = ("attn_cross_pool", "token_mapping")


def batches_of(recipe: Recipe, words: Tokenizer, count: int = 1) -> list[ViewBatch]:
    stream = open_stream(recipe, words, open_data(recipe.data))
    return [stream.next() for _ in range(count)]


def drawn(recipe: Recipe, words: Tokenizer) -> Cosmos:
    torch.manual_seed(0)
    return build_cosmos(recipe, words)


def step(recipe: Recipe, words: Tokenizer, count: int = 1) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(losses, gradients) of a step of so many batches."""
    model = drawn(recipe, words)
    context = StepContext(nullcontext, lambda loss: loss.backward(), lambda last: nullcontext())  # type: ignore[no-untyped-call]
    losses = accumulate(
        lambda *given: compute(model, *given), batches_of(recipe, words, count), recipe.objective, context
    )
    return losses, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_loss_and_gradients_of_the_towers_are_those_of_the_contrastive_part(shards: Path, words: Tokenizer) -> None:
    plain, found = step(cosmos_recipe(shards, objective__distill_weight=0), words)
    whole, wanted = step(cosmos_recipe(shards, objective__distill_weight=1e-30), words)
    assert plain["clip"].item() == pytest.approx(whole["clip"].item(), rel=1e-6)
    assert plain["loss"] == plain["clip"] and plain["distill"] == 0
    assert set(wanted) - set(found) == {name for name in wanted if any(part in name for part in FOR_DISTILLATION)}
    for name, gradient in found.items():
        assert (gradient - wanted[name]).norm() <= 1e-5 * wanted[name].norm() + 1e-6, name


def test_with_one_view_of_each_the_loss_is_open_clips(shards: Path, words: Tokenizer) -> None:
    one: dict[str, Any] = {"data__views__global_views": 1, "data__views__local_views": 0}
    recipe = cosmos_recipe(shards, objective__distill_weight=0, **one)
    model, (batch,) = drawn(recipe, words), batches_of(recipe, words)
    views, _ = compute(model, batch, recipe.objective)
    assert len(views.image) == len(views.text) == 1
    images = F.normalize(model.student.visual(model.normalised(batch.images[0]))[0], dim=-1)
    texts = F.normalize(model.student.texts(batch.texts[0]).pooled, dim=-1)
    wanted = open_clip().loss.ClipLoss()(images, texts, model.student.logit_scale.exp())
    assert cosmos_losses(views).clip.item() == pytest.approx(wanted.item(), rel=1e-6)


def test_neither_the_teacher_nor_the_cross_attention_runs(shards: Path, words: Tokenizer) -> None:
    recipe = cosmos_recipe(shards, objective__distill_weight=0)
    model, (batch,) = drawn(recipe, words), batches_of(recipe, words)
    ran: list[str] = []
    for name, module in model.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    views, _ = compute(model, batch, recipe.objective)
    assert "student.visual" in ran
    assert not [name for name in ran if name.startswith("teacher.") or any(part in name for part in FOR_DISTILLATION)]
    assert ran.count("student.visual") == 1  # small crops are read by distillation alone
    assert (len(views.image), len(views.text), len(views.cross_image), len(views.teacher_text)) == (2, 5, 0, 0)


def test_accumulated_gradients_are_those_of_the_large_batch(shards: Path, words: Tokenizer) -> None:
    whole, wanted = step(cosmos_recipe(shards, objective__distill_weight=0, train__batch_size=12), words)
    losses, found = step(cosmos_recipe(shards, objective__distill_weight=0, train__batch_size=4), words, 3)
    assert losses["loss"].item() == pytest.approx(whole["loss"].item(), rel=1e-6)
    norm = torch.stack([gradient.norm() for gradient in wanted.values()]).norm()
    for name, gradient in wanted.items():
        assert (gradient - found[name]).abs().max() < 1e-6 * norm, name


def test_its_operations_are_those_that_are_counted(shards: Path, words: Tokenizer) -> None:
    recipe = cosmos_recipe(shards, objective__distill_weight=0)
    model, (batch,) = drawn(recipe, words), batches_of(recipe, words)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        compute(model, batch, recipe.objective)
        forward = counter.get_total_flops()
    found = CosmosFlopCount(model, recipe).of(CosmosFamily().work(batch, recipe)[1])
    assert set(found) == {"vision", "text"}
    assert sum(part.forward for part in found.values()) == pytest.approx(forward, rel=0.02)
