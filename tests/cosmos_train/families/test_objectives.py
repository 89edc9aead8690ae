"""The steps of CuMo and COSMOS with small models: one formula over batches, sources and ranks; the teacher's pace."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cosmos_train.families.base import StepContext
from cosmos_train.families.cosmos import objective as cosmos
from cosmos_train.families.cosmos.distill import Views, cosmos_losses
from cosmos_train.families.cosmos.momentum import Teacher, momentum
from cosmos_train.families.cumo import objective as cumo
from cosmos_train.losses.settings import ObjectiveSettings, TeacherSettings
from forked import on_ranks


def context(around: Callable[[bool], Any] = lambda last: nullcontext(), cast: Any = nullcontext) -> StepContext:
    return StepContext(cast, lambda loss: loss.backward(), around)


class Scripted:
    """Contexts that note what runs in them."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.cast = False

    @contextmanager
    def around(self, last: bool) -> Iterator[None]:
        self.log.append(f"last={last}")
        yield

    @contextmanager
    def autocast(self) -> Iterator[None]:
        self.cast = True
        yield
        self.cast = False

    def note(self, what: str) -> None:
        assert self.cast
        self.log.append(what)


def talk(*learned: int) -> Any:
    """The two fields of a CuMo batch that a step reads."""
    labels = torch.full((len(learned), 6), -100)
    for row, count in enumerate(learned):
        labels[row, :count] = 7  # the first position has nothing before it, so that one token less is learned
    return SimpleNamespace(tokens=labels, labels=labels)


def cumo_step(weight: nn.Parameter, batches: Sequence[Any]) -> tuple[dict[str, float], Tensor]:
    def forward(batch: Any, _: ObjectiveSettings) -> tuple[Tensor, Tensor, Tensor]:
        size = cumo.learned_tokens(batch)
        return weight * size**2, weight.square() * size, weight.pow(3) + size

    settings = ObjectiveSettings(balance_weight=0.5, router_z_weight=0.25)
    losses = cumo.accumulate(forward, batches, settings, context())
    assert weight.grad is not None
    return {name: float(loss) for name, loss in losses.items()}, weight.grad


def test_cumos_step_is_a_mean_over_tokens_and_over_the_batches_routers() -> None:
    weight = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    losses, gradient = cumo_step(weight, [talk(3, 2), talk(6)])  # 3 and 5 learned tokens
    language, balance, z = 2 * (9 + 25) / 8, (4 * 3 + 4 * 5) / 2, ((8 + 3) + (8 + 5)) / 2
    wanted = {"loss": language + 0.5 * balance + 0.25 * z, "language": language, "balance": balance, "router_z": z}
    assert losses == pytest.approx(wanted)
    assert float(gradient) == pytest.approx(34 / 8 + 0.5 * (2 * 2 * 4) + 0.25 * 3 * 4)
    nothing, _ = cumo_step(nn.Parameter(torch.tensor(2.0)), [talk(1)])
    assert nothing["language"] == 0


def test_cumos_ranks_share_the_tokens_of_the_step() -> None:
    def rank_of(rank: int) -> Any:
        return cumo_step(nn.Parameter(torch.tensor(2.0, dtype=torch.float64)), [[talk(3, 2)], [talk(6)]][rank])

    found = on_ranks(2, rank_of)
    whole, gradient = cumo_step(nn.Parameter(torch.tensor(2.0, dtype=torch.float64)), [talk(3, 2), talk(6)])
    for losses, _ in found:
        assert losses == pytest.approx(whole)
    assert float(found[0][1] + found[1][1]) / 2 == pytest.approx(float(gradient))


def test_cumos_batches_are_exchanged_with_the_last_alone() -> None:
    script, weight = Scripted(), nn.Parameter(torch.tensor(2.0))

    def forward(batch: Any, _: ObjectiveSettings) -> tuple[Tensor, Tensor, Tensor]:
        script.note("forward")
        return weight * 1, weight * 0, weight * 0

    batches = [talk(2), talk(2)]
    cumo.accumulate(forward, batches, ObjectiveSettings(), context(script.around, script.autocast))
    assert script.log == ["last=False", "forward", "last=True", "forward"]


class SmallCosmos(nn.Module):
    """Every feature depends on the weights; the teacher's do not."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.student, self.cross, self.teacher = (nn.Linear(5, 4) for _ in range(3))
        self.log_scale, self.log_distill = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(2.0))
        self.gate = nn.Parameter(torch.tensor(0.5))
        self.taught = 0
        self.double()

    def forward(self, batch: Any, _: ObjectiveSettings, taught: Any = None) -> tuple[Views, Tensor]:
        seen, said = (F.normalize(self.student(one), dim=-1) for one in (batch.images, batch.texts))
        crossed = [F.normalize(self.cross(one), dim=-1) for one in (batch.images, batch.texts)]
        if taught is None:
            self.taught += 1
            with torch.no_grad():
                taught = [F.normalize(self.teacher(one[:1]), dim=-1) for one in (batch.images, batch.texts)]
        return (
            Views(seen, said, *crossed, *taught, self.log_scale.exp(), self.log_distill.exp()),
            self.gate.square() * batch.images.shape[1],
        )


def view_batch(number: int, rows: int, source: str) -> Any:
    torch.manual_seed(number)
    images, texts = (torch.randn(2, rows, 5, dtype=torch.float64) for _ in range(2))
    return SimpleNamespace(images=images, texts=texts, source=source)


BATCHES = [view_batch(0, 2, "a"), view_batch(1, 3, "b"), view_batch(2, 4, "a")]
SETTINGS = {"clip_weight": 0.5, "distill_weight": 2.0}


def joined(*batches: Any) -> Any:
    images, texts = (torch.cat([getattr(one, name) for one in batches], 1) for name in ("images", "texts"))
    return SimpleNamespace(images=images, texts=texts, source="")


@pytest.mark.parametrize("pool", ["step", "batch"])
def test_cosmos_pools_the_batches_of_a_source_by_their_number(pool: str) -> None:
    default = ObjectiveSettings.model_fields["pool"].default
    settings = ObjectiveSettings.model_validate({**SETTINGS, "pool": "batch" if pool == "batch" else default})
    model = SmallCosmos()
    losses = cosmos.accumulate(model, BATCHES, settings, context())
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert model.taught == 3  # once a batch
    groups = [(2 / 3, joined(BATCHES[0], BATCHES[2])), (1 / 3, BATCHES[1])]
    if pool == "batch":
        groups = [(1 / 3, batch) for batch in BATCHES]
    each = [(share, cosmos_losses(model(batch, settings)[0])) for share, batch in groups]
    clip, distill = (sum(share * one[place] for share, one in each) for place in (0, 1))
    routing = model.gate.square() * (2 + 3 + 4) / 3
    total = 0.5 * clip + 2 * distill + routing
    wanted = {"loss": total, "clip": clip, "distill": distill, "routing": routing}
    assert {name: float(loss) for name, loss in losses.items()} == pytest.approx(
        {name: float(loss.detach()) for name, loss in wanted.items()}, rel=1e-5  # type: ignore[union-attr]
    )  # fmt: skip
    assert {name.partition(".")[0] for name in found} == {"student", "cross", "log_scale", "log_distill", "gate"}
    gradients = torch.autograd.grad(total, [model.get_parameter(name) for name in found])
    for (name, one), other in zip(found.items(), gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-5), name


def test_cosmos_batches_run_in_groups_and_the_last_exchanges_gradients() -> None:
    script, model = Scripted(), SmallCosmos()

    def forward(batch: Any, settings: ObjectiveSettings, taught: Any = None) -> Any:
        script.note(
            f"{batch.images.shape[1]}{' taught' if taught else ''}{'' if torch.is_grad_enabled() else ' first'}"
        )
        return model(batch, settings, taught)

    settings = ObjectiveSettings.model_validate(SETTINGS)
    cosmos.accumulate(forward, BATCHES, settings, context(script.around, script.autocast))
    assert script.log == [
        "2 first", "4 first", "last=False", "2 taught", "last=False", "4 taught", "last=True", "3",
    ]  # fmt: skip
    script.log.clear()
    cosmos.accumulate(forward, BATCHES[::2], settings, context(script.around, script.autocast))
    assert script.log[2:] == ["last=False", "2 taught", "last=True", "4 taught"]


@pytest.mark.parametrize("sizes", [(2, 3), (0, 3)])
def test_cosmos_losses_over_ranks_are_those_of_all_rows(sizes: tuple[int, int]) -> None:
    """At the original's layout of views, split unevenly; also if one rank has no readable row."""
    torch.manual_seed(0)
    counts, width = (8, 8, 8, 8, 2, 2), sum(sizes)  # as wide as there are rows: neither must stand for the other
    whole = [F.normalize(torch.randn(count, sum(sizes), width, dtype=torch.float64), dim=-1) for count in counts]

    def losses(part: slice) -> tuple[list[Tensor], list[Tensor]]:
        features = [one[:, part].clone().requires_grad_() for one in whole]
        scales = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (5.0, 9.0)]
        found = cosmos_losses(Views(*features, *scales))
        gradients = torch.autograd.grad(found.clip + 3 * found.distill, [*features[:4], *scales])
        return [loss.detach() for loss in found], list(gradients)

    found = on_ranks(2, lambda rank: losses(slice(0, sizes[0]) if rank == 0 else slice(sizes[0], None)))
    expected, gradients = losses(slice(None))
    for place in (0, 1):
        assert float(found[0][0][place] + found[1][0][place]) / 2 == pytest.approx(float(expected[place]), rel=1e-10)
    for place, gradient in enumerate(gradients):
        parts = [one[1][place] for one in found]
        mean = torch.cat(parts, 1) / 2 if gradient.dim() else (parts[0] + parts[1]) / 2
        assert torch.allclose(mean, gradient, atol=1e-12)


def test_momentum_is_constant_or_rises_to_1() -> None:
    assert momentum(7, 10, TeacherSettings(momentum=0.9)) == 0.9
    rising = TeacherSettings(momentum=0.9, schedule="cosine")
    assert [momentum(step, 10, rising) for step in (0, 5, 10)] == pytest.approx([0.9, 0.95, 1.0])


class Halves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.student = nn.Linear(2, 2).double()
        for name in ("logit_scale", "distill_logit_scale"):
            self.student.register_parameter(name, nn.Parameter(torch.tensor(2.0, dtype=torch.float64)))
        self.teacher = copy.deepcopy(self.student)


@pytest.mark.parametrize("order", ["after_step", "before_step"])
def test_the_teacher_follows_once_a_step_at_that_steps_momentum(order: Any) -> None:
    model: Any = Halves()
    teacher = Teacher(model, TeacherSettings(momentum=0.6, schedule="cosine", order=order), 4)
    before = model.teacher.weight.detach().clone()
    with torch.no_grad():
        model.student.weight.add_(1.0)
        model.teacher.logit_scale.fill_(-3.0)
        model.student.distill_logit_scale.fill_(9.0)
        model.student.logit_scale.fill_(0.25)
    share = 0.4 * (1 + 2**-0.5) / 2  # of step 1 of 4
    teacher.before_step(1)
    followed = before + share
    assert torch.allclose(model.teacher.weight, followed if order == "before_step" else before)
    assert float(model.student.distill_logit_scale.detach()) == 9.0
    teacher.after_step(1)
    assert torch.allclose(model.teacher.weight, followed)
    assert float(model.student.distill_logit_scale.detach()) == pytest.approx(4.605170186)  # the logarithm of 100
    assert float(model.student.logit_scale.detach()) == 0.25
    kept = float(model.teacher.logit_scale.detach())
    assert kept == pytest.approx(share * 0.25 if order == "after_step" else 0.0)
