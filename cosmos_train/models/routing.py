"""Routing decisions of one forward pass: every call of every router, with the losses that balance them.

A block may run several times in one pass (a tower at each scale, or on large and small crops), so a pass counts them
all. It ends before the backward pass: blocks that are recomputed there are not counted again. Costs a few additions of
scalars per call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Routing(NamedTuple):
    """Routing of one call of one block, or the mean of several. balance, z: the losses, 1 at uniform and (ln E)² at
    zero logits; used (E,): each expert's share of the routed tokens; tokens: their number."""

    balance: Tensor
    z: Tensor
    used: Tensor
    tokens: int | Tensor = 1


class _Sums(NamedTuple):
    balance: Tensor
    z: Tensor
    used: Tensor  # tokens by expert
    calls: Tensor


class Calls:
    """Sums over the calls of one block in one pass. Not a list: a compiled block would be compiled for each length."""

    def __init__(self) -> None:
        self.sums: _Sums | None = None

    def add(self, one: Routing) -> None:
        found = _Sums(one.balance, one.z, one.used * one.tokens, torch.ones_like(one.balance, requires_grad=False))
        if self.sums is None:
            self.sums = found
        else:
            before = self.sums
            self.sums = _Sums(
                before.balance + found.balance, before.z + found.z, before.used + found.used, before.calls + found.calls
            )

    def mean(self) -> Routing | None:
        """Losses are means over calls, shares over all tokens; None without a call."""
        if self.sums is None:
            return None
        balance, z, used, calls = self.sums
        return Routing(balance / calls, z / calls, used / used.sum(), used.sum())


class Router(nn.Module):
    """A module that reports each call in training. It has no parameters of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Calls | None = None  # of the pass that is being recorded
        self.used: Tensor | None = None  # (E,) tokens by expert, in passes with gradients since `utilisation`

    def report(self, routing: Routing) -> None:
        if self.calls is not None:
            self.calls.add(routing)


@dataclass(frozen=True)
class RoutingPass:
    """calls: of every router of a model, by its name."""

    calls: dict[str, Calls]

    def blocks(self) -> dict[str, Routing]:
        """The mean over the calls of each block that ran in training."""
        means = {name: calls.mean() for name, calls in self.calls.items()}
        return {name: mean for name, mean in means.items() if mean is not None}

    def losses(self) -> tuple[Tensor, Tensor] | None:
        """(balance, z): the mean over the blocks of each place, summed over places; None if no block ran."""
        places: dict[str, list[Routing]] = {}
        for name, found in self.blocks().items():
            places.setdefault(place_of(name) or name, []).append(found)
        if not places:
            return None
        balance = [torch.stack([one.balance for one in found]).mean() for found in places.values()]
        z = [torch.stack([one.z for one in found]).mean() for found in places.values()]
        return torch.stack(balance).sum(), torch.stack(z).sum()


@contextmanager
def record_routing(model: nn.Module) -> Iterator[RoutingPass]:
    """Records the calls of a model's routers in one forward pass. Run the backward pass outside."""
    found = routers(model)
    recorded = RoutingPass({name: Calls() for name in found})
    for name, router in found.items():
        router.calls = recorded.calls[name]
    try:
        yield recorded
    finally:
        for router in found.values():
            router.calls = None
    if torch.is_grad_enabled():  # a pass without gradients is followed by one that has them, on the same tokens
        for name, router in found.items():
            sums = recorded.calls[name].sums
            if sums is not None:
                used = sums.used.detach().double()
                router.used = used if router.used is None else router.used + used


def routers(model: nn.Module) -> dict[str, Router]:
    """Every router by its name: of our mixtures, and watched ones."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Router)}


def utilisation(model: nn.Module) -> list[Tensor]:
    """(E,) of each block that ran since the last call: the tokens that each expert got. Starts a new count."""
    found = []
    for router in routers(model).values():
        if router.used is not None:
            found.append(router.used)
            router.used = None
    return found


def place_of(name: str) -> str:
    """The place that a module's name belongs to, as in `model.experts.places`; empty for none of them."""
    top = name.removeprefix("student.").removeprefix("teacher.").partition(".")[0]
    return {
        "visual": "vision",
        "vision": "vision",
        "transformer": "text",
        "language": "language",
        "lm": "language",
    }.get(top, "")
