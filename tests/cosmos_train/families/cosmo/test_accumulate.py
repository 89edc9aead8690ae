"""A step from several batches has the gradients of the same step from one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from cosmos_train.families.base import StepContext
from cosmos_train.families.cosmo.accumulate import StepLosses, accumulate
from cosmos_train.families.cosmo.model import CosMo, build_cosmo
from cosmos_train.families.cosmo.objective import compute, contrast, learned_tokens
from cosmos_train.losses.settings import ObjectiveSettings
from cosmos_train.recipe import Recipe
from cosmos_train.stream.batch import BadSample, Batch, Sample
from cosmos_train.stream.collate import collate
from cosmos_train.stream.tokenizer import Tokenizer

Tiny = Callable[..., Recipe]
MakeSamples = Callable[..., list[Sample]]


def opened(recipe: Recipe, words: Tokenizer) -> CosMo:
    torch.manual_seed(0)
    model = build_cosmo(recipe, words)
    for name, parameter in model.named_parameters():
        if name.endswith("_gate"):
            torch.nn.init.constant_(parameter, 1.0)
    return model.train()


def gradients(model: CosMo, batches: list[Batch], settings: ObjectiveSettings) -> tuple[StepLosses, dict[str, Tensor]]:
    model.zero_grad(set_to_none=True)

    def forward(batch: Batch, chosen: ObjectiveSettings, language: bool = True) -> Any:
        return compute(model, batch, chosen, language)

    def around(last: bool) -> Any:
        return nullcontext()

    losses = accumulate(forward, batches, settings, StepContext(nullcontext, lambda loss: loss.backward(), around))
    return losses, {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def largest_difference(one: dict[str, Tensor], two: dict[str, Tensor]) -> float:
    assert one.keys() == two.keys()
    norm = torch.stack([g.norm() for g in two.values()]).norm()
    return float(max((one[name] - two[name]).abs().max() for name in two) / norm)


@pytest.mark.parametrize("contrastive", ["infonce", "siglip"])
@pytest.mark.parametrize("pairs", ["first", "every"])
def test_accumulated_gradients_are_those_of_the_whole_batch(
    contrastive: str, pairs: str, tiny: Tiny, words: Tokenizer, make_samples: MakeSamples
) -> None:
    recipe = tiny(objective__contrastive=contrastive, objective__pairs=pairs)
    model, samples = opened(recipe, words), make_samples(8)
    samples[6] = Sample("twin", samples[0].texts, samples[6].frames[:1], samples[6].times[:1])  # across the cut
    whole, expected = gradients(model, [collate(samples, words, 64)], recipe.objective)
    parts = [collate(samples[start:stop], words, 64) for start, stop in ((0, 3), (3, 4), (4, 8))]
    parts.insert(1, collate([BadSample("bad", "gone")], words, 64))
    split, found = gradients(model, parts, recipe.objective)
    assert largest_difference(found, expected) < 1e-6
    assert float(found["log_scale"]) == pytest.approx(float(expected["log_scale"]), rel=1e-5)
    assert abs(float(expected["log_scale"])) > 1e-3
    for name in ("total", "language", "contrastive"):
        assert float(getattr(split, name)) == pytest.approx(float(getattr(whole, name)), rel=1e-5)
    assert split.tokens == whole.tokens == learned_tokens(collate(samples, words, 64))


def test_one_batch_is_backward_of_the_plain_loss(tiny: Tiny, words: Tokenizer, make_samples: MakeSamples) -> None:
    recipe = tiny(objective__language_weight=0.5, objective__contrastive_weight=2.0)
    model, batch = opened(recipe, words), collate(make_samples(4), words, 64)
    losses, found = gradients(model, [batch], recipe.objective)
    model.zero_grad(set_to_none=True)
    outputs = compute(model, batch, recipe.objective)
    loss = 0.5 * outputs.language / learned_tokens(batch) + 2 * contrast(outputs, recipe.objective)
    loss.backward()
    assert float(losses.total) == pytest.approx(float(loss.detach()), rel=1e-6)
    assert all(torch.equal(found[name], p.grad) for name, p in model.named_parameters() if p.grad is not None)


def test_dropout_is_the_same_in_both_passes(tiny: Tiny, words: Tokenizer, make_samples: MakeSamples) -> None:
    """Given dropout, the pooled loss is that of the features that carry its gradients back."""
    config = dict(tiny().model.language.config) | {"dropout": 0.3}
    recipe = tiny(model__language__config=config, objective__pairs="every", objective__language_weight=0.0)
    model, samples = opened(recipe, words), make_samples(4)
    parts = [collate(samples[:2], words, 64), collate(samples[2:], words, 64)]
    torch.manual_seed(5)
    losses, found = gradients(model, parts, recipe.objective)
    model.zero_grad(set_to_none=True)
    torch.manual_seed(5)
    outputs = []
    for batch in parts:  # the same draws in the same order, with the features kept: the LM's loss draws in between
        state = torch.get_rng_state()
        compute(model, batch, recipe.objective, language=False)
        after = torch.get_rng_state()
        torch.set_rng_state(state)
        outputs.append(compute(model, batch, recipe.objective))
        torch.set_rng_state(after)
    pool = outputs[0]._replace(
        media=torch.cat([o.media for o in outputs]),
        text=torch.cat([o.text for o in outputs]),
        group=torch.cat([o.group for o in outputs]),
    )
    loss = contrast(pool, recipe.objective)
    loss.backward()
    expected = {n: p.grad for n, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert float(losses.contrastive) == pytest.approx(float(loss.detach()), rel=1e-6)
    assert largest_difference({name: found[name] for name in expected}, expected) < 1e-6


def test_batches_of_different_sources_are_no_pool(tiny: Tiny, words: Tokenizer, make_samples: MakeSamples) -> None:
    recipe = tiny()
    model, samples = opened(recipe, words), make_samples(6)
    pairs, videos = collate(samples[:3], words, 64, "pairs"), collate(samples[3:], words, 64, "videos")
    runs = []

    def forward(batch: Batch, chosen: ObjectiveSettings, language: bool = True) -> Any:
        runs.append(batch.source)
        return compute(model, batch, chosen, language)

    @contextmanager
    def around(last: bool) -> Iterator[None]:
        runs.append(f"last={last}")
        yield

    losses = accumulate(
        forward, [pairs, videos], recipe.objective, StepContext(nullcontext, lambda loss: loss.backward(), around),
    )  # fmt: skip
    assert runs == ["last=False", "pairs", "last=True", "videos"]
    with torch.no_grad():
        alone = [contrast(compute(model, one, recipe.objective), recipe.objective) for one in (pairs, videos)]
    assert float(losses.contrastive) == pytest.approx(float(sum(alone) / 2), rel=1e-5)


def test_each_batch_by_itself_is_a_setting(tiny: Tiny, words: Tokenizer, make_samples: MakeSamples) -> None:
    recipe = tiny(objective__pool="batch")
    model, samples = opened(recipe, words), make_samples(6)
    parts = [collate(samples[:3], words, 64), collate(samples[3:], words, 64)]
    losses, _ = gradients(model, parts, recipe.objective)
    with torch.no_grad():
        alone = [contrast(compute(model, one, recipe.objective), recipe.objective) for one in parts]
    assert float(losses.contrastive) == pytest.approx(float(sum(alone) / 2), rel=1e-5)


def test_as_released_every_batch_weighs_the_same(tiny: Tiny, words: Tokenizer, make_samples: MakeSamples) -> None:
    model, samples = opened(tiny(), words), make_samples(6)
    parts = [collate(samples[:1], words, 64), collate(samples[1:], words, 64)]
    with torch.no_grad():
        means = [compute(model, one, ObjectiveSettings()).language / learned_tokens(one) for one in parts]
    released = ObjectiveSettings.model_validate({"paper_compat": {"mean_of_batches": True}})
    losses, _ = gradients(model, parts, released)
    assert float(losses.language) == pytest.approx(float(sum(means) / 2), rel=1e-5)
    assert float(gradients(model, parts, ObjectiveSettings())[0].language) != pytest.approx(float(sum(means) / 2))
