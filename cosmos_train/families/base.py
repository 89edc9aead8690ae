"""What the loop asks of a kind of model: one object per family, chosen by `model.kind`. Costs nothing by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from cosmos_train.families.cosmo.flops import Operations
from cosmos_train.recipe import Recipe
from cosmos_train.stream.stream import Data
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train.metrics import Numbers

Work = Any  # a dataclass of numbers that add up: what a batch gives a model to do


class Ledger(Protocol):
    def of(self, work: Work) -> dict[str, Operations]: ...


class Follower(Protocol):
    """What moves with the weights; neither is called where a step is left out."""

    def before_step(self, step: int) -> None: ...
    def after_step(self, step: int) -> None: ...


class Still:
    """Nothing does."""

    def before_step(self, step: int) -> None: ...
    def after_step(self, step: int) -> None: ...


class Family(Protocol):
    """parts: names of the losses that `loss` is made of, as they are shown."""

    parts: tuple[str, ...]

    def tokenizer(self, recipe: Recipe, data: Data) -> Tokenizer: ...
    def build(self, recipe: Recipe, tokenizer: Tokenizer) -> nn.Module: ...

    @property
    def compute(self) -> Callable[..., Any]:
        """compute(model, batch, settings, …): one forward pass, which wrappers (DDP, FSDP) see."""

    def step(
        self, forward: Callable[..., Any], batches: Sequence[Any], recipe: Recipe, **around: Any
    ) -> dict[str, Tensor]:
        """The gradients of a step, as `accumulate.accumulate`; its losses over all processes, `loss` first."""

    def learned(self, batch: Any) -> int:
        """Tokens that a loss is taken on."""

    def decays(self, name: str, parameter: nn.Parameter) -> bool: ...
    def follower(self, model: nn.Module, recipe: Recipe) -> Follower: ...
    def ledger(self, model: nn.Module, recipe: Recipe) -> Ledger: ...

    def work(self, batch: Any, recipe: Recipe) -> tuple[Work, Work]:
        """Without padding, and with it."""

    def numbers(self, model: nn.Module) -> Numbers:
        """What else to log. All ranks call it."""


def family_of(recipe: Recipe) -> Family:
    if recipe.model.kind == "cosmos":
        from cosmos_train.families.cosmos.family import CosmosFamily

        return CosmosFamily()
    if recipe.model.kind == "cumo":
        from cosmos_train.families.cumo.family import CuMoFamily

        return CuMoFamily()
    from cosmos_train.families.cosmo.family import CosMoFamily

    return CosMoFamily()
