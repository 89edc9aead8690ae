"""A step over batches of several sources is one formula, with a small model: pools, routers, ranks and passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cosmos_train.families.base import StepContext
from cosmos_train.families.cosmo.accumulate import StepLosses, accumulate
from cosmos_train.families.cosmo.objective import Outputs, contrast, learned_tokens
from cosmos_train.losses.settings import ObjectiveSettings
from cosmos_train.stream.batch import Batch, Sample
from cosmos_train.stream.collate import collate
from cosmos_train.stream.tokenizer import Tokenizer
from forked import on_ranks

MakeSamples = Callable[..., list[Sample]]
WEIGHTS = {"language_weight": 0.5, "contrastive_weight": 2.0}


class Small(nn.Module):
    """Bags of words in place of towers: every output depends on the weights."""

    def __init__(self, routed: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(400, 6)
        self.media, self.text = nn.Linear(6, 4), nn.Linear(6, 4)
        self.log_scale, self.bias = nn.Parameter(torch.tensor(1.5)), nn.Parameter(torch.tensor(-1.0))
        self.gate = nn.Parameter(torch.tensor(0.3))
        self.routed = routed
        self.double()

    def forward(self, batch: Batch, _: ObjectiveSettings, language: bool = True) -> Outputs:
        said = (self.words(batch.pairs.tokens) * batch.pairs.mask[..., None]).sum(1)
        learned = batch.rows.labels[:, 1:] >= 0
        logits = self.words(batch.rows.tokens)[:, :-1][learned]
        return Outputs(
            logits.square().sum() if language else logits.sum() * 0,
            F.normalize(self.media(said), dim=-1), F.normalize(self.text(said), dim=-1), batch.pairs.group,
            self.log_scale.exp(), self.bias.clone(), self.gate.square() * len(batch) if self.routed else None,
        )  # fmt: skip


@pytest.fixture
def batches(words: Tokenizer, make_samples: MakeSamples) -> list[Batch]:
    """Two of source a and then one of b, of 2, 3 and 4 samples."""
    samples = make_samples(9)
    parts = ((0, 2, "a"), (2, 5, "a"), (5, 9, "b"))
    return [collate(samples[first:last], words, 64, source) for first, last, source in parts]


def context(around: Callable[[bool], Any] = lambda last: nullcontext(), autocast: Any = nullcontext) -> StepContext:
    return StepContext(autocast, lambda loss: loss.backward(), around)


def step(model: Small, batches: Sequence[Batch], settings: ObjectiveSettings) -> tuple[StepLosses, dict[str, Tensor]]:
    losses = accumulate(model, batches, settings, context())
    return losses, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def pooled(outputs: Sequence[Outputs], settings: ObjectiveSettings) -> Tensor:
    """The contrastive loss of all pairs of these batches as one, with the features kept."""
    one = outputs[0]
    media, text, group = (torch.cat([getattr(each, name) for each in outputs]) for name in ("media", "text", "group"))
    return contrast(Outputs(one.language, media, text, group, one.scale, one.bias), settings)


def check(losses: StepLosses, gradients: dict[str, Tensor], parts: tuple[Tensor, Tensor, Tensor], model: Small) -> None:
    """parts: language, contrastive and routing of the whole step, with their graph."""
    total = 0.5 * parts[0] + 2 * parts[1] + parts[2]
    assert float(losses.total) == pytest.approx(float(total.detach()), rel=1e-5)
    assert float(losses.language) == pytest.approx(float(parts[0].detach()), rel=1e-5)
    assert float(losses.contrastive) == pytest.approx(float(parts[1].detach()), rel=1e-5)
    assert losses.routing is not None
    assert float(losses.routing) == pytest.approx(float(parts[2].detach()), rel=1e-5)
    weights = [model.get_parameter(name) for name in gradients]
    found = torch.autograd.grad(total, weights, retain_graph=True, materialize_grads=True)
    expected = dict(zip(gradients, found, strict=True))
    assert expected["gate"] != 0 and expected["log_scale"] != 0
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, expected[name], atol=1e-5), name


@pytest.mark.parametrize("contrastive", ["infonce", "siglip"])
@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0)])
def test_a_pool_weighs_as_many_batches_as_it_has(
    order: tuple[int, ...], contrastive: str, batches: list[Batch]
) -> None:
    """Two batches of a are one pool, which is two thirds of the loss; b's batch is a third; routers are averaged."""
    model = Small()
    settings = ObjectiveSettings.model_validate({**WEIGHTS, "contrastive": contrastive})
    losses, gradients = step(model, [batches[number] for number in order], settings)
    outputs = [model(batch, settings) for batch in batches]
    tokens = sum(map(learned_tokens, batches))
    language = sum(one.language for one in outputs) / tokens
    contrasted = 2 / 3 * pooled(outputs[:2], settings) + 1 / 3 * pooled(outputs[2:], settings)
    routing = sum(one.routing for one in outputs if one.routing is not None) / 3
    check(losses, gradients, (language, contrasted, routing), model)
    assert losses.tokens == tokens


def test_without_a_pool_batches_weigh_the_same(batches: list[Batch]) -> None:
    model, settings = Small(), ObjectiveSettings.model_validate({**WEIGHTS, "pool": "batch"})
    losses, gradients = step(model, batches, settings)
    outputs = [model(batch, settings) for batch in batches]
    language = sum(one.language for one in outputs) / sum(map(learned_tokens, batches))
    contrasted = sum(pooled([one], settings) for one in outputs) / 3
    routing = sum(one.routing for one in outputs if one.routing is not None) / 3
    check(losses, gradients, (language, contrasted, routing), model)


def test_a_model_without_experts_has_no_routing_loss(batches: list[Batch]) -> None:
    losses, _ = step(Small(routed=False), batches, ObjectiveSettings.model_validate(WEIGHTS))
    assert losses.routing is None
    assert float(losses.total) == pytest.approx(0.5 * float(losses.language) + 2 * float(losses.contrastive))


@pytest.mark.parametrize(
    ("numbers", "settings", "twice"),
    [((0, 1), {}, True), ((0, 2), {}, False), ((0, 1), {"contrastive_weight": 0.0}, False),
     ((0, 1), {"pool": "batch"}, False)],
)  # fmt: skip
def test_features_are_computed_first_only_where_batches_share_a_pool(
    numbers: tuple[int, ...], settings: dict[str, Any], twice: bool, batches: list[Batch]
) -> None:
    model, log, cast = Small(), [], [False]

    @contextmanager
    def around(last: bool) -> Iterator[None]:
        log.append(f"last={last}")
        yield

    @contextmanager
    def autocast() -> Iterator[None]:
        cast[0] = True
        yield
        cast[0] = False

    def forward(batch: Batch, chosen: ObjectiveSettings, language: bool = True) -> Outputs:
        assert cast[0]
        log.append("whole" if language else "pairs only")
        assert torch.is_grad_enabled() == language
        return model(batch, chosen, language)  # type: ignore[no-any-return]

    chosen = ObjectiveSettings.model_validate(settings)
    accumulate(forward, [batches[number] for number in numbers], chosen, context(around, autocast))
    assert log == ["pairs only"] * (2 * twice) + ["last=False", "whole", "last=True", "whole"]


def test_the_second_pass_draws_the_random_numbers_of_the_first(batches: list[Batch]) -> None:
    """The features whose gradients are known are those that are computed again, dropout included."""
    model = Small()
    drawn: list[float] = []

    def forward(batch: Batch, settings: ObjectiveSettings, language: bool = True) -> Outputs:
        drawn.append(float(torch.rand(())))
        return model(batch, settings, language)  # type: ignore[no-any-return]

    accumulate(forward, batches, ObjectiveSettings(), context())
    assert drawn[:3] == drawn[3:] and len(set(drawn)) == 3


def test_a_step_without_learned_tokens_has_no_language_loss(batches: list[Batch]) -> None:
    silent = [collate([], Tokenizer.train(["a"], 400), 64, "a") for _ in range(2)]
    model = Small()
    losses = accumulate(model, silent, ObjectiveSettings(), context())
    assert (float(losses.language), float(losses.contrastive), losses.tokens) == (0, 0, 0)


@pytest.mark.parametrize("mean_of_batches", [False, True])
def test_ranks_share_tokens_pools_and_losses(mean_of_batches: bool, batches: list[Batch]) -> None:
    """Batch 0 and 2 on one rank, 1 and 2 on the other: as one process with the batches of equal number joined."""
    settings = ObjectiveSettings.model_validate(
        {**WEIGHTS, "paper_compat": {"mean_of_batches": mean_of_batches}}
    )  # fmt: skip

    def rank_of(rank: int) -> Any:
        losses, gradients = step(Small(), [batches[rank], batches[2]], settings)
        numbers = (losses.total, losses.language, losses.contrastive, losses.routing)
        return [float(number) for number in numbers if number is not None], losses.tokens, gradients

    found = on_ranks(2, rank_of)
    model = Small()
    outputs = [model(batch, settings) for batch in batches]
    counts = [learned_tokens(batch) for batch in batches]
    first, second = outputs[0].language + outputs[1].language, 2 * outputs[2].language
    joined = counts[0] + counts[1], 2 * counts[2]
    language = (first / joined[0] + second / joined[1]) / 2 if mean_of_batches else (first + second) / sum(joined)
    contrasted = (pooled(outputs[:2], settings) + pooled([outputs[2], outputs[2]], settings)) / 2
    routed = [one.routing for one in outputs if one.routing is not None]
    routing = ((routed[0] + routed[1]) / 2 + routed[2]) / 2
    for numbers, tokens, _ in found:
        assert tokens == sum(joined)
        losses = StepLosses(*(torch.tensor(value) for value in numbers[:3]), tokens, torch.tensor(numbers[3]))
        mean = {name: (found[0][2][name] + found[1][2][name]) / 2 for name in found[0][2]}
        check(losses, mean, (language, contrasted, routing), model)
