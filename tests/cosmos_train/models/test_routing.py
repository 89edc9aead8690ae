"""A pass counts every call of every router once: also of blocks that are recomputed, compiled or sharded."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend

from cosmos_recipe import cosmos_recipe
from cosmos_train.families.base import StepContext
from cosmos_train.families.cosmos import objective as cosmos_objective
from cosmos_train.families.cosmos.model import build_cosmos
from cosmos_train.families.cumo.model import build_cumo
from cosmos_train.families.cumo.objective import compute
from cosmos_train.losses.settings import ObjectiveSettings
from cosmos_train.models.moe import MixtureMlp, expert_layers
from cosmos_train.models.routing import record_routing, routers, utilisation
from cosmos_train.models.settings import ExpertSettings
from cosmos_train.models.towers import Transformer
from cosmos_train.recipe import ParallelSettings
from cosmos_train.stream.stream import open_data, open_stream
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train.parallel import World, parallelize
from cumo_recipe import cumo_recipe
from forked import on_ranks

CPU = torch.device("cpu")
EXPERTS = {"count": 4, "top_k": 2, "places": ["vision", "connector"]}


class Tower(nn.Module):
    """Two blocks with experts, and a dense one between them."""

    def __init__(self) -> None:
        super().__init__()
        self.vision = Transformer(16, 3, 2, 32)

    def forward(self, calls: list[Tensor]) -> Tensor:
        return torch.stack([self.vision(tokens).square().mean() for tokens in calls]).sum()


def tower() -> Tower:
    torch.manual_seed(0)
    found = Tower()
    expert_layers(found, ExpertSettings(count=3, top_k=2, places=["vision"]))
    return found.double()


def losses_of(model: Tower, calls: list[Tensor], settings: ObjectiveSettings) -> tuple[Tensor, Tensor, Tensor]:
    with record_routing(model) as routing:
        loss = model(calls)
    found = routing.losses()
    assert found is not None
    return loss, *found


def transcribed(logits: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """(balance, z) of one call, from logits (items, tokens, E), as the paper's equations say, by loops."""
    balance, z, experts = [], [], logits.shape[-1]
    for item in logits:
        chances = [torch.exp(row) / torch.exp(row).sum() for row in item]
        first = [int(row.argmax()) for row in item]
        share = [sum(chance[e] for chance in chances) / len(item) for e in range(experts)]
        picked = [first.count(e) / len(item) for e in range(experts)]
        balance.append(sum((p * f for p, f in zip(share, picked, strict=True)), torch.zeros(())) * experts)
        z += [torch.log(torch.exp(row).sum()) ** 2 for row in item]
    return torch.stack(balance).mean(), torch.stack(z).mean()


def drawn(*shapes: tuple[int, int]) -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randn(*shape, 16, dtype=torch.float64) for shape in shapes]


def gate_gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None and "gate" in name}


@pytest.mark.parametrize("recompute_every", [0, 1])
def test_losses_and_gate_gradients_are_the_mean_over_all_calls(recompute_every: int) -> None:
    """Against the equations, written a second time, on the logits of each call."""
    calls = drawn((2, 5), (6, 3))  # as a picture at two scales: other numbers of items and tokens
    model = tower()
    logits: list[tuple[MixtureMlp, Tensor]] = []
    hooks = [
        module.register_forward_pre_hook(lambda block, given: logits.append((block, given[0] @ block.gate.weight.T)))
        for module in model.modules() if isinstance(module, MixtureMlp)
    ]  # fmt: skip
    model(calls)
    assert len(logits) == 6
    both = [transcribed(one, 2) for _, one in logits]
    wanted = sum((balance + 0.3 * z for balance, z in both), torch.zeros(())) / 6
    wanted.backward()
    expected = gate_gradients(model)
    for hook in hooks:
        hook.remove()
    model.zero_grad()

    settings = ParallelSettings(recompute_every=recompute_every)
    whole = parallelize(model, losses_of, settings, World(0, 1, 1, CPU), torch.float32)
    _, balance, z = whole(calls, ObjectiveSettings())
    assert float(balance.detach()) == pytest.approx(float(sum(b.detach() for b, _ in both)) / 6, rel=1e-12)
    assert float(z.detach()) == pytest.approx(float(sum(z.detach() for _, z in both)) / 6, rel=1e-12)
    used = [router.used.clone() for router in routers(model).values() if router.used is not None]
    (balance + 0.3 * z).backward()
    found = gate_gradients(model)
    assert found.keys() == expected.keys() and len(found) == 3
    for name, gradient in found.items():
        assert torch.allclose(gradient, expected[name], rtol=1e-10, atol=1e-14), name
    # The backward pass, which runs recomputed blocks again, counts nothing.
    again = utilisation(model)
    assert [one.tolist() for one in again] == [one.tolist() for one in used]
    assert [float(one.sum()) for one in used] == [2 * 5 + 6 * 3] * 3


def test_shares_are_weighted_by_tokens() -> None:
    block = MixtureMlp(16, 8, 16, 2, 1, "gelu", False)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    block.gate.weight.data[0, 0] = 1
    up, down = torch.zeros(1, 9, 16), torch.zeros(1, 3, 16)
    up[..., 0], down[..., 0] = 1, -1
    with record_routing(block) as calls:
        block(up)
        block(down)
    assert calls.blocks()[""].used.tolist() == [0.75, 0.25]
    assert utilisation(block)[0].tolist() == [9, 3]


def test_a_compiled_block_reports_every_call_without_a_break() -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    block = MixtureMlp(16, 8, 16, 3, 2, "gelu", True)
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    counter = CompileCounterWithBackend("eager")
    compiled = torch.compile(block, backend=counter, fullgraph=True)
    calls = [one.float() for one in drawn((2, 5), (6, 3), (4, 4))]
    found = []
    for run in (block, compiled, compiled):
        with record_routing(block) as routing:
            for tokens in calls:
                run(tokens)
        found.append(routing.blocks()[""])
    assert counter.frame_count <= 3  # the first call, the first of another size, and one that adds to others
    for one in found[1:]:
        for value, wanted in zip(one, found[0], strict=True):
            assert torch.allclose(torch.as_tensor(value), torch.as_tensor(wanted))


def test_a_cumos_tower_counts_at_both_scales(shards: Path, words: Tokenizer) -> None:
    recipe = cumo_recipe(shards, model__experts=EXPERTS)
    torch.manual_seed(0)
    model = build_cumo(recipe, words)
    batch = open_stream(recipe, words, open_data(recipe.data)).next()
    _, balance, z = compute(model, batch, recipe.objective)
    used = {name: float(router.used.sum()) for name, router in routers(model).items() if router.used is not None}
    patches = 5 * len(batch.frames)  # a whole picture's, and its class token
    assert [used[f"vision.transformer.resblocks.{layer}.mlp"] for layer in (0, 1)] == [patches + 4 * patches] * 2
    assert used["connector"] == 4 * len(batch.frames)
    pixels = (batch.frames - model.pixel_mean) / model.pixel_std
    alone = []
    for scale in (1, 2):
        with record_routing(model) as calls:
            model._at(scale, pixels)
        alone.append(calls.losses())
    with record_routing(model) as calls:
        model.connector(model.features(batch.frames))
    assert alone[0] is not None and alone[1] is not None
    connector = calls.blocks()["connector"]
    assert float(balance) == pytest.approx(float((alone[0][0] + alone[1][0]) / 2 + connector.balance), rel=1e-5)
    assert float(z) == pytest.approx(float((alone[0][1] + alone[1][1]) / 2 + connector.z), rel=1e-5)


def test_a_cosmos_counts_all_crops_and_texts_and_a_pass_without_gradients_only_once(
    shards: Path, words: Tokenizer
) -> None:
    experts = {"count": 3, "top_k": 2, "places": ["vision", "text"]}
    recipe = cosmos_recipe(shards, model__experts=experts, objective__pool="step")
    torch.manual_seed(0)
    model = build_cosmos(recipe, words)
    stream = open_stream(recipe, words, open_data(recipe.data))
    batches = [stream.next(), stream.next()]
    context = StepContext(
        nullcontext,
        lambda loss: loss.backward(),  # type: ignore[no-untyped-call]
        lambda last: nullcontext(),
    )
    alone = [float(cosmos_objective.compute(model, batch, recipe.objective)[1]) for batch in batches]
    once = [one.clone() for one in utilisation(model)]
    losses = cosmos_objective.accumulate(
        lambda *given: cosmos_objective.compute(model, *given), batches, recipe.objective, context
    )
    assert float(losses["routing"]) == pytest.approx(sum(alone) / 2, rel=1e-6)
    assert [one.tolist() for one in utilisation(model)] == [one.tolist() for one in once]
    batch, size = batches[0], model.student.visual.patch
    cosmos_objective.compute(model, batch, recipe.objective)
    crops = [part for part in (batch.images, batch.crops) if len(part)]
    tokens = sum(part.shape[0] * part.shape[1] * (1 + (part.shape[-1] // size) ** 2) for part in crops)
    router = model.student.visual.transformer.resblocks[0].mlp
    assert router.used is not None and float(router.used.sum()) == tokens


def ranked(rank: int) -> tuple[list[float], dict[str, list[float]]]:
    from torch.distributed.tensor import DTensor

    calls = [one.float() for one in drawn((4, 5), (8, 3))]
    model = tower().float()
    own = [one.chunk(2)[rank] for one in calls]
    whole = parallelize(
        model, losses_of, ParallelSettings(mode="fsdp", recompute_every=1), World(rank, 2, 2, CPU), torch.float32
    )
    loss, balance, z = whole(own, ObjectiveSettings())
    (loss + balance + z).backward()
    gradients: dict[str, list[float]] = {}
    for name, parameter in model.named_parameters():
        if "gate" in name:
            assert isinstance(parameter.grad, DTensor)
            gradients[name] = parameter.grad.full_tensor().flatten().tolist()
    return [float(balance), float(z)], gradients


def test_two_ranks_with_shards_have_the_losses_and_gradients_of_one() -> None:
    calls = [one.float() for one in drawn((4, 5), (8, 3))]
    model = tower().float()
    loss, balance, z = losses_of(model, calls, ObjectiveSettings())
    (loss + balance + z).backward()
    found: list[Any] = on_ranks(2, ranked)
    for number, wanted in enumerate((balance, z)):
        assert sum(one[0][number] for one in found) / 2 == pytest.approx(float(wanted.detach()), rel=1e-5)
    for name, gradient in gate_gradients(model).items():
        for one in found:
            assert one[1][name] == pytest.approx(gradient.flatten().tolist(), abs=1e-6), name
